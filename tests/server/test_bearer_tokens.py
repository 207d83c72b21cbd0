"""Tests of promproxy.server.bearer_tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.server.bearer_tokens import Tokens, is_bearer

TOKENS = Tokens().renewed({"a": "t0ken", "b": "t0ken+/="})


class TokensTests(SynchronousTestCase):
    def test_name_of_a_token(self) -> None:
        """The scheme in any letters, and as much space as one likes."""
        for header, name in (
            (b"Bearer t0ken", "a"),
            (b"bearer  t0ken+/=", "b"),
            (b"BEARER t0ken ", "a"),
        ):
            assert is_bearer(header)
            self.assertEqual(TOKENS.name_in(header), name, header)

    def test_wrong_ones(self) -> None:
        """Have no name: neither what is near, nor none."""
        for header in (b"Bearer t0ke", b"Bearer T0ken", b"Bearer t0ken,", b"Bearer ", b"Bearer a"):
            self.assertEqual(TOKENS.name_in(header), "", header)
        self.assertEqual(Tokens().name_in(b"Bearer "), "")

    def test_other_schemes(self) -> None:
        for header in (b"Basic dDBrZW4=", b"Bearer", b"Bearert0ken", b"", b"t0ken"):
            assert not is_bearer(header), header

    @given(st.binary())
    def test_any_bytes(self, data: bytes) -> None:
        """Are no error, and nobody."""
        if data.strip() not in (b"t0ken", b"t0ken+/="):
            self.assertEqual(TOKENS.name_in(b"Bearer " + data), "")

    def test_renewed(self) -> None:
        """Nothing of those before is left; equal if and only if they are the same."""
        other = TOKENS.renewed({"a": "new"})
        self.assertEqual(other.name_in(b"Bearer new"), "a")
        self.assertEqual(other.name_in(b"Bearer t0ken"), "")
        self.assertNotEqual(TOKENS, other)
        self.assertEqual(TOKENS, other.renewed({"a": "t0ken", "b": "t0ken+/="}))

    def test_nothing_shows(self) -> None:
        """Nor is any token kept."""
        self.assertNotIn("t0ken", f"{TOKENS!r} {TOKENS} {TOKENS._names}")
