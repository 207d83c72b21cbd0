"""What several tests of the status page need."""

from __future__ import annotations

from typing import Any

from promproxy.scrape.results import Record
from tests.fakes import make_target


def record(outcome: str = "success", **values: Any) -> Record:
    """How a scrape ended."""
    fields: dict[str, Any] = {"target": make_target(), "prepared": None, "version": 0}
    return Record(outcome=outcome, **{**fields, **values})
