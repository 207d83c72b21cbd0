"""What several tests of the status page need."""

from __future__ import annotations

from typing import Any

from promproxy.scrape.history import TargetRecord
from tests.fakes import FakeProfiles, make_target


def record(outcome: str = "success", **values: Any) -> TargetRecord:
    """How a scrape ended."""
    fields: dict[str, Any] = {"target": make_target(), "template": None, "profiles": FakeProfiles()}
    return TargetRecord(outcome=outcome, **{**fields, **values})
