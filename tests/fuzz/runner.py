"""Runs cases until the time is over, and notices those that go wrong, hang or leave something."""

from __future__ import annotations

import gc
import signal
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from types import FrameType
from typing import Protocol

from attrs import define, field

HANG_SECONDS = 30.0  # much is read by Python itself, a configuration 100 kB in a second
CASES_OF_A_WORLD = 300
GROWTH_MB = 25.0


class World(Protocol):
    """What cases of one kind run in. It is made anew now and then, from a seed."""

    doing: str  # what the last case was about

    def case(self, random: Random) -> None:
        """One case. Raises whatever should not have come."""

    def close(self) -> None:
        """End it. Raises AssertionError where the cases have left something behind."""


class MakeWorld(Protocol):
    """Makes a world of one kind."""

    def __call__(self, random: Random) -> World: ...


class Hang(BaseException):
    """A case does not come to its end."""


@define
class Runner:
    """``wrong`` has what went wrong, each with how to see it again."""

    kinds: Mapping[str, MakeWorld]
    seed: int
    cases: Counter[str] = field(factory=Counter)
    wrong: list[str] = field(factory=list)
    slowest: tuple[float, str] = (0.0, "")

    def run(self, seconds: float) -> None:
        """Worlds of each kind, one after the other."""
        end = time.monotonic() + seconds
        warm = time.monotonic() + seconds / 4
        memory, number = 0.0, 0
        while time.monotonic() < end and not self.wrong:
            for kind in self.kinds:
                self.run_world(kind, number, end)
            number += 1
            gc.collect()
            if not memory and time.monotonic() > warm:
                memory = resident_mb()
        grown = resident_mb() - memory if memory else 0.0
        print(f"memory grew by {grown:.1f} MB in the last three quarters of the time")
        if grown > GROWTH_MB:
            self.wrong.append(f"{grown:.1f} MB more memory")

    def run_world(self, kind: str, number: int, end: float = float("inf")) -> None:
        """One world, which its kind, its number and the seed determine."""
        signal.signal(signal.SIGALRM, _hang)
        random = Random(f"{self.seed} {kind} {number}")
        world = self.kinds[kind](random)
        case = 0
        try:
            while case < CASES_OF_A_WORLD and time.monotonic() < end:
                self._case(world, random)
                case += 1
                self.cases[kind] += 1
            world.close()
        except (Exception, Hang):
            again = f"--seed {self.seed} --world {kind} {number}"
            self.wrong.append(
                f"case {case} of {again}, {world.doing}\n{traceback.format_exc()[-5000:]}"
            )

    def _case(self, world: World, random: Random) -> None:
        began = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
        try:
            world.case(random)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        self.slowest = max(self.slowest, (time.perf_counter() - began, world.doing))


def _hang(_signal: int, _frame: FrameType | None) -> None:
    raise Hang(f"no end after {HANG_SECONDS:g} s")


def resident_mb() -> float:
    """The memory of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000
