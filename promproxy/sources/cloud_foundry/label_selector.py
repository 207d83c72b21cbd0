"""Label selectors, as the API's ``label_selector`` has them. Pure.

Source: the documentation of API version 3, "Labels and selectors": ``k``, ``!k``, ``k=v``,
``k==v``, ``k!=v``, ``k in (a,b)``, ``k notin (a,b)``, joined by commas, all of which must hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import frozen

_KEY = r"(?:[A-Za-z0-9._-]+/)?[A-Za-z0-9._-]+"
_VALUE = r"[A-Za-z0-9._-]+"
# No two of these take blanks side by side: of many blanks they would share out each in every way.
_REQUIREMENT = re.compile(
    rf"""\s*(?:
        (?P<absent>!)\s*(?P<absent_key>{_KEY})
      | (?P<set_key>{_KEY})\s+(?P<set_operator>in|notin)\s*\((?P<values>[^()]*)\)
      | (?P<key>{_KEY})(?:\s*(?P<operator>==|=|!=)(?:\s*(?P<value>{_VALUE}))?)?
    )\s*(?:,|\Z)""",
    re.VERBOSE,
)


@frozen
class Requirement:
    """One condition: the label's value must be among ``values``, or must not (``negated``).

    Without values the label itself must be there, or must not.
    """

    key: str
    values: frozenset[str] | None
    negated: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil it; one that is missing differs from every value."""
        if self.values is None:
            return (self.key in labels) is not self.negated
        return (labels.get(self.key) in self.values) is not self.negated


@frozen
class LabelSelector:
    """All of its requirements must hold; ``text`` is how the API is asked for it."""

    text: str
    requirements: tuple[Requirement, ...]

    def __str__(self) -> str:
        return self.text

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil all requirements."""
        return all(requirement.holds(labels) for requirement in self.requirements)


def parse_label_selector(text: str) -> LabelSelector:
    """Raises ValueError, which names the place where it makes no sense."""
    requirements: list[Requirement] = []
    at = 0
    while at < len(text) or not requirements:
        match = _REQUIREMENT.match(text, at)
        if match is None or not all(re.fullmatch(f"({_VALUE})?", v) for v in _values(match)):
            raise ValueError(f"invalid label selector at position {at}: {text[at:]!r}")
        requirements.append(_requirement(match))
        at = match.end()
    if text.rstrip().endswith(","):
        raise ValueError("invalid label selector: a condition must follow the last comma")
    return LabelSelector(_for_the_api(requirements), tuple(requirements))


def _values(match: re.Match[str]) -> list[str]:
    return [value.strip() for value in (match["values"] or "").split(",")]


def _requirement(match: re.Match[str]) -> Requirement:
    if match["absent"]:
        return Requirement(match["absent_key"], None, negated=True)
    if match["set_key"]:
        values = frozenset(_values(match))
        return Requirement(match["set_key"], values, negated=match["set_operator"] == "notin")
    if match["operator"]:
        value_set = frozenset([match["value"] or ""])
        return Requirement(match["key"], value_set, negated=match["operator"] == "!=")
    return Requirement(match["key"], None, negated=False)


def _for_the_api(requirements: list[Requirement]) -> str:
    """Without blanks behind commas, which the API refuses."""
    parts = []
    for requirement in requirements:
        if requirement.values is None:
            parts.append(f"{'!' if requirement.negated else ''}{requirement.key}")
        else:
            operator = "notin" if requirement.negated else "in"
            parts.append(f"{requirement.key} {operator} ({','.join(sorted(requirement.values))})")
    return ",".join(parts)
