"""What the log says of a new delivery, and of targets that conflict."""

from __future__ import annotations

from itertools import islice

from twisted.logger import Logger

from promproxy.targets.snapshot import Snapshot
from promproxy.targets.target import Delivery

log = Logger()

MOST_WARNINGS = 10


def log_delivery(name: str, delivery: Delivery, before: Delivery | None) -> None:
    """How much a source delivered, and what had to be dropped that was not dropped before."""
    log.info(
        "source {source}: {count} targets, {left_out} left out, {dropped} dropped as bad",
        source=name,
        count=len(delivery.targets),
        left_out=len(delivery.left_out),
        dropped=len(delivery.dropped),
    )
    known = set(before.dropped) if before else set()
    for dropped in islice((each for each in delivery.dropped if each not in known), MOST_WARNINGS):
        log.warn(
            "source {source}: dropped {what}: {reason}",
            source=name,
            what=dropped.what,
            reason=dropped.reason,
        )


def log_remarks(name: str, delivery: Delivery, before: Delivery | None) -> None:
    """What has become wrong, or right again, with parts of a source."""
    known = before.remarks if before else ()
    for remark in delivery.remarks:
        if remark not in known:
            log.warn(
                "source {source}: {what}: {why}",
                source=name,
                what=remark.what,
                why=remark.why,
            )
    still = {remark.what for remark in delivery.remarks}
    for what in {remark.what for remark in known} - still:
        log.info("source {source}: {what} is in order again", source=name, what=what)


def log_conflicts(snapshot: Snapshot) -> None:
    """Which targets have the id or the instance of another one."""
    if snapshot.shadowed_count():
        log.warn(
            "{count} targets are not served, since another one has their id, {examples} for "
            "example",
            count=snapshot.shadowed_count(),
            examples=snapshot.conflicting_ids()[:3],
        )
    same = snapshot.duplicate_instances()
    if same:
        log.warn(
            "{count} instance labels belong to several targets, {examples} for example; in one "
            "job of Prometheus these would collide",
            count=len(same),
            examples=same[:3],
        )
