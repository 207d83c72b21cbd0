"""``GET /api/v1/targets``: the targets and how their last scrapes ended, as Prometheus tells it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from itertools import islice

from twisted.web.resource import Resource
from twisted.web.server import Request

from promproxy.registry import Registry
from promproxy.scrape.history import ScrapeHistory, TargetRecord
from promproxy.server.answers import plain_answer
from promproxy.targets.target import Target

MOST_AT_A_TIME = 1000  # so that a page is made in one short step

_NEVER = "0001-01-01T00:00:00Z"  # as Prometheus writes it


class TargetsResource(Resource):
    """All targets, or those that ``limit`` and ``offset`` choose, in the order of their sources.

    A page has at most `MOST_AT_A_TIME` targets; one that has fewer than asked for is the last.
    """

    isLeaf = True
    page = "targets"

    def __init__(self, registry: Registry, history: ScrapeHistory) -> None:
        super().__init__()
        self._registry = registry
        self._history = history

    def render_GET(self, request: Request) -> bytes:
        try:
            limit = _number(request, b"limit", MOST_AT_A_TIME)
            offset = _number(request, b"offset", 0)
            if limit > MOST_AT_A_TIME:
                raise ValueError(f"limit: at most {MOST_AT_A_TIME}")
        except ValueError as error:
            return _answer(
                request, 400, {"status": "error", "errorType": "bad_data", "error": str(error)}
            )
        page = islice(self._registry.snapshot.targets(), offset, offset + limit)
        data = {"activeTargets": self._active(page)}
        return _answer(request, 200, {"status": "success", "data": data})

    def _active(self, targets: Iterable[Target]) -> list[dict[str, object]]:
        return [active_target(target, self._history.last(target.id)) for target in targets]


def active_target(target: Target, record: TargetRecord | None) -> dict[str, object]:
    """One target in the shape of Prometheus's ``/api/v1/targets``."""
    labels = {name: value for name, value in target.labels.items() if not name.startswith("__")}
    scraped = record if record is not None and record.outcome else None
    return {
        "discoveredLabels": {**target.labels, "instance": target.instance},
        "labels": {**labels, "instance": target.instance},
        "scrapePool": target.source,
        "scrapeUrl": target.url,
        "lastError": "" if scraped is None else scraped.error,
        "lastScrape": _NEVER if scraped is None else _moment(scraped.began),
        "lastScrapeDuration": 0.0 if scraped is None else scraped.seconds,
        "health": "unknown" if scraped is None else "up" if scraped.is_up else "down",
    }


def _moment(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(request: Request, name: bytes, default: int) -> int:
    text = request.args.get(name, [b"%d" % default])[-1]
    if not text.isdigit() or len(text) > 9:
        raise ValueError(f"{name.decode()}: expected a number such as 100")
    return int(text)


def _answer(request: Request, status: int, content: Mapping[str, object]) -> bytes:
    text = json.dumps(content, separators=(",", ":"))
    return plain_answer(request, status, text, "application/json")
