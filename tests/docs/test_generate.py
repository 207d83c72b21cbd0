"""Tests of docs.generate, and that what it wrote is up to date."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docs.generate import PARTS, renewed, slug


class PagesTests(SynchronousTestCase):
    def test_are_up_to_date(self) -> None:
        """``make docs`` renews them."""
        for name, (file, lines) in PARTS.items():
            page = file.read_text(encoding="utf-8")
            assert renewed(page, name, lines()) == page, f"{file} is out of date: run make docs"

    def test_only_the_part_between_the_comments_is_made_anew(self) -> None:
        """The rest is written by people."""
        page = "a\n<!-- generated: x -->\nold\n<!-- end of x -->\nb\n"
        self.assertEqual(
            renewed(page, "x", iter(["new", "newer"])),
            "a\n<!-- generated: x -->\nnew\nnewer\n<!-- end of x -->\nb\n",
        )

    def test_slugs(self) -> None:
        """As forges make them."""
        self.assertEqual(slug("How the file is read"), "how-the-file-is-read")
        self.assertEqual(slug("`sources[].http_sd`"), "sourceshttp_sd")
        self.assertEqual(slug("Errors, 502 & 504"), "errors-502--504")
