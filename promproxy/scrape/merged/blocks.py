"""One target's block of a merged answer. Pure."""

from __future__ import annotations

from attrs import frozen

from promproxy.exposition.labels import SeriesLabels
from promproxy.exposition.rewrite import Block

#: The series that each target gets, and their HELP lines.
_SERIES = {
    b"up": b"Whether the target was scraped.",
    b"scrape_duration_seconds": b"How long the target was scraped.",
    b"scrape_samples_scraped": b"How many samples the target had.",
    b"promproxy_merged_target_failed": b"Why a target was not scraped.",
    b"promregator_up": b"Whether the target was scraped.",
}


@frozen
class Scraped:
    """How the scrape of a target ended. ``size`` is its body's; a failed one has no ``block``."""

    outcome: str
    seconds: float
    block: Block | None = None
    size: int = 0


#: The HELP lines of the series that each target gets.
OWN_HELP = Block(
    b"", tuple((name, b"# HELP %b %b\n" % (name, text)) for name, text in _SERIES.items())
)


def header(targets: int) -> bytes:
    """The first line of an answer."""
    return b"# promproxy: %d targets\n" % targets


def trailer(targets: int, failed: int) -> bytes:
    """The last line of an answer that is whole."""
    return b"# promproxy: %d of %d targets failed\n" % (failed, targets)


def block_for(scraped: Scraped, labels: SeriesLabels, *, promregator: bool) -> Block:
    """The block of a target.

    ``up`` comes first with its TYPE, which also ends the type of the block before for Prometheus.
    """
    up = scraped.block is not None
    ours = labels.rendered
    samples = 0 if scraped.block is None else scraped.block.samples
    lines = [
        _line(b"up", ours, b"%d" % up),
        _line(b"scrape_duration_seconds", ours, b"%.6f" % scraped.seconds),
        _line(b"scrape_samples_scraped", ours, b"%d" % samples),
    ]
    if not up:
        with_outcome = b'%b,outcome="%b"' % (ours, scraped.outcome.encode())
        lines.append(_line(b"promproxy_merged_target_failed", with_outcome, b"1"))
    if promregator:
        lines.append(_line(b"promregator_up", ours, b"%d" % up))
    text = b"".join(lines)
    if scraped.block is None:
        return Block(text, samples=len(lines))
    return Block(
        text + scraped.block.text,
        scraped.block.help,
        samples + len(lines),
        scraped.block.collisions,
    )


def _line(name: bytes, labels: bytes, value: bytes) -> bytes:
    return b"# TYPE %b gauge\n%b{%b} %b\n" % (name, name, labels, value)
