"""The manual's pages: their links, headings and tables. What can be wrong is a function below."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from twisted.trial.unittest import SynchronousTestCase

from tests.docs.pages import CHECKOUT, Page, all_pages, cells_of

INDEX = "docs/README.md"


def bad_links(page: Page, pages: dict[str, Page]) -> Iterator[str]:
    """Links that lead nowhere. What is elsewhere on the web is not asked for."""
    for link in page.links():
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            if parts.scheme not in ("http", "https") or not parts.netloc:
                yield f"{page.name}: {link} is no address of the web"
            continue
        name = target_of(page, parts.path)
        if name not in pages and not (CHECKOUT / name).exists():
            yield f"{page.name}: {link} leads to a file that is not there"
        elif parts.fragment and (name not in pages or parts.fragment not in pages[name].anchors()):
            yield f"{page.name}: {link} leads to no heading"


def target_of(page: Page, path: str) -> str:
    """The path in the checkout that a link in a page leads to."""
    if not path:
        return page.name
    parts: list[str] = []
    for part in (PurePosixPath(page.name).parent / path).parts:
        if part == "..":
            if parts:
                parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def bad_references(page: Page, _pages: dict[str, Page]) -> Iterator[str]:
    """Links by a name that is defined nowhere, which show as plain text."""
    for found in re.findall(r"\[[^\]\n]+\]\s?[\[(][^\])\n]*[\])]", page.prose()):
        yield f"{page.name}: {found} is no link"


def bad_headings(page: Page, _pages: dict[str, Page]) -> Iterator[str]:
    """A page has one title, and no level is left out."""
    levels = [level for level, _ in page.headings()]
    if levels[:1] != [1] or levels.count(1) != 1:
        yield f"{page.name}: must begin with its one title"
    for (before, _), (level, text) in zip(page.headings(), page.headings()[1:], strict=False):
        if level > before + 1:
            yield f"{page.name}: the heading '{text}' leaves out a level"


def bad_tables(page: Page, _pages: dict[str, Page]) -> Iterator[str]:
    """Rows with more or fewer cells than their table has columns."""
    for header, *rows in page.tables():
        for row in rows:
            if cells_of(row) != cells_of(header):
                yield f"{page.name}: another number of cells than the table's head: {row}"


CHECKS = (bad_links, bad_references, bad_headings, bad_tables)


class PagesTests(SynchronousTestCase):
    def test_all_pages(self) -> None:
        """Nothing is wrong in any of them."""
        pages = all_pages()
        assert INDEX in pages
        found = [m for page in pages.values() for check in CHECKS for m in check(page, pages)]
        self.assertEqual(found, [])

    def test_every_page_of_the_manual_is_in_the_index(self) -> None:
        """So that one finds it."""
        pages = all_pages()
        index = pages[INDEX]
        linked = {target_of(index, urlsplit(link).path) for link in index.links()}
        manual = {name for name in pages if name.startswith("docs/")}
        self.assertEqual(manual - linked - {INDEX}, set())


class ChecksTests(SynchronousTestCase):
    """What is wrong is found, and nothing else."""

    def check(self, check: Callable[..., Iterator[str]], text: str, expected: list[str]) -> None:
        page = Page.of("docs/a.md", text)
        pages = {"docs/a.md": page, "README.md": Page.of("README.md", "# Title\n\n## A `b`\n")}
        self.assertEqual(list(check(page, pages)), expected)

    def test_links(self) -> None:
        """To files, to headings here and in other pages, and to the web."""
        good = (
            "# Here\n[a](#here) [b](../README.md#a-b) [c](../conf) <https://example.org/> ![](..)"
        )
        self.check(bad_links, good, [])
        for link, what in (
            ("#there", "leads to no heading"),
            ("../README.md#there", "leads to no heading"),
            ("../conf/promproxy.yml#a", "leads to no heading"),
            ("none.md", "leads to a file that is not there"),
            ("../../README.md.md", "leads to a file that is not there"),
            ("ftp://a/", "is no address of the web"),
        ):
            self.check(bad_links, f"[x]({link})", [f"docs/a.md: {link} {what}"])

    def test_a_heading_that_is_there_twice(self) -> None:
        text = "# A\n## B\n## B\n[1](#b) [2](#b-1)"
        self.check(bad_links, text, [])
        self.check(bad_links, f"{text} [3](#b-2)", ["docs/a.md: #b-2 leads to no heading"])

    def test_references(self) -> None:
        """One that is defined, and one that is not; in code it is no link."""
        self.check(bad_references, "[a][b] and `[c][d]`\n\n[b]: x.md", [])
        self.check(bad_references, "[a][b]", ["docs/a.md: [a][b] is no link"])

    def test_headings(self) -> None:
        """From the title down."""
        self.check(bad_headings, "# A\n## B\n### C\n## D", [])
        message = "docs/a.md: must begin with its one title"
        for text in ("text", "## A", "# A\n# B"):
            self.check(bad_headings, text, [message])
        self.check(bad_headings, "# A\n### B", ["docs/a.md: the heading 'B' leaves out a level"])

    def test_tables(self) -> None:
        """Every row has the cells that the head has."""
        self.check(bad_tables, "|a|b|\n|---|---|\n|1|2|\n|`\\|`|2|\n", [])
        for row in ("|1|", "|1|2|3|", "|`|`|2|"):
            self.check(
                bad_tables,
                f"|a|b|\n|---|---|\n{row}\n",
                [f"docs/a.md: another number of cells than the table's head: {row}"],
            )
