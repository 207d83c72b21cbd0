"""Deliveries built in slices, between the reactor's other work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from twisted.internet.interfaces import IReactorTime

from promproxy.targets.target import Delivery, Dropped, LeftOut, Remark, Target
from promproxy.timing.slices import in_slices

Found = Target | Dropped | LeftOut | Remark


async def deliver(found: Iterable[Found], clock: IReactorTime) -> Delivery:
    """The delivery of what the iterable yields, built in slices."""
    targets: list[Target] = []
    dropped: list[Dropped] = []
    left_out: list[LeftOut] = []
    remarks: list[Remark] = []

    def sort() -> Iterator[None]:
        for item in found:
            if isinstance(item, Target):
                targets.append(item)
            elif isinstance(item, Dropped):
                dropped.append(item)
            elif isinstance(item, LeftOut):
                left_out.append(item)
            else:
                remarks.append(item)
            yield

    await in_slices(sort(), clock)
    return Delivery(tuple(targets), tuple(dropped), tuple(left_out), tuple(remarks))


def joined(parts: Iterable[Delivery], remarks: Iterable[Remark] = ()) -> Delivery:
    """One delivery of several, in their order, with more remarks."""
    parts = list(parts)
    return Delivery(
        tuple(target for part in parts for target in part.targets),
        tuple(dropped for part in parts for dropped in part.dropped),
        tuple(left_out for part in parts for left_out in part.left_out),
        (*(remark for part in parts for remark in part.remarks), *remarks),
    )
