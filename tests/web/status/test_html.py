"""Tests of promproxy.web.status.html."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.web.status.html import Html, element, text


class Reader(HTMLParser):
    """What a browser would find."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[object] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and isinstance(self.found[-1], str):
            self.found[-1] += data
        else:
            self.found.append(data)


class ElementTests(SynchronousTestCase):
    def test_elements(self) -> None:
        """Children may be text, numbers, HTML, or nothing."""
        inner = element("b", "x")
        self.assertEqual(element("p", "a", 1, inner, None), "<p>a1<b>x</b></p>")
        self.assertEqual(element("td"), "<td></td>")

    def test_elements_that_have_no_end(self) -> None:
        """As HTML wants it."""
        self.assertEqual(element("input", name="a"), '<input name="a">')

    def test_attributes(self) -> None:
        """Some have no value, and some are not there."""
        self.assertEqual(
            element("a", class_="b", data_label="c", selected=True, hidden=False, title=None),
            '<a class="b" data-label="c" selected></a>',
        )

    def test_text_is_escaped_once(self) -> None:
        """HTML is what it is already."""
        self.assertEqual(text("a<b", Html("<br>"), "&"), "a&lt;b<br>&amp;")

    @given(st.text("ab<>&\"'`=/ \n\x00é", max_size=20))
    def test_any_text(self, anything: str) -> None:
        """It stays text, between elements and in attributes."""
        page = element("p", element("i", title=anything), anything)
        start, *rest = Reader(page).found
        self.assertEqual(start, ("p", {}))
        self.assertEqual(rest[0], ("i", {"title": anything}))
        self.assertEqual("".join(map(str, rest[1:])), anything)
