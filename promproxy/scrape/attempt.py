"""One scrape under way, and why it failed. Pure."""

from __future__ import annotations

from attrs import define
from twisted.internet.defer import CancelledError

from promproxy.errors import BadUpstream, Busy, DeadlinePassed, ScrapeError, UncleanClose
from promproxy.scrape.caller import RequestLines
from promproxy.scrape.history import TargetRecord
from promproxy.scrape.limits import Limits
from promproxy.scrape.settings import ScrapeSettings
from promproxy.server.request import CallerRequest
from promproxy.targets.target import Target


@define(eq=False)
class Scrape:
    """One scrape under way. ``began`` and ``ends`` are moments of the clock.

    ``status`` is the target's own, 0 before its head has come; ``size`` is what was passed on.
    """

    record: TargetRecord
    settings: ScrapeSettings
    limits: Limits
    request: CallerRequest
    began: float
    ends: float
    request_lines: RequestLines
    status: int = 0
    size: int = 0
    has_slot: bool = False
    client_gone: bool = False
    deadline_passed: bool = False
    is_unknown_to_router: bool = False

    @property
    def target(self) -> Target:
        return self.record.target


def explain(scrape: Scrape, error: Exception, seconds: float) -> ScrapeError:
    """Why a scrape ended after ``seconds``, as the caller may know it."""
    if scrape.deadline_passed and not scrape.has_slot:
        return Busy(f"no scrape slot became free within {seconds:.3g} s")
    if isinstance(error, DeadlinePassed):  # the tunnel's, which says more
        return error
    if scrape.deadline_passed:
        return DeadlinePassed(f"no complete answer within {seconds:.3g} s")
    if isinstance(error, CancelledError):
        return Busy("promproxy is stopping")
    if 0 < scrape.settings.body_size_limit < scrape.size:
        return too_large(scrape)
    if isinstance(error, ScrapeError):
        return error
    if isinstance(error, UncleanClose):
        return BadUpstream(str(error))
    return BadUpstream("its answer broke off")


def too_large(scrape: Scrape) -> BadUpstream:
    """The error for a body over the limit."""
    return BadUpstream(f"its answer is larger than {scrape.settings.body_size_limit} bytes")
