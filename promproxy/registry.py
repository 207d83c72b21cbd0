"""The registry: holds the newest snapshot, runs the refreshes, keeps the last good targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from promproxy.backoff import next_delay
from promproxy.errors import SourceError
from promproxy.refresh_loop import RefreshLoop
from promproxy.snapshot import Listing, Snapshot
from promproxy.sources import Source
from promproxy.sources.building import in_slices
from promproxy.target import Delivery, Target

log = Logger()

MOST_WARNINGS = 10
SECONDS_BETWEEN_ASKED = 10.0
SECONDS_BETWEEN_SUSPECTED = 30.0


@define
class SourceState:
    """What is known of one source's refreshes. Moments are the clock's, in seconds."""

    name: str
    has_delivered: bool = False
    last_success: float | None = None
    last_error: str = ""
    failures: int = 0
    last_asked: float = -inf
    last_suspected: float = -inf


@define(eq=False)
class Registry:
    """Reads are plain attribute look-ups and never wait for a refresh.

    ``render`` makes a target's discovery entry. ``on_refresh`` is told of each refresh that ended:
    the source's name, its seconds, and whether it succeeded. ``random`` yields from [0, 1).
    """

    _sources: Sequence[Source]
    _render: Callable[[Target], bytes]
    _clock: IReactorTime
    _random: Callable[[], float]
    _on_refresh: Callable[[str, float, bool], None]
    _startup_grace: float = 0.0
    snapshot: Snapshot = field(factory=Snapshot, init=False)
    states: dict[str, SourceState] = field(factory=dict, init=False)
    _loops: dict[str, RefreshLoop] = field(factory=dict, init=False)
    _started: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.states = {source.name: SourceState(source.name) for source in self._sources}

    def start(self) -> None:
        """Begin to refresh every source, each in a loop of its own."""
        self._started = self._clock.seconds()
        for source in self._sources:
            loop = RefreshLoop(
                partial(self.refresh, source), partial(self._pause_after, source), self._clock
            )
            self._loops[source.name] = loop
            loop.start()

    def stop(self) -> Deferred[list[LoopingCall]]:
        """End all loops and the refreshes under way; fires when nothing runs any more."""
        return gatherResults([loop.stop() for loop in self._loops.values()])

    def missing(self, source: str | None = None) -> list[str]:
        """Which sources (of all, or of one) the discovery document still waits for."""
        grace = self._startup_grace
        if grace and self._clock.seconds() - self._started >= grace:
            return []
        asked = self.states if source is None else [source]
        return [name for name in asked if not self.states[name].has_delivered]

    def refresh_soon(self, source: str | None = None) -> None:
        """Someone asks for a refresh, of all sources or of one.

        It begins at once; whoever asks again within 10 s is served by one that begins after that.
        """
        now = self._clock.seconds()
        for name in self.states if source is None else [source]:
            state = self.states[name]
            if state.last_asked <= now:  # else one is coming
                state.last_asked = max(now, state.last_asked + SECONDS_BETWEEN_ASKED)
                self._loops[name].hurry(state.last_asked - now)

    def suspect_stale(self, target: Target) -> None:
        """A target that answered before is unknown to its router: the source may be out of date.

        Asks for an early refresh, but rarely: what is down for hours is not stale.
        """
        state, now = self.states[target.source], self._clock.seconds()
        interval = next(s.interval for s in self._sources if s.name == target.source)
        rarely = max(SECONDS_BETWEEN_SUSPECTED, interval / 2)
        if not state.failures and now - state.last_suspected >= rarely:
            state.last_suspected = now
            self._loops[target.source].hurry(0.0)

    def _pause_after(self, source: Source) -> float:
        failures = self.states[source.name].failures
        return next_delay(interval=source.interval, failures=failures, random=self._random())

    async def refresh(self, source: Source) -> None:
        """Ask a source once. A failure is logged, counted and leaves its last good targets."""
        state = self.states[source.name]
        began = self._clock.seconds()
        state.last_asked = min(state.last_asked, began)  # this one serves whoever asked
        try:
            delivery = await source.targets()
            await self._accept(source.name, delivery)
        except CancelledError:
            raise
        except Exception as error:
            self._failed(state, error)
        else:
            self._succeeded(state)
        self._on_refresh(source.name, self._clock.seconds() - began, not state.failures)

    async def _accept(self, name: str, delivery: Delivery) -> None:
        """Take a delivery into a new snapshot, unless it is the one we have."""
        before = self.snapshot.listings.get(name)
        if before is not None and before.delivery is delivery:
            return
        fragments: list[bytes] = []

        def render() -> Iterator[None]:
            for target in delivery.targets:
                fragments.append(self._render(target))
                yield

        await in_slices(render(), self._clock)
        listings = {**self.snapshot.listings, name: Listing(delivery, fragments)}
        self.snapshot = Snapshot.of({n: listings[n] for n in self.states if n in listings})
        log.info(
            "source {source}: {count} targets, {left_out} left out, {dropped} dropped as bad",
            source=name,
            count=len(delivery.targets),
            left_out=len(delivery.left_out),
            dropped=len(delivery.dropped),
        )
        self._warn_of(name, delivery)

    def _warn_of(self, name: str, delivery: Delivery) -> None:
        for dropped in delivery.dropped[:MOST_WARNINGS]:
            log.warn(
                "source {source}: dropped {what}: {reason}",
                source=name,
                what=dropped.what,
                reason=dropped.reason,
            )
        if self.snapshot.duplicate_ids():
            log.warn(
                "{count} targets are not served, since another one has their id",
                count=self.snapshot.duplicate_ids(),
            )
        same = self.snapshot.duplicate_instances()
        if same:
            log.warn(
                "{count} instance labels belong to several targets, {examples} for example; in one "
                "job of Prometheus these would collide",
                count=len(same),
                examples=same[:3],
            )

    def _succeeded(self, state: SourceState) -> None:
        if state.failures:
            log.info("source {source} delivers again", source=state.name)
        state.has_delivered = True
        state.last_success = self._clock.seconds()
        state.last_error = ""
        state.failures = 0

    def _failed(self, state: SourceState, error: Exception) -> None:
        expected = isinstance(error, SourceError)
        message = str(error) if expected else "an unexpected error, see the log"
        if not expected:
            log.failure("source {source}: refresh failed", source=state.name)
        elif message != state.last_error:
            log.error(
                "source {source}: {error}; its last good targets stay",
                source=state.name,
                error=message,
            )
        state.last_error = message
        state.failures += 1
