"""The registry: holds the newest snapshot, runs the refreshes, keeps the last good targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import inf

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from promproxy.errors import SourceError
from promproxy.sources import Restorable, Retrying, Source
from promproxy.sources.delivery_log import log_conflicts, log_delivery, log_remarks
from promproxy.targets.snapshot import NoProfiles, Profiles, Snapshot, SourceTargets
from promproxy.targets.target import Delivery, Target
from promproxy.timing.backoff import next_delay
from promproxy.timing.refresh_loop import RefreshLoop
from promproxy.timing.slices import in_slices

log = Logger()

SECONDS_BETWEEN_REQUESTS = 10.0
SECONDS_BETWEEN_STALE_REPORTS = 30.0
SECONDS_BETWEEN_PUSHES = 1.0


@define
class SourceState:
    """What is known of one source's refreshes. Moments are the clock's, in seconds.

    ``first_asked_at`` is when its first refresh was due. `/discovery` waits for a source only if it
    ``blocks_readiness``: one that a reload added does not, since others have targets to list.
    It does not wait for one that is ``restored`` either, whose targets were saved before a restart.
    """

    name: str
    blocks_readiness: bool = True
    is_restored: bool = False
    first_asked_at: float | None = None
    has_delivered: bool = False
    last_success: float | None = None
    last_error: str = ""
    failures: int = 0
    last_refresh_request: float = -inf
    is_asked_for: bool = False
    last_stale_report: float = -inf
    last_push: float = -inf


@define(eq=False)
class Registry:
    """Reads are plain attribute look-ups and never wait for a refresh.

    ``on_refresh`` is called after each refresh: the source's name, its seconds, and whether it
    succeeded. ``random`` yields from [0, 1). `set_sources` says which sources there are.
    """

    _clock: IReactorTime
    _random: Callable[[], float]
    _on_refresh: Callable[[str, float, bool], None]
    _startup_grace: float = field(default=0.0, init=False)
    snapshot: Snapshot = field(factory=Snapshot, init=False)
    states: dict[str, SourceState] = field(factory=dict, init=False)
    _sources: dict[str, Source] = field(factory=dict, init=False)
    _render: Callable[[Target], bytes] = field(default=lambda target: b"", init=False)
    _profiles: Profiles = field(factory=NoProfiles, init=False)
    _outdated: set[str] = field(factory=set, init=False)
    _loops: dict[str, RefreshLoop] = field(factory=dict, init=False)
    _ending: set[Deferred[None]] = field(factory=set, init=False)
    _is_running: bool = field(default=False, init=False)

    def set_sources(
        self,
        sources: Sequence[Source],
        render: Callable[[Target], bytes],
        profiles: Profiles,
        startup_grace: float = 0.0,
    ) -> None:
        """Go on with these sources; ``render`` makes a target's discovery entry.

        An unchanged source goes on as it is, and its targets get the new profiles. Another one of
        the same name is asked at once; until it delivers, the targets of its predecessor stay, with
        the profiles that they had. The targets of a removed source go at once. Rendered entries
        stay: see `render_again`.
        """
        is_ready = self._is_running and not self.pending_sources()
        before, self._sources = self._sources, {source.name: source for source in sources}
        listings = dict(self.snapshot.listings)
        for name, listing in listings.items():
            if self.is_current(name) and listing.profiles is not profiles:
                listings[name] = evolve(listing, profiles=profiles)
        is_changed = profiles is not self._profiles
        self._profiles = profiles
        if render != self._render:
            self._render, self._outdated = render, set(self.snapshot.listings)
        self._startup_grace = startup_grace
        self.states = {
            name: self.states.get(name) or SourceState(name, blocks_readiness=not is_ready)
            for name in self._sources
        }
        if is_changed or list(listings) != [name for name in self.states if name in listings]:
            self._publish(listings)
        for name, source in before.items():
            if self._sources.get(name) is not source and name in self._loops:
                self._end_loop(name)
        if self._is_running:
            self._start_loops()

    def restore(self, name: str, delivery: Delivery, moment: float) -> None:
        """Let a source have the targets that it delivered at a moment before a restart.

        They count until it delivers. For a source that can use them, see `Restorable`. This takes
        a second for 100 000 targets, so it belongs before `start`.
        """
        state, source = self.states[name], self._sources[name]
        state.is_restored, state.last_success = True, moment
        if isinstance(source, Restorable):
            source.restore(delivery)
        entries = [self._render(target) for target in delivery.targets]
        listing = SourceTargets(delivery, entries, self._profiles, source)
        self._publish({**self.snapshot.listings, name: listing})

    def is_current(self, name: str) -> bool:
        """Whether a source's targets were found under its newest settings."""
        listing = self.snapshot.listings.get(name)
        return listing is None or listing.found_by is self._sources.get(name)

    def start(self) -> None:
        """Begin to refresh every source, each in a loop of its own."""
        self._is_running = True
        self._start_loops()

    def _start_loops(self) -> None:
        now = self._clock.seconds()
        for name, source in self._sources.items():
            if name in self._loops:
                continue
            if self.states[name].first_asked_at is None:
                self.states[name].first_asked_at = now
            loop = RefreshLoop(
                partial(self.refresh, source), partial(self._pause_after, source), self._clock
            )
            self._loops[name] = loop
            loop.start()

    def _end_loop(self, name: str) -> None:
        ending = self._loops.pop(name).stop().addCallback(lambda _: None)
        if not ending.called:
            self._ending.add(ending)
            ending.addBoth(lambda _: self._ending.discard(ending))

    def stop(self) -> Deferred[list[None]]:
        """End all loops and the refreshes under way; fires when nothing runs any more."""
        self._is_running = False
        for name in list(self._loops):
            self._end_loop(name)
        return gatherResults(list(self._ending))

    def pending_sources(self, source: str | None = None) -> list[str]:
        """Which sources (of all, or of one) the discovery document still waits for."""
        states = self.states.values() if source is None else [self.states[source]]
        return [
            state.name
            for state in states
            if not (state.has_delivered or state.is_restored)
            and (state.blocks_readiness or source is not None)
            and not self._grace_expired(state)
        ]

    def _grace_expired(self, state: SourceState) -> bool:
        if state.first_asked_at is None or not self._startup_grace:
            return False
        return self._clock.seconds() - state.first_asked_at >= self._startup_grace

    def refresh_soon(self, source: str | None = None) -> None:
        """Refresh all sources, or one, on request.

        It begins at once; a request within the next 10 s waits until they are over.
        """
        now = self._clock.seconds()
        for name in self.states if source is None else [source]:
            state = self.states[name]
            if state.last_refresh_request <= now:  # else one is coming
                earliest = state.last_refresh_request + SECONDS_BETWEEN_REQUESTS
                state.last_refresh_request = max(now, earliest)
                state.is_asked_for = True
                self._reset_backoff(self._sources[name])
                if name in self._loops:  # else we have stopped
                    self._loops[name].refresh_within(state.last_refresh_request - now)

    def _reset_backoff(self, source: Source) -> None:
        if isinstance(source, Retrying):
            source.reset_backoff()

    def notify_changed(self, source: str) -> None:
        """A source has news: it is asked at once, and once a second while that goes on."""
        state, loop = self.states.get(source), self._loops.get(source)
        if state is None or loop is None:
            return
        now = self._clock.seconds()
        if state.last_push <= now:  # else a refresh is coming
            state.last_push = max(now, state.last_push + SECONDS_BETWEEN_PUSHES)
            loop.refresh_within(state.last_push - now)

    def suspect_stale(self, target: Target) -> None:
        """A target that answered before is unknown to its router: the source may be out of date.

        Asks for an early refresh, but rarely: what is down for hours is not stale.
        """
        state, now = self.states.get(target.source), self._clock.seconds()
        if state is None:  # its source is gone, and the scrape was still under way
            return
        rarely = max(SECONDS_BETWEEN_STALE_REPORTS, self._sources[target.source].interval / 2)
        if not state.failures and now - state.last_stale_report >= rarely:
            state.last_stale_report = now
            self._loops[target.source].refresh_within(0.0)

    def _pause_after(self, source: Source) -> float:
        state = self.states.get(source.name)
        failures = 0 if state is None else state.failures
        return next_delay(interval=source.interval, failures=failures, random=self._random())

    async def refresh(self, source: Source) -> None:
        """Ask a source once. A failure is logged, counted and leaves its last good targets."""
        state = self.states[source.name]
        began = self._clock.seconds()
        if state.is_asked_for:  # and the refresh before it may have been told to wait
            state.is_asked_for = False
            self._reset_backoff(source)
        # This refresh answers the requests so far.
        state.last_refresh_request = min(state.last_refresh_request, began)
        state.last_push = min(state.last_push, began)
        try:
            delivery = await source.targets()
            self._check_current(source)
            await self._commit(source, delivery)
        except CancelledError:  # also where another source of this name took its place
            raise
        except Exception as error:
            self._failed(state, error)
        else:
            self._succeeded(state)
        self._on_refresh(source.name, self._clock.seconds() - began, not state.failures)

    async def render_again(self) -> None:
        """Render what still has the entries of a former `set_sources`."""
        for name in list(self._outdated):
            listing = self.snapshot.listings.get(name)
            if listing is not None:
                entries = await self._rendered(listing.delivery)
                if self.snapshot.listings.get(name) is listing:  # else a refresh was faster
                    fresh = evolve(listing, entries=entries)
                    self._publish({**self.snapshot.listings, name: fresh})
            self._outdated.discard(name)

    async def _rendered(self, delivery: Delivery) -> Sequence[bytes]:
        entries: list[bytes] = []
        render = self._render

        def each() -> Iterator[None]:
            for target in delivery.targets:
                entries.append(render(target))
                yield

        await in_slices(each(), self._clock)
        if render is not self._render:  # a `set_sources` came in between
            return await self._rendered(delivery)
        return entries

    def _publish(self, listings: Mapping[str, SourceTargets]) -> None:
        """A new snapshot, of these, in the order of the configuration."""
        self.snapshot = Snapshot.of({n: listings[n] for n in self.states if n in listings})

    def _check_current(self, source: Source) -> None:
        """What a replaced source found is not for the new profiles."""
        if self._sources.get(source.name) is not source:
            raise CancelledError

    async def _commit(self, source: Source, delivery: Delivery) -> None:
        """Take a delivery into a new snapshot, unless it is the one we have."""
        name = source.name
        before = self.snapshot.listings.get(name)
        if before is not None and before.delivery is delivery:
            if before.found_by is not source:
                same = evolve(before, profiles=self._profiles, found_by=source)
                self._publish({**self.snapshot.listings, name: same})
            return
        log_remarks(name, delivery, before.delivery if before else None)
        entries = await self._rendered(delivery)
        self._check_current(source)
        listing = SourceTargets(delivery, entries, self._profiles, source)
        self._publish({**self.snapshot.listings, name: listing})
        log_delivery(name, delivery, before.delivery if before else None)
        log_conflicts(self.snapshot)

    def _succeeded(self, state: SourceState) -> None:
        if state.failures:
            log.info("source {source} delivers again", source=state.name)
        state.has_delivered, state.is_restored = True, False
        state.last_success = self._clock.seconds()
        state.last_error = ""
        state.failures = 0

    def _failed(self, state: SourceState, error: Exception) -> None:
        expected = isinstance(error, SourceError)
        message = str(error) if expected else "an unexpected error, see the log"
        if not expected:
            log.failure("source {source}: refresh failed", source=state.name)
        elif message != state.last_error:
            has_some = state.has_delivered or state.is_restored
            log.error(
                "source {source}: {error}; {consequence}",
                source=state.name,
                error=message,
                consequence="its last good targets stay" if has_some else "it has no targets yet",
            )
        state.last_error = message
        state.failures += 1
