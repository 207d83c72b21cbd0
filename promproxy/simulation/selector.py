"""Label selectors of the Cloud Controller, such as ``env in (prod,test),!legacy,tier!=db``.

The grammar follows the "metadata" concept page of the V3 API documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import frozen

from promproxy.simulation.values import SimulationError

_MOST_REQUIREMENTS = 50
_KEY = r"(?:[A-Za-z0-9][A-Za-z0-9.-]*/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)?"
_COMMA = re.compile(r",(?![^(]*\))")
_FORMS = (
    ("exists", re.compile(rf"({_KEY})()")),
    ("missing", re.compile(rf"!({_KEY})()")),
    ("in", re.compile(rf"({_KEY})={{1,2}}({_VALUE})")),
    ("notin", re.compile(rf"({_KEY})!=({_VALUE})")),
    ("in", re.compile(rf"({_KEY}) in \(({_VALUE}(?:,{_VALUE})*)\)")),
    ("notin", re.compile(rf"({_KEY}) notin \(({_VALUE}(?:,{_VALUE})*)\)")),
)


@frozen
class Requirement:
    """One condition on labels; ``operator`` is exists, missing, in or notin."""

    operator: str
    key: str
    values: frozenset[str]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil it; without the label ``notin`` holds and ``in`` does not."""
        if self.operator == "exists":
            return self.key in labels
        if self.operator == "missing":
            return self.key not in labels
        return (labels.get(self.key) in self.values) == (self.operator == "in")


def parse_selector(text: str) -> tuple[Requirement, ...]:
    """All requirements of a selector; each must hold.

    Raises SimulationError with the Cloud Controller's words for anything else.
    """
    parts = _COMMA.split(text)
    if not text:
        raise SimulationError("Missing label_selector value")
    if len(parts) > _MOST_REQUIREMENTS:
        raise SimulationError(
            f"Too many label_selector requirements (maximum is {_MOST_REQUIREMENTS})"
        )
    return tuple(_parse_requirement(part.strip(" ")) for part in parts)


def _parse_requirement(text: str) -> Requirement:
    for operator, form in _FORMS:
        match = form.fullmatch(text)
        if match:
            key, values = match.groups()
            return Requirement(operator, key, frozenset(values.split(",")))
    raise SimulationError("Invalid label_selector value")
