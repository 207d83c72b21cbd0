"""What an answer of the Cloud Controller means for the one who asked. Pure.

Many answers come from something in front of it (gorouter, nginx, a load balancer), so a body that
is no JSON, or a 404 from the gorouter, means that the API is down, never that something is gone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from attrs import frozen

from promproxy.outbound.fetch import Answer


class Verdict(Enum):
    """What to do next."""

    GOOD = auto()
    RETRY = auto()
    REAUTHENTICATE = auto()
    SMALLER_PAGES = auto()
    TOO_SLOW = auto()
    GIVE_UP = auto()


@frozen
class Judgement:
    """A verdict; ``reason`` is for people, ``wait`` is how many seconds we were told to wait."""

    verdict: Verdict
    reason: str = ""
    wait: float | None = None


def classify(answer: Answer, now: float) -> Judgement:
    """Judge an answer; ``now`` is in seconds since the epoch."""
    status = answer.status
    is_json = answer.body[:1] == b"{"
    errors = _errors(answer.body) if is_json and status != 200 else []
    reason = _reason(answer, errors)
    if status == 200:
        return Judgement(Verdict.GOOD) if is_json else Judgement(Verdict.RETRY, reason)
    if status == 429:
        return Judgement(Verdict.RETRY, reason, _seconds_to_wait(answer, now))
    if status >= 500 or not is_json or answer.header("X-Cf-RouterError"):
        return Judgement(Verdict.RETRY, reason)
    if status == 401:
        return Judgement(Verdict.REAUTHENTICATE, reason)
    if status == 400 and any(_is_about_page_size(error) for error in errors):
        return Judgement(Verdict.SMALLER_PAGES, reason)
    if status == 403:
        return Judgement(
            Verdict.GIVE_UP, f"{reason}; does it lack the scope cloud_controller.read?"
        )
    return Judgement(Verdict.GIVE_UP, reason)


def _errors(body: bytes) -> list[Mapping[str, Any]]:
    try:
        errors = json.loads(body)["errors"]
        return [error for error in errors if isinstance(error, dict)]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []


def _is_about_page_size(error: Mapping[str, Any]) -> bool:
    """The Cloud Controller's own limit (5000), or one that its operator has set."""
    detail = str(error.get("detail")).lower()
    return "per page" in detail or "maximum result" in detail


def _reason(answer: Answer, errors: list[Mapping[str, Any]]) -> str:
    reason = f"status {answer.status}"
    if errors:
        title, detail = (str(errors[0].get(name)) for name in ("title", "detail"))
        reason += f", {title[:100]}: {detail[:200]}"
    elif answer.header("X-Cf-RouterError"):
        reason += f" from the router: {answer.header('X-Cf-RouterError')[:100]}"
    elif answer.body[:1] != b"{":
        reason += ", no JSON"
    request_id = answer.header("X-Vcap-Request-Id")
    return f"{reason} (X-Vcap-Request-Id: {request_id[:80]})" if request_id else reason


def _seconds_to_wait(answer: Answer, now: float) -> float | None:
    """From ``Retry-After`` in seconds, else from ``X-RateLimit-Reset``, a moment."""
    for name, since in (("Retry-After", 0.0), ("X-RateLimit-Reset", now)):
        try:
            seconds = float(answer.header(name)) - since
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None
