"""How many bytes may be held for one merged answer."""

from __future__ import annotations

from typing import Protocol

from attrs import define, field


class Holder(Protocol):
    """Something that holds bytes, and can be told to take no more for now."""

    def pause(self) -> None:
        """Take no more."""

    def resume(self) -> None:
        """Go on."""


@define(eq=False)
class Budget:
    """Pauses holders while too much is held in all.

    The one that began first is never paused, so that it can always end and free what it holds.
    """

    limit: int
    used: int = field(default=0, init=False)
    _held: dict[Holder, int] = field(factory=dict, init=False)
    _paused: dict[Holder, None] = field(factory=dict, init=False)

    def begin(self, holder: Holder) -> None:
        """A holder that holds nothing yet."""
        self._held[holder] = 0

    def set(self, holder: Holder, size: int) -> None:
        """What a holder holds now, in bytes."""
        self.used += size - self._held[holder]
        self._held[holder] = size
        self._settle(holder)
        if self.used <= self.limit:
            self._settle_paused()

    def end(self, holder: Holder) -> None:
        """A holder has let go of everything."""
        self._paused.pop(holder, None)
        self.used -= self._held.pop(holder)
        self._settle_paused()

    def _settle_paused(self) -> None:
        for other in list(self._paused):
            if other in self._paused:  # resuming one may have ended another
                self._settle(other)

    def _settle(self, holder: Holder) -> None:
        must_wait = self.used > self.limit and next(iter(self._held)) is not holder
        if must_wait and holder not in self._paused:
            self._paused[holder] = None
            holder.pause()
        elif not must_wait and holder in self._paused:
            del self._paused[holder]
            holder.resume()
