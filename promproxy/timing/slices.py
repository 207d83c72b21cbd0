"""Long work in slices, between the reactor's other work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator

SLICE_SECONDS = 0.003


async def in_slices(
    work: Iterator[object], clock: IReactorTime, seconds: float = SLICE_SECONDS
) -> None:
    """Run an iterator to its end, in slices of 3 ms. Cancelling ends it.

    A slice is a third of Twisted's own, since several of these may run at a time, such as one for
    each list that a source reads.
    """

    def start_slice() -> Callable[[], bool]:
        end = clock.seconds() + seconds
        return lambda: clock.seconds() >= end

    cooperator = Cooperator(start_slice, scheduler=partial(clock.callLater, 0))
    task = cooperator.cooperate(work)
    try:
        # It fires with the iterator, which holds what the work captured: drop that at once.
        await task.whenDone()
    except CancelledError:
        task.stop()
        raise
