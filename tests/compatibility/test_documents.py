"""Target-group documents: sources and `promproxy sync` against Prometheus's file_sd_configs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import SourceError
from promproxy.sync.groups import target_counts
from tests.compatibility.corpus import documents
from tests.compatibility.oracle import Verdict, by_prometheus, by_promproxy

#: Prometheus refuses the whole document for it; promproxy takes the other parts, and names what it
#: dropped by this reason. One bad part does not spoil its neighbours.
TAKES_THE_REST = {
    "group": "a group of another shape",
    "group_key": "a group with a key that Prometheus has not",
    "label_name": "a label's name that is none",
    "label_value_type": "a label's value that is not text",
    "target_address": "a target that is not text",
}

#: Prometheus takes it, and promproxy drops it by this reason.
DROPS = {
    "target_address": "an address that Prometheus lists but cannot connect to as it stands; and "
    "three that it can: a port by its name, a host left out (the scraper itself), a zone (an "
    "interface of the scraper's) and a name outside ASCII (write its xn-- form: ids are ASCII)",
    "target_scheme": "a scheme that neither can scrape; Prometheus lists it all the same",
    "label_value_length": "more than 4 kB: memory has bounds",
    "label_name": "a name of more than 1 kB: memory has bounds",
}

#: Prometheus refuses documents with these parts, none of which can be misunderstood.
TAKES_MORE = {
    "\ufeff[": "a byte order mark before JSON",
    "<<: *l, z: '2'": "a key beside a merge that overrides it, which is what merges are for",
    "%YAML 1.2": "a document that says it is YAML 1.2",
}


def explanation(theirs: Verdict, ours: Verdict) -> str | None:
    """The entry of the tables for a difference, None if they have none; ``""`` if both agree."""
    if theirs.targets == ours.targets:
        return ""
    if ours.targets is None:
        return None
    if theirs.targets is None:
        return next((f"takes the rest: {r}" for r in TAKES_THE_REST if r in ours.dropped), None)
    reasons = [r for r in DROPS if r in ours.dropped]
    if not reasons:
        return None
    # What is left must be theirs, at most with labels that were dropped.
    for target in ours.targets:
        if not any(
            target.url == other.url
            and target.parameters == other.parameters
            and set(target.labels) <= set(other.labels)
            for other in theirs.targets
        ):
            return None
    return f"drops: {reasons[0]}"


def is_synced(content: bytes) -> bool:
    """Whether ``promproxy sync`` would write it to a file of Prometheus's."""
    try:
        for _ in target_counts(content):
            pass
    except SourceError:
        return False
    return True


class DocumentsTestCase(SynchronousTestCase):
    def compare(self, files: dict[str, bytes]) -> set[str]:
        """The explanations used. Fails for a difference that has none."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        theirs = by_prometheus(files, folder)
        used, unexplained = set(), []
        for name, content in files.items():
            ours = by_promproxy(folder / name)
            why = explanation(theirs[name], ours)
            if why is None and theirs[name].targets is None:
                text = content.decode(errors="replace")
                why = next((f"takes more: {part}" for part in TAKES_MORE if part in text), None)
            if why is None:
                unexplained.append(f"{name}: {content[:300]!r}\n  {theirs[name]}\n  {ours}")
            used.add(why or "")
            if name.endswith(".json") and is_synced(content) != (theirs[name].targets is not None):
                unexplained.append(f"{name}: {content[:300]!r}\n  differs for promproxy sync")
        if unexplained:
            self.fail("\n".join(["promproxy differs from Prometheus:", *unexplained]))
        return used - {""}


class CorpusTests(DocumentsTestCase):
    def test_corpus(self) -> None:
        """Each document has the same targets for both, or a difference that is meant.

        No entry of the tables is there in vain.
        """
        files = dict(documents())
        self.assertGreaterEqual(len(files), 150)
        used = self.compare(files)
        self.assertEqual(
            used,
            {f"takes the rest: {reason}" for reason in TAKES_THE_REST}
            | {f"drops: {reason}" for reason in DROPS}
            | {f"takes more: {part}" for part in TAKES_MORE},
        )


ADDRESSES = st.sampled_from(
    [
        *("a:1", "a", "b.example:9100", "[::1]:80", "[::1]", "10.0.0.1:80", "A_b:443", "a:443"),
        *("a:0", "a:99999", "", "a/b", "a b", "[:::]:1", "é:1", "::1", "http://a"),
    ]
)
NAMES = st.sampled_from(
    [
        *("x", "y", "_", "instance", "job", "__meta_a", "__scheme__", "__metrics_path__"),
        *("__param_a", "__param_b", "__address__", "__tmp_x", "a-b", "é", ""),
    ]
)
VALUES = st.sampled_from(
    [
        "1",
        "",
        "http",
        "https",
        "HTTPS",
        "ftp",
        "/m",
        "m",
        "/a b",
        "é",
        "a\nb",
        " ",
        "null",
        "yes",
        "~",
    ]
)
ODD = st.sampled_from([None, True, 0, 1.5, "text", [], {}, ["a:1"], {"x": "1"}])
RARELY = st.integers(0, 9).map(lambda number: number == 0)


@st.composite
def groups(draw: Any) -> Any:
    """Mostly good ones."""
    if draw(RARELY):
        return draw(ODD)
    group: dict[str, Any] = {"targets": draw(st.lists(ADDRESSES, max_size=3))}
    if draw(RARELY):
        group["targets"] = draw(ODD)
    if draw(st.booleans()):
        group["labels"] = draw(st.dictionaries(NAMES, VALUES, max_size=4))
        if draw(RARELY):
            group["labels"][draw(NAMES)] = draw(ODD)
    if draw(RARELY):
        group[draw(st.sampled_from(["Targets", "label", "labels"]))] = draw(ODD)
    return group


BATCHES = st.lists(st.lists(groups(), max_size=3), min_size=60, max_size=60)


class AnyDocumentTests(DocumentsTestCase):
    # Each example takes Prometheus a second, so that to look for the smallest takes too long.
    @settings(max_examples=6, phases=[Phase.generate])
    @given(BATCHES)
    def test_any_document(self, batch: list[Any]) -> None:
        """As JSON and as YAML."""
        files: dict[str, bytes] = {}
        for number, document in enumerate(batch):
            files[f"{number}.json"] = json.dumps(document, ensure_ascii=number % 2 == 0).encode()
            files[f"{number}.yml"] = yaml.safe_dump(document, allow_unicode=True).encode()
        self.compare(files)
