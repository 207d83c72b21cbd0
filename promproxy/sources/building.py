"""Targets built in turns with everything else that the reactor has to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator

from promproxy.target import Delivery, Dropped, Target


async def deliver(found: Iterable[Target | Dropped], clock: IReactorTime) -> Delivery:
    """The delivery of what the iterable yields, built in slices of about 10 ms."""
    targets: list[Target] = []
    dropped: list[Dropped] = []

    def sort() -> Iterator[None]:
        for item in found:
            if isinstance(item, Target):
                targets.append(item)
            else:
                dropped.append(item)
            yield

    await in_slices(sort(), clock)
    return Delivery(tuple(targets), tuple(dropped))


async def in_slices(work: Iterator[object], clock: IReactorTime) -> None:
    """Run an iterator to its end; the reactor gets its turn every 10 ms."""
    # The iterator that the Cooperator fires with holds what the work captured: drop it at once.
    await Cooperator(scheduler=partial(clock.callLater, 0)).coiterate(work)
