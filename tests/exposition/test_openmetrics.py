"""Tests of promproxy.exposition.openmetrics."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.exposition.openmetrics import to_text
from promproxy.exposition.text import BadExposition
from tests.exposition.support import meaning, result_of

#: Lines of OpenMetrics, and what the text format has in their place.
CONVERTED = {
    b"m 1": b"m 1\n",
    b'm{a="b"} 1': b'm{a="b"} 1\n',
    b"m{} 1": b"m{} 1\n",
    b"m 1 1700000000.123": b"m 1 1700000000123\n",
    b"m 1 1.7e9": b"m 1 1700000000000\n",
    b"# TYPE m counter\nm_total 1\nm_created 5": (
        b"# TYPE m_total counter\nm_total 1\nm_created 5\n"
    ),
    b"# HELP m x\n# TYPE m counter\nm_total 1": (
        b"# HELP m_total x\n# TYPE m_total counter\nm_total 1\n"
    ),
    b'# TYPE m info\n# UNIT m \nm_info{v="1"} 1': b'# TYPE m_info gauge\nm_info{v="1"} 1\n',
    b'# TYPE m stateset\nm{m="a"} 1': b'# TYPE m gauge\nm{m="a"} 1\n',
    b"# TYPE m unknown\nm 1": b"# TYPE m untyped\nm 1\n",
    b'# TYPE m gaugehistogram\nm_bucket{le="1"} 1': b'# TYPE m untyped\nm_bucket{le="1"} 1\n',
    b"# UNIT a_s s\na_s 1": b"a_s 1\n",
    rb"# HELP m a \"b\" \\ \n": rb'# HELP m a "b" \\ \n' + b"\n",
    b'm_bucket{le="1"} 5 # {id="} 1 # {"} 0.5 1700000000': b'm_bucket{le="1"} 5\n',
    b"m_total 1 5 # {} 1": b"m_total 1 5000\n",
}
BAD = (
    *(b"# UNIT m s", b"# UNIT ms s", b"# UNIT s s"),
    *(b"", b"\n", b"m  1", b" m 1", b"m 1 ", b'm {a="b"} 1', b'm{a="b",} 1', b'm{a="b"}1'),
    *(b"# TYPE m foo", b"# comment", b"#TYPE m gauge", b"m 1 NaN", b"m 1 +Inf", b"m 1 x", b"m x"),
    *(b'm 1 # {a="b"}', b'm 1 # {a="b"} x', b'm 1 # {a="b"} 1 NaN', b'm{a="b\nc"} 1', b"# EOF"),
)


class OpenMetricsTests(SynchronousTestCase):
    def test_lines_are_converted(self) -> None:
        for lines, expected in CONVERTED.items():
            self.assertEqual(result_of(to_text(lines + b"\n# EOF\n")), expected)

    def test_an_end_without_a_newline(self) -> None:
        self.assertEqual(result_of(to_text(b"m 1\n# EOF")), b"m 1\n")
        self.assertEqual(result_of(to_text(b"# EOF")), b"")

    def test_the_end_has_to_be_there(self) -> None:
        """Else the answer may have been cut short."""
        for body in (b"", b"m 1\n", b"m 1\n# EOF\nm 2\n", b"# EOF\n\n", b"# EOF "):
            self.assertRaises(BadExposition, result_of, to_text(body))

    def test_what_prometheus_refuses_is_refused(self) -> None:
        for line in BAD:
            with self.assertRaises(BadExposition, msg=line):
                result_of(to_text(b"a 1\n%b\n# EOF\n" % line))

    def test_long_bodies_yield(self) -> None:
        """So that the reactor gets its turn."""
        self.assertEqual(len(list(to_text(b"m 1\n" * 3500 + b"# EOF\n"))), 3)

    @given(st.lists(st.sampled_from([b"m 1", b'm{a="x"} 2 3.5', b"# TYPE m gauge", b"# HELP m h"])))
    def test_what_comes_out_is_text(self, lines: list[bytes]) -> None:
        """The exact parser of the text format takes it, sample for sample."""
        text = result_of(to_text(b"\n".join([*lines, b"# EOF"])))
        samples = sum(line.startswith(b"m") for line in lines)
        found = sum(n for entry, n in meaning(text).items() if len(entry) == 4)  # type: ignore[arg-type]
        self.assertEqual(found, samples)
