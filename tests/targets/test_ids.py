"""Tests of promproxy.targets.ids."""

from __future__ import annotations

import re
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.targets.ids import endpoint_suffix, is_valid_id, safe_id, short_hash

# Mostly what ids are made of, so that cleaning has both something to keep and something to change.
TEXTS = st.text(st.one_of(st.sampled_from("aZ09._~:-/ %?#[]\n"), st.characters()), max_size=20)
VALID_IDS = st.from_regex(r"[A-Za-z0-9_~:-]{1,9}(/[a-z0-9.]*[a-z]){0,3}", fullmatch=True)


class IsValidIdTests(SynchronousTestCase):
    def test_ids_of_all_kinds_of_sources(self) -> None:
        """What our sources make is valid."""
        for text in (
            *("vms/db:9100", "vms/db:80/probe~0a1b2c3d", "b3a9/0", "b3a9/0/actuator/prometheus"),
            *("a", "...", "a/.b/..c/d.", "~", ":"),
        ):
            assert is_valid_id(text), text

    def test_segments_that_url_libraries_change(self) -> None:
        """Empty segments and those of dots alone are not: they would be normalised away."""
        for text in ("", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/../b", "a/."):
            assert not is_valid_id(text), text

    def test_characters_that_would_be_encoded(self) -> None:
        """Nor is anything beyond the allowed characters, a final line end among it."""
        for text in ("a b", "a%20b", "a?b", "a#b", "[::1]:80", "é", "a\n", "a\x00", "a;b", "a+b"):
            assert not is_valid_id(text), text


class SafeIdTests(SynchronousTestCase):
    def test_forbidden_characters(self) -> None:
        """A run of them becomes one dash, and the hash of the original follows."""
        self.assertEqual(safe_id("s/a  b:80"), f"s/a-b:80-{short_hash('s/a  b:80')}")

    def test_forbidden_segments(self) -> None:
        """A segment that may not stand becomes a dash."""
        self.assertEqual(safe_id("s/../x//"), f"s/-/x/-/--{short_hash('s/../x//')}")

    def test_the_form_is_fixed(self) -> None:
        """The very same id in every release: a change here renames series everywhere."""
        self.assertEqual(safe_id("vms/[::1]:9100"), "vms/-::1-:9100-8a299648")

    @given(VALID_IDS)
    def test_valid_ids_stay(self, text: str) -> None:
        """What is valid is its own id."""
        self.assertEqual(safe_id(text), text)

    @given(TEXTS)
    def test_result_is_valid_and_always_the_same(self, text: str) -> None:
        """Any text has one id, and it is the same bytes in a label and in a request."""
        result = safe_id(text)
        assert is_valid_id(result), result
        self.assertEqual(result, safe_id(text))
        self.assertEqual(quote(result, safe="/:"), result)

    @given(st.lists(TEXTS, unique=True, max_size=30))
    def test_distinct_texts_have_distinct_ids(self, texts: list[str]) -> None:
        """Texts that differ only in forbidden characters stay apart."""
        self.assertEqual(len({safe_id(text) for text in texts}), len(texts))


class ShortHashTests(SynchronousTestCase):
    @given(TEXTS)
    def test_any_text_has_one(self, text: str) -> None:
        """Eight hex digits, also for half a surrogate pair, which JSON can spell."""
        assert re.fullmatch("[0-9a-f]{8}", short_hash(text))


class EndpointSuffixTests(SynchronousTestCase):
    def test_the_usual_endpoint_has_none(self) -> None:
        """/metrics without parameters needs no mention."""
        self.assertEqual(endpoint_suffix("/metrics", ""), "")

    def test_another_path(self) -> None:
        """A path of its own is the suffix."""
        self.assertEqual(endpoint_suffix("/probe", ""), "/probe")

    def test_parameters(self) -> None:
        """Parameters add their hash, with and without a path."""
        self.assertEqual(endpoint_suffix("/metrics", "a=1"), f"~{short_hash('a=1')}")
        self.assertEqual(endpoint_suffix("/probe", "a=1"), f"/probe~{short_hash('a=1')}")
