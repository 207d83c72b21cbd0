"""Sources: where targets come from. One module or folder per kind."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from promproxy.targets.target import Delivery


class Source(Protocol):
    """What the registry asks for targets."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""

    @property
    def interval(self) -> float:
        """Seconds between two refreshes."""

    async def targets(self) -> Delivery:
        """All targets of this moment; the same object as before where nothing changed.

        Raises SourceError where they cannot be had in full.
        """


@runtime_checkable
class Retrying(Protocol):
    """A source that pauses after a failure, or as long as its server asks for."""

    def reset_backoff(self) -> None:
        """Let the next refresh ask at once: an operator wants it."""


@runtime_checkable
class Restorable(Protocol):
    """A source that can use what it delivered before a restart."""

    def restore(self, delivery: Delivery) -> None:
        """It delivered this under settings that lead to the same targets; before `targets`."""
