"""Runs the generators of `promproxy.exposition`, and says what a text means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import TypeVar

from promproxy.exposition.labels import SeriesLabels
from promproxy.exposition.rewrite import Block, Rewriter, exact
from promproxy.exposition.text import Sample, parse

T = TypeVar("T")

OURS = SeriesLabels({"instance": "t", "org_name": "a"})


def result_of(work: Generator[None, None, T]) -> T:
    """Run a generator to its end."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: T = stop.value
            return result


def rewritten(body: bytes, labels: SeriesLabels = OURS, known: tuple[bytes, ...] = ()) -> Block:
    """The block of a fresh rewriter."""
    return result_of(Rewriter().rewrite(body, labels, known))


def exactly(body: bytes, labels: SeriesLabels = OURS) -> Block:
    """The block of the exact parser alone."""
    return result_of(exact(body, labels))


def meaning(text: bytes) -> Counter[object]:
    """The samples and metadata of a text, whatever the order of labels; an empty one is none."""
    return Counter(
        (
            entry.name,
            frozenset(label for label in entry.labels if label[1]),
            entry.value,
            entry.timestamp,
        )
        if isinstance(entry, Sample)
        else (entry.kind, entry.name, entry.text)
        for entry in parse(text)
    )
