"""Tests of promproxy.exposition.rewrite."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from promproxy.exposition.labels import SeriesLabels
from promproxy.exposition.rewrite import SLICE_BYTES, Block, Rewriter
from promproxy.exposition.text import BadExposition
from tests.exposition.support import OURS, exactly, meaning, result_of, rewritten

L = rb'instance="t",org_name="a"'

#: A target's line, and what becomes of it. Numbers: the acceptance cases of merged scrapes.
GOOD = {
    rb"m 1": rb"m{%b} 1",  # 1
    rb"m{} 1": rb"m{%b} 1",
    rb'm{a="b",} 1': rb'm{%b,a="b",} 1',
    rb'm{i="a\\b\"c}\n{d,e=f"} 1': rb'm{%b,i="a\\b\"c}\n{d,e=f"} 1',  # 2
    rb'm{a=",instance="} 1': rb'm{%b,a=",instance="} 1',  # 3
    rb'm{instance="x"} 1': rb'm{%b,exported_instance="x"} 1',  # 4
    rb'm{instance="x",exported_instance="y"} 1': (  # 5
        rb'm{%b,exported_instance="y",exported_exported_instance="x"} 1'
    ),
    rb'm{org_name=""} 1': rb"m{%b} 1",  # 6
    rb"m 1 1700000000000": rb"m{%b} 1 1700000000000",  # 7
    b"m 1 " + b"0" * 5000 + b"7": b"m{%b} 1 " + b"0" * 5000 + b"7",
    rb'm {a="b"} 1': rb'm{%b,a="b"} 1',  # 9
    rb'm{a="b"}1': rb'm{%b,a="b"} 1',
    rb'm{a="b"c="d"} 1': rb'm{%b,a="b",c="d"} 1',
    b'm\t{\ta\t=\t"b"\t,\t}\t1\t5\t': rb'm{%b,a="b"} 1 5',
    b'm{a="x\nfoo 1\ny"} 1': rb'm{%b,a="x\nfoo 1\ny"} 1',  # 10
    rb"#   TYPE   m   gauge": rb"# TYPE m gauge",  # 15
    rb'm{a="} 1"} 2': rb'm{%b,a="} 1"} 2',
}
VALUES = [
    "NaN",
    "nan",
    "+Inf",
    "-inf",
    "infinity",
    ".5",
    "5.",
    "1E5",
    "1e-320",
    "1e308",
    "-0",
    "+7",
    "007",
]
IGNORED = (b"", b"\n", b"  \t\n", b"#TYPE m foo", b"# EOF", b"# UNIT m s", b"# HELPx y", b"#")
BAD = (
    *(
        b" m 1",
        b"\tm 1",
        b"m 1\r\n",
        b"\xef\xbb\xbfm 1",
        b"<html></html>",
        b"m{,} 1",
        b'm{,i="1"} 1',
    ),  # 12
    *(b'm{i="1",,} 1', b'm{1a="x"} 1', b'm{a:b="x"} 1'),
    *(b"m 1e999", b"m 0x10", b"m 1_000", b"m +NaN", b"m -nan", b"m .", b"m 1e"),  # 13
    *(b"m 1 -5", b"m 1 1.5", b"m 1 99999999999999999999", b"m 1 9223372036854775808"),
    *(b'm{a="1",a="2"} 1', b'm{__name__="z"} 1'),  # 14
    *(b"# TYPE m unknown", b"# TYPE m GAUGE", b"# TYPE m", b"# TYPE m gauge ", b"# TYPE 1m gauge"),
    *(
        b"m\0 1",
        b"m 1\n\0",
        b'm{a="\0"} 1',
        b'm{a="\xff"} 1',
        b"# HELP m \xff",
        b'm 1 # {a="b"} 1',
    ),  # 16
    *(b'{"a.b"} 1', b'm{"a.b"="c"} 1', b"m", b"m ", b"m{", b"m{ 1", b'm{a="b" 1', b'm{a="b'),
    *(b'm{a="b} 1\nm{c="d"} 1', b"m{a=b} 1", b"m } 1", b"m 1 2 3", b"1m 1", b'm{a="b"} } 1'),
)

NAMES = st.sampled_from(["m", "a:b", "_x1", "node_cpu_seconds_total"])
LABEL_NAMES = st.sampled_from(["a", "b", "le", "instance", "exported_instance", "org_name"])
LABEL_VALUES = st.text(st.sampled_from('ab}{", \\n=#1'), max_size=6).map(
    lambda text: text.replace("\\", "\\\\").replace('"', '\\"')
)
LABELS = st.dictionaries(LABEL_NAMES, LABEL_VALUES, max_size=3).map(
    lambda labels: ",".join(f'{name}="{value}"' for name, value in labels.items())
)
PIECES = st.sampled_from(
    [*' \t\n{}",=#\\', '"}', "m", "a", "1", " 1\n", "# TYPE m gauge\n", "# HELP m x\n", "\0", "\r"]
)
LINES = st.one_of(
    st.builds("{}{{{}}} {}\n".format, NAMES, LABELS, st.sampled_from(VALUES)),
    st.builds("{} {}\n".format, NAMES, st.integers()),
    st.lists(PIECES, max_size=9).map("".join),
)
BODIES = st.lists(LINES, max_size=6).map(lambda lines: "".join(lines).encode())


class RewriteTests(SynchronousTestCase):
    def test_labels_go_into_each_series(self) -> None:
        for line, expected in GOOD.items():
            self.assertEqual(rewritten(line).text, expected.replace(b"%b", L) + b"\n", line)

    def test_values_are_kept(self) -> None:
        for value in VALUES:
            text = rewritten(b"m %b" % value.encode()).text
            self.assertEqual(text, b"m{%b} %b\n" % (L, value.encode()))

    def test_lines_without_meaning_are_left_out(self) -> None:
        """An empty body is a good one without samples."""
        for line in IGNORED:
            self.assertEqual(rewritten(line), Block(b"", known=rewritten(line).known), line)

    def test_what_prometheus_refuses_is_refused(self) -> None:
        """Also between good lines, and where the series are those of the last scrape."""
        for line in BAD:
            for body in (line, b"a 1\n%b\nb 2\n" % line):
                with self.assertRaises(BadExposition, msg=body):
                    rewritten(body)

    def test_known_series_do_not_hide_what_is_bad(self) -> None:
        """`Block.known` says nothing of values, metadata and odd lines."""
        known = rewritten(b'm{a="1"} 1\nn 1\n').known
        for body in (b'm{a="1"} x\nn 1\n', b'm{a="1"} 1\n# TYPE m x\nn 1\n', b'm{a="1"} 1\nn{ 1\n'):
            with self.assertRaises(BadExposition):
                rewritten(body, known=known)

    def test_known_series_of_other_labels_are_looked_at_again(self) -> None:
        """A label that collides with ours now did not collide then."""
        known = rewritten(b'm{a="1"} 1\n').known
        block = rewritten(b'm{a="1"} 1\n', SeriesLabels({"a": "x"}), known)
        self.assertEqual(block.text, b'm{a="x",exported_a="1"} 1\n')

    def test_help_is_told_apart(self) -> None:
        """It is sent once for all targets; a type is sent for each."""
        block = rewritten(b"# HELP m what it is\n# TYPE m gauge\nm 1\n")
        self.assertEqual(block.help, ((b"m", b"# HELP m what it is\n"),))
        self.assertEqual(block.text, b"# TYPE m gauge\nm{%b} 1\n" % L)

    def test_counts(self) -> None:
        """Samples of plain and of odd lines; series that collide."""
        block = rewritten(b'm 1\nm{instance="x"} 1\nm\t2\nn{instance=""} 1\n')
        self.assertEqual((block.samples, block.collisions), (4, 1))

    def test_honor_labels(self) -> None:
        """A series' own label stays, even where it is empty: then there is none."""
        labels = SeriesLabels({"instance": "t", "org_name": "a"}, honor=True)
        block = rewritten(b'm{instance="x"} 1\nm{instance=""} 2\nm 3\n', labels)
        expected = b'm{org_name="a",instance="x"} 1\nm{org_name="a"} 2\nm{%b} 3\n' % L
        self.assertEqual(block.text, expected)

    def test_slices(self) -> None:
        """Long bodies are cut between lines, odd ones too, and come out whole."""
        plain = b"".join(b'm{a="%d"} %d\n' % (n, n) for n in range(30_000))
        for body in (plain, plain.replace(b"} ", b" }\t")):
            work = Rewriter().rewrite(body, OURS)
            yields = 0
            while True:
                try:
                    next(work)
                except StopIteration as stop:
                    block = stop.value
                    break
                yields += 1
            self.assertGreaterEqual(yields, len(body) // SLICE_BYTES)
            self.assertEqual(block.samples, 30_000)
            self.assertEqual(block.text.count(b"\n"), 30_000)

    def test_one_endless_line(self) -> None:
        """Work grows with the length, not with its square."""
        for filler in (rb"\"", b"}", b"} ", b'"', b"a", b"{", b'a="",'):
            with self.assertRaises(BadExposition):
                rewritten(b"m{" + filler * (SLICE_BYTES // len(filler)))

    def test_metadata_is_remembered_by_its_text(self) -> None:
        """The same rewriter, other targets."""
        rewriter = Rewriter()
        for labels in (OURS, SeriesLabels({"instance": "u"})):
            for body in (b"# HELP m x\n# TYPE m gauge\nm 1\n", b"# TYPE m counter\nm 1\n"):
                block = result_of(rewriter.rewrite(body, labels))
                self.assertEqual(block, rewritten(body, labels))


class DifferentialTests(SynchronousTestCase):
    @given(BODIES, st.booleans())
    @example(b'm{a="} 1\nm{b="x"} 1\n', False)
    def test_fast_and_exact_agree(self, body: bytes, honor: bool) -> None:
        """On refusals, samples, metadata and counts; also when the series are known."""
        labels = SeriesLabels(OURS.labels, honor)
        if body and not body.endswith(b"\n"):
            body += b"\n"
        try:
            expected = exactly(body, labels)
        except BadExposition:
            self.assertRaises(BadExposition, rewritten, body, labels)
            return
        block = rewritten(body, labels)
        for found in (block, rewritten(body, labels, block.known)):
            self.assertEqual(meaning(found.text), meaning(expected.text))
            self.assertEqual(found.samples, expected.samples)
            self.assertEqual(found.collisions, expected.collisions)
            self.assertEqual(dict(found.help), dict(reversed(expected.help)))

    @given(st.lists(st.builds("{}{{{}}} {}".format, NAMES, LABELS, st.integers(0, 99)), max_size=5))
    def test_the_client_library_reads_the_same(self, lines: list[str]) -> None:
        """`prometheus_client` finds each sample with its labels and ours."""
        text = rewritten("\n".join(lines).encode()).text.decode()
        found = [s for family in text_string_to_metric_families(text) for s in family.samples]
        self.assertEqual(len(found), len(lines))
        for sample in found:
            self.assertEqual((sample.labels["instance"], sample.labels["org_name"]), ("t", "a"))

    @given(st.binary(max_size=60))
    def test_anything_is_rewritten_or_refused(self, body: bytes) -> None:
        """What comes out means the same to the exact parser a second time."""
        try:
            text = rewritten(body).text
        except BadExposition as error:
            assert re.match(r"line \d+ is not|it holds", str(error))
        else:
            self.assertEqual(rewritten(text, SeriesLabels({})).samples, rewritten(body).samples)
