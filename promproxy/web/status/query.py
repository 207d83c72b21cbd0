"""What the status page is asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import attrs
from attrs import frozen

from promproxy.scrape.history import TargetRecord
from promproxy.targets.target import Target

UP, DOWN, UNKNOWN = HEALTHS = ("up", "down", "unknown")
SORTS = ("slowest", "largest", "oldest")  # the default is the order of the sources
CONFIGURATION = "configuration"
LONGEST_TEXT = 200


@frozen(kw_only=True)
class Query:
    """Which targets are shown, and which part of them; every field has a value that means all.

    ``text`` is looked for in a target's id, URL, labels and last error, without regard to case.
    ``view`` is CONFIGURATION, or ``""`` for sources and targets. The first ``page`` is 1.
    """

    text: str = ""
    source: str = ""
    health: str = ""
    sort: str = ""
    page: int = 1
    view: str = ""

    @classmethod
    def from_args(cls, args: Mapping[bytes, list[bytes]]) -> Query:
        """The query of a request; what makes no sense means all, as if it were not there."""
        said = {name.decode("latin-1"): _decoded(values[-1]) for name, values in args.items()}
        return cls(
            text=said.get("text", "").strip()[:LONGEST_TEXT],
            source=said.get("source", ""),
            health=_among(HEALTHS, said.get("health", "")),
            sort=_among(SORTS, said.get("sort", "")),
            page=_page(said.get("page", "")),
            view=_among((CONFIGURATION,), said.get("view", "")),
        )

    def link(self, **changes: Any) -> str:
        """A relative URL of the page that shows the same but for the changes, from its start."""
        query = attrs.evolve(self, **{"page": 1, **changes})
        said = {
            field.name: value
            for field in attrs.fields(Query)
            if (value := getattr(query, field.name)) != field.default
        }
        return f"?{urlencode(said)}" if said else "./"

    def wants(self, target: Target, record: TargetRecord | None) -> bool:
        """Whether a target is among those that are asked for."""
        if self.source and target.source != self.source:
            return False
        if self.health and health_of(record) != self.health:
            return False
        return not self.text or _is_in(self.text.lower(), target, record)


def health_of(record: TargetRecord | None) -> str:
    """How the last scrape ended, as Prometheus calls it."""
    if record is None or not record.outcome:
        return UNKNOWN
    return UP if record.is_up else DOWN


def _is_in(text: str, target: Target, record: TargetRecord | None) -> bool:
    if text in target.id.lower() or text in target.instance.lower() or text in target.url.lower():
        return True
    if any(text in value.lower() for value in target.labels.values()):
        return True
    return record is not None and text in record.error.lower()


def _page(text: str) -> int:
    return max(1, int(text)) if text.isdecimal() and len(text) < 9 else 1


def _among(words: tuple[str, ...], word: str) -> str:
    return word if word in words else ""


def _decoded(value: bytes) -> str:
    return value.decode("utf-8", "replace")
