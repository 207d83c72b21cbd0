"""What was measured, round by round."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import Any

from attrs import asdict, define, field, frozen


@frozen
class Key:
    """What a value is of: a part of the benchmark, a stack, the case that it was put to, a unit."""

    part: str
    stack: str
    case: str
    unit: str


@define
class Samples:
    """All values, one for each round; a figure is their median."""

    _values: dict[Key, list[float]] = field(factory=lambda: defaultdict(list), init=False)

    def add(self, part: str, stack: str, case: str, **units: float) -> None:
        """What one round gave, by unit."""
        for unit, value in units.items():
            self._values[Key(part, stack, case, unit)].append(value)

    def median(self, part: str, stack: str, case: str, unit: str) -> float | None:
        """None where it was not measured."""
        values = self._values.get(Key(part, stack, case, unit))
        return median(values) if values else None

    def ratio(self, part: str, stack: str, base: str, case: str, unit: str) -> float | None:
        """The median of the ratios within each round: what slows a round down slows both."""
        return self._ratio(Key(part, stack, case, unit), Key(part, base, case, unit))

    def ratio_of_cases(
        self, part: str, stack: str, case: str, base: str, unit: str
    ) -> float | None:
        """The same for two cases of one stack."""
        return self._ratio(Key(part, stack, case, unit), Key(part, stack, base, unit))

    def _ratio(self, key: Key, base: Key) -> float | None:
        values, bases = self._values.get(key, []), self._values.get(base, [])
        ratios = [value / other for value, other in zip(values, bases, strict=False) if other]
        return median(ratios) if ratios else None

    def stacks(self, part: str) -> list[str]:
        """Those of a part, in the order in which they were first measured."""
        return list(dict.fromkeys(key.stack for key in self._values if key.part == part))

    def cases(self, part: str) -> list[str]:
        """Those of a part, likewise."""
        return list(dict.fromkeys(key.case for key in self._values if key.part == part))

    def as_json(self) -> list[dict[str, Any]]:
        """Each key with its median and its values in the order of the rounds."""
        return [
            {**asdict(key), "median": median(values), "values": values}
            for key, values in self._values.items()
        ]


def ratio(value: float | None, base: float | None) -> float | None:
    """None where either was not measured."""
    return None if value is None or not base else value / base


def difference(value: float | None, base: float | None) -> float | None:
    """None where either was not measured."""
    return None if value is None or base is None else value - base
