"""Which lists to ask for, with which filters: the fewest requests, and then the least data. Pure.

Three lists (apps with their spaces and orgs, processes, routes with their domains) hold everything.
They are asked for as a whole, or, where every rule names what it wants, narrowed by guids that all
three understand. Never is one request made per org, space or app.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from attrs import frozen

from promproxy.sources.cloud_foundry.settings import Rule

# A guid costs 39 bytes in a URL, and the API's front end refuses request lines of 8 kB.
BATCH = 150
MOST_NAME_BYTES = 6000

Query = tuple[tuple[str, str], ...]


@frozen
class Scope:
    """What the three lists are narrowed to.

    ``by`` is ``""`` (nothing), ``organization``, ``space``, ``app`` or ``label``; ``guids`` are
    known from the configuration, ``names`` (or, by label, a selector) must be looked up first.
    """

    by: str = ""
    guids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def scope_of(rules: Sequence[Rule]) -> Scope:
    """How far the rules narrow the lists; what they do not say exactly is filtered afterwards."""
    if all(rule.space_guid or (rule.space and (rule.org or rule.org_guid)) for rule in rules):
        guids = _distinct(rule.space_guid for rule in rules)
        return Scope("space", guids, _distinct(rule.space for rule in rules if not rule.space_guid))
    if all(rule.org_guid or rule.org for rule in rules):
        guids = _distinct(rule.org_guid for rule in rules)
        return Scope(
            "organization", guids, _distinct(rule.org for rule in rules if not rule.org_guid)
        )
    if all(rule.app for rule in rules):
        return Scope("app", names=_distinct(rule.app for rule in rules))
    selectors = _distinct(rule.label_selector.text if rule.label_selector else "" for rule in rules)
    if len(selectors) == 1 and all(rule.label_selector for rule in rules):
        return Scope("label", names=selectors)
    return Scope()


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


def name_queries(names: Sequence[str]) -> Iterator[Query]:
    """The ``names`` filters that together ask for all names.

    The API decodes each name by itself once more, after it has split them at the commas.
    """
    batch: list[str] = []
    size = 0
    for name in names:
        escaped = name.replace("%", "%25").replace(",", "%2C").replace("+", "%2B")
        cost = len(quote(escaped, safe="")) + 3
        if batch and size + cost > MOST_NAME_BYTES:
            yield (("names", ",".join(batch)),)
            batch, size = [], 0
        batch.append(escaped)
        size += cost
    if batch:
        yield (("names", ",".join(batch)),)


def guid_queries(parameter: str, guids: Sequence[str]) -> list[Query] | None:
    """The filters for the three lists, or None where asking for everything is as cheap."""
    if len(guids) > BATCH:
        return None
    return [((parameter, ",".join(guids)),)] if guids else []
