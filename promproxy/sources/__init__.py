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
class Patient(Protocol):
    """A source that leaves its server alone for a while where that asks for it, or refuses us."""

    def ask_at_once(self) -> None:
        """An operator wants the next refresh to ask, whatever was waited for."""


@runtime_checkable
class Restorable(Protocol):
    """A source that can use what it delivered before a restart."""

    def restore(self, delivery: Delivery) -> None:
        """It delivered this under settings that lead to the same targets; before `targets`."""
