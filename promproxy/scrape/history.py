"""What is kept per target between scrapes: its request template and its last result."""

from __future__ import annotations

from attrs import define, field
from twisted.logger import Logger

from promproxy.errors import ScrapeError
from promproxy.outbound.client import RequestTemplate
from promproxy.registry import Registry
from promproxy.targets.snapshot import Profiles
from promproxy.targets.target import Target

log = Logger()


#: After so many seconds without a failure a place counts as well again.
QUIET_SECONDS = 60.0


@define(eq=False)
class Place:
    """A host and port that is asked for by many URLs, whose failures are one piece of news."""

    failing_as: str = ""
    last_failure: float = 0.0

    def before(self, outcome: str, is_failure: bool, now: float) -> str:
        """What the outcome before this one is to be taken for: another one is news."""
        if is_failure:
            before, self.failing_as = self.failing_as or "success", self.failing_as or outcome
            self.last_failure = now
            return outcome if before != "success" else before
        if self.failing_as and now - self.last_failure > QUIET_SECONDS:
            before, self.failing_as = self.failing_as, ""
            return before
        return outcome


@define(eq=False)
class TargetRecord:
    """One target. ``outcome`` is ``""`` before its first scrape ended; see `outcome_of` and
    `ScrapeResource` for the others. ``began`` is the clock's; ``status`` is the target's own, 0
    where it gave none; ``error`` says why there was no whole answer. ``place`` is that of a target
    that is not listed.
    """

    target: Target
    template: RequestTemplate = field(repr=False)
    profiles: Profiles = field(repr=False)  # that made the template
    outcome: str = ""
    status: int = 0
    began: float = 0.0
    seconds: float = 0.0
    size: int = 0
    error: str = ""
    place: Place | None = None

    @property
    def is_up(self) -> bool:
        """Whether the last scrape succeeded."""
        return self.outcome == "success"


@define(eq=False)
class ScrapeHistory:
    """The records of all targets that were scraped; those of former targets go in time.

    So do those of targets that were never listed, once there are ``spare`` of them.
    """

    _registry: Registry
    _spare: int = 0
    _records: dict[str, TargetRecord] = field(factory=dict, init=False)
    _places: dict[tuple[str, int], Place] = field(factory=dict, init=False)

    def of(self, target: Target, profiles: Profiles) -> TargetRecord:
        """The record of a target, which is to be reached by these profiles."""
        record = self._records.get(target.id)
        if record is None:
            self._forget_former_targets()
            record = TargetRecord(target, profiles.template_for(target), profiles)
            self._records[target.id] = record
            if self._spare:
                key = (target.host, target.port)
                record.place = self._places.get(key) or self._places.setdefault(key, Place())
        elif record.profiles is not profiles:  # of another configuration
            record.target, record.profiles = target, profiles
            record.template = profiles.template_for(target)
        elif record.target is not target:  # delivered anew, and most likely as it was
            if record.target != target:
                record.template = profiles.template_for(target)
            record.target = target
        return record

    def last(self, target_id: str) -> TargetRecord | None:
        """The record of a target, None where it was not scraped yet."""
        return self._records.get(target_id)

    def record(
        self,
        record: TargetRecord,
        outcome: str,
        *,
        status: int,
        began: float,
        seconds: float,
        size: int,
        error: ScrapeError | None,
    ) -> None:
        """A scrape ended: keep how, and log it where that is news."""
        before = record.outcome
        record.outcome, record.status = outcome, status
        record.began, record.seconds, record.size = began, seconds, size
        record.error = "" if error is None else error.reason
        target = record.target
        if record.place is not None:
            before = record.place.before(outcome, error is not None, began + seconds)
        if error is not None and before != outcome:
            cause = error.__cause__
            log.warn(
                "target {target}: {url}: {reason}{cause}",
                target=target.id,
                url=target.url,
                reason=error.reason,
                cause="" if cause is None else f" ({cause!r})",
            )
        elif error is None and before not in ("", "success", "target_error"):
            log.info("target {target} answers again", target=target.id)

    def _forget_former_targets(self) -> None:
        by_id = self._registry.snapshot.by_id
        if len(self._records) > 2 * len(by_id) + self._spare:
            self._records = {i: record for i, record in self._records.items() if i in by_id}
            self._places = {}
