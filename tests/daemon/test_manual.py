"""Tests of promproxy.daemon.manual."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from promproxy.daemon.manual import FOLDERS, manual_page


class ManualPageTests(SynchronousTestCase):
    def test_is_a_file_of_this_checkout(self) -> None:
        assert Path(manual_page("web-config.md", FOLDERS[1:])).is_file()

    def test_names_the_page_where_no_manual_is_installed(self) -> None:
        self.assertEqual(manual_page("x.md", (Path("/nowhere"),)), "the manual's page x.md")
