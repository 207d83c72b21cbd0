"""What an answer of the Cloud Controller means for the one who asked. Pure.

Many answers come from something in front of it (gorouter, nginx, a load balancer), so a body that
is no JSON, or a 404 from the gorouter, means that the API is down, never that something is gone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz
from enum import Enum, auto
from typing import Any

from attrs import frozen

from promproxy.outbound.fetch import Answer

# Three years: a number of seconds above it can only be a moment, and one below it only a delay.
_LONGEST_DELAY = 1e8


class Verdict(Enum):
    """What to do next."""

    GOOD = auto()
    RETRY = auto()
    REAUTHENTICATE = auto()
    SMALLER_PAGES = auto()
    TOO_SLOW = auto()
    FORBIDDEN = auto()
    NOT_FOUND = auto()
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
            Verdict.FORBIDDEN, f"{reason}; does it lack the scope cloud_controller.read?"
        )
    return Judgement(Verdict.NOT_FOUND if status == 404 else Verdict.GIVE_UP, reason)


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
    """From ``Retry-After``, else from ``X-RateLimit-Reset``.

    The former is a delay or a date (RFC 9110, section 10.2.3), the latter a moment. Cloud
    Controllers have put the moment into both, and proxies in front of them a delay, so the size
    of a number decides.
    """
    for name in ("Retry-After", "X-RateLimit-Reset"):
        seconds = _seconds_until(answer.header(name), now)
        if seconds is not None:
            return max(0.0, seconds)
    return None


def _seconds_until(text: str, now: float) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return _seconds_until_date(text, now)
    if not math.isfinite(number):
        return None
    return number - now if number > _LONGEST_DELAY else number


def _seconds_until_date(text: str, now: float) -> float | None:
    try:
        date = parsedate_tz(text)
        return None if date is None else mktime_tz(date) - now
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
