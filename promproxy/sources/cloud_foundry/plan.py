"""Which lists to ask for, with which filters: the fewest requests, and then the least data. Pure.

Three lists (apps with their spaces and orgs, processes, routes with their domains) hold everything.
They are asked for as a whole, or, where every rule names what it wants, narrowed by guids that all
three understand. Never is one request made per org, space or app.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from attrs import frozen

from promproxy.sources.cloud_foundry.rules import Rule

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
    wanted = [rule.selector for rule in rules]
    if all(s.space_guid or (s.space and (s.org or s.org_guid)) for s in wanted):
        guids = _distinct(s.space_guid for s in wanted)
        return Scope("space", guids, _distinct(s.space for s in wanted if not s.space_guid))
    if all(s.org_guid or s.org for s in wanted):
        guids = _distinct(s.org_guid for s in wanted)
        return Scope("organization", guids, _distinct(s.org for s in wanted if not s.org_guid))
    if all(s.app for s in wanted):
        return Scope("app", names=_distinct(s.app for s in wanted))
    selectors = _distinct(s.label_selector.text if s.label_selector else "" for s in wanted)
    if len(selectors) == 1 and all(s.label_selector for s in wanted):
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
