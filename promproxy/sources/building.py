"""Targets built in turns with everything else that the reactor has to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator

from promproxy.target import Delivery, Dropped, LeftOut, Target

SLICE_SECONDS = 0.003


async def deliver(found: Iterable[Target | Dropped | LeftOut], clock: IReactorTime) -> Delivery:
    """The delivery of what the iterable yields, built in slices."""
    targets: list[Target] = []
    dropped: list[Dropped] = []
    left_out: list[LeftOut] = []

    def sort() -> Iterator[None]:
        for item in found:
            if isinstance(item, Target):
                targets.append(item)
            elif isinstance(item, Dropped):
                dropped.append(item)
            else:
                left_out.append(item)
            yield

    await in_slices(sort(), clock)
    return Delivery(tuple(targets), tuple(dropped), tuple(left_out))


async def in_slices(work: Iterator[object], clock: IReactorTime) -> None:
    """Run an iterator to its end, in slices of 3 ms. Cancelling ends it.

    A slice is a third of Twisted's own, since several of these may run at a time, such as one for
    each list that a source reads.
    """

    def start_slice() -> Callable[[], bool]:
        end = clock.seconds() + SLICE_SECONDS
        return lambda: clock.seconds() >= end

    cooperator = Cooperator(start_slice, scheduler=partial(clock.callLater, 0))
    task = cooperator.cooperate(work)
    try:
        # It fires with the iterator, which holds what the work captured: drop that at once.
        await task.whenDone()
    except CancelledError:
        task.stop()
        raise
