"""Tests of promproxy.sync.groups."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import SourceError
from promproxy.sync.groups import target_counts

GOOD = (
    "[]",
    ' [ {"targets": ["a:1", "b:2"], "labels": {"zone": "x"}} ]\n',
    '[{"targets": [], "labels": {}}]',
    '[{"targets": null, "labels": null}, {}, {"labels": {"a": null}}]',
    '[{"targets": ["no address at all"], "labels": {"__meta_x": ""}}]',
)
BAD = (
    ("", "not a JSON array"),
    ("{}", "not a JSON array"),
    ('[{"targets": ["a:1"]}', "not a JSON array"),
    ('[{"targets": ["a:1"]}] x', "not a JSON array"),
    ("<html>", "not a JSON array"),
    ("[" * 100_000, "not a JSON array: nested too deeply"),
    ('["a:1"]', "group 1 is not a mapping"),
    ("[null]", "group 1 is not a mapping"),
    ('[{}, {"targets": "a:1"}]', "group 2: 'targets' is not a list of strings"),
    ('[{"targets": [1]}]', "group 1: 'targets' is not a list of strings"),
    ('[{"targets": ["a:1"], "label": {}}]', "group 1: unknown key 'label'"),
    ('[{"targets": [], "labels": []}]', "group 1: 'labels' is not a mapping"),
    ('[{"targets": ""}]', "group 1: 'targets' is not a list of strings"),
    ('[{"targets": [], "labels": ["x"]}]', "group 1: 'labels' is not a mapping"),
    ('[{"labels": {"a-b": "x"}}]', "group 1: 'a-b' is not a label name"),
    ('[{"labels": {"a": 1}}]', "group 1: the value of label 'a' is not a string"),
)


def count(text: str) -> int:
    return sum(target_counts(text.encode()))


class TargetCountsTests(SynchronousTestCase):
    """`target_counts`; test_sync has promtool's word on the same documents."""

    def test_good_documents(self) -> None:
        """The targets of all groups."""
        self.assertEqual([count(text) for text in GOOD], [0, 2, 0, 0, 1])

    def test_bad_documents(self) -> None:
        """Each with the place and what is wrong."""
        for text, message in BAD:
            error = self.assertRaises(SourceError, count, text)
            self.assertIn(message, str(error))

    def test_no_utf_8(self) -> None:
        self.assertEqual(sum(target_counts(b'[{"targets": ["\xff:1"]}]')), 1)

    def test_as_go_reads_json(self) -> None:
        """null is no group, and members are in any case."""
        self.assertEqual(sum(target_counts(b" null\n")), 0)
        self.assertEqual(sum(target_counts(b'[{"targets": [null, "a:1"]}]')), 1)
        self.assertEqual(sum(target_counts(b'[{"Targets": ["a:1"], "LABELS": null}]')), 1)

    @given(st.binary(max_size=200))
    def test_any_bytes(self, body: bytes) -> None:
        """They are counted or refused, never anything else."""
        try:
            sum(target_counts(body))
        except SourceError:
            return
        json.loads(body)  # what is taken is JSON

    @given(
        st.lists(
            st.fixed_dictionaries({"targets": st.lists(st.text()), "labels": st.just({"a": "b"})})
        )
    )
    def test_any_targets(self, groups: list[dict[str, list[str]]]) -> None:
        text = json.dumps(groups, ensure_ascii=True)
        self.assertEqual(count(text), sum(len(group["targets"]) for group in groups))
