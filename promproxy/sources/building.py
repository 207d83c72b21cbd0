"""Targets built in turns with everything else that the reactor has to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from twisted.internet.interfaces import IReactorTime

from promproxy.targets.target import Delivery, Dropped, LeftOut, Target
from promproxy.timing.slices import in_slices


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
