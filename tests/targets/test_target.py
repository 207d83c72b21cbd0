"""Tests of promproxy.targets.target."""

from __future__ import annotations

from typing import Any

from attrs.exceptions import FrozenInstanceError
from twisted.trial.unittest import SynchronousTestCase

from promproxy.targets.target import Delivery, Target


def make_target(**values: Any) -> Target:
    usual = {"id": "s/db:9100", "source": "s", "scheme": "http", "host": "db", "port": 9100}
    return Target(**{**usual, "path": "/metrics", "instance": "db:9100", **values})


class TargetTests(SynchronousTestCase):
    def test_bad_ids_are_refused(self) -> None:
        """No target exists whose id could not be asked for."""
        for bad in ("", "a b", "/a", "a/../b", "a?b"):
            with self.assertRaises(ValueError, msg=bad):
                make_target(id=bad)

    def test_other_schemes_are_refused(self) -> None:
        """We speak http and https only."""
        for bad in ("", "HTTP", "ftp", "http:"):
            with self.assertRaises(ValueError, msg=bad):
                make_target(scheme=bad)

    def test_it_never_changes(self) -> None:
        """A target is a value."""
        with self.assertRaises(FrozenInstanceError):
            make_target().host = "other"  # type: ignore[misc]
        self.assertEqual(make_target(), make_target())

    def test_netloc(self) -> None:
        """The scheme's own port is left out, an IPv6 address stands in brackets."""
        for scheme, host, port, netloc in (
            ("http", "db", 9100, "db:9100"),
            ("http", "db", 80, "db"),
            ("http", "db", 443, "db:443"),
            ("https", "db", 443, "db"),
            ("https", "db", 80, "db:80"),
            ("http", "::1", 80, "[::1]"),
            ("http", "::1", 9100, "[::1]:9100"),
        ):
            self.assertEqual(make_target(scheme=scheme, host=host, port=port).netloc, netloc)

    def test_url_shows_no_query(self) -> None:
        """A query may hold a token, and the URL is shown to whoever asks."""
        target = make_target(scheme="https", path="/probe", query="token=x")
        self.assertEqual(target.url, "https://db:9100/probe")


class DeliveryTests(SynchronousTestCase):
    def test_nothing_is_left_out_by_default(self) -> None:
        """A delivery of targets alone needs no more words."""
        self.assertEqual(Delivery((make_target(),)).dropped, ())
