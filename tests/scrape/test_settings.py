"""Tests of promproxy.scrape.settings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.scrape.settings import ScrapeSettings

SECONDS = st.floats(0.001, 1e6)
HEADERS = st.one_of(
    st.none(),
    st.binary(max_size=8),
    st.floats(0.001).map(lambda number: repr(number).encode()),
    st.sampled_from([b"inf", b"-inf", b"nan", b"-1", b"0", b"1e999", b"", b" 5 ", b"10s"]),
)


class DeadlineTests(SynchronousTestCase):
    def test_what_the_caller_says(self) -> None:
        """Its time-out, less the offset."""
        self.assertEqual(ScrapeSettings().deadline_in(b"15"), 14.75)
        self.assertEqual(ScrapeSettings().deadline_in(b"1.5"), 1.25)

    def test_no_time_out_given(self) -> None:
        """The default, less the offset; so too for a header that names no positive number."""
        for header in (None, b"", b"x", b"10s", b"0", b"-5", b"nan", b"\xff"):
            self.assertEqual(ScrapeSettings().deadline_in(header), 9.75, header)

    def test_maximum(self) -> None:
        """No scrape takes longer, whatever is asked for."""
        for header in (b"61", b"1e9", b"inf"):
            self.assertEqual(ScrapeSettings().deadline_in(header), 59.75)

    def test_default_above_the_maximum(self) -> None:
        """The maximum holds for callers that name no time-out as well."""
        self.assertEqual(ScrapeSettings(default_timeout=10, max_timeout=5).deadline_in(None), 4.75)

    def test_short_time_outs(self) -> None:
        """Half of the time is left to scrape where the offset would take more."""
        self.assertEqual(ScrapeSettings().deadline_in(b"0.4"), 0.2)
        self.assertEqual(ScrapeSettings(timeout_offset=30).deadline_in(b"10"), 5)

    @given(HEADERS, SECONDS, SECONDS, st.just(0.0) | SECONDS)
    def test_any_header(
        self, header: bytes | None, default: float, maximum: float, offset: float
    ) -> None:
        """The deadline lies ahead, and no further away than the maximum."""
        settings = ScrapeSettings(
            default_timeout=default, max_timeout=maximum, timeout_offset=offset
        )
        assert 0 < settings.deadline_in(header) <= maximum
