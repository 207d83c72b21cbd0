"""Rules, and patterns in them, that select nothing: which they are, and why. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice

from attrs import define, field

from promproxy.sources.cloud_foundry.resources import App, Organization, Route, Space
from promproxy.sources.cloud_foundry.rules import SCRAPE_ANNOTATION, Endpoint
from promproxy.sources.cloud_foundry.settings import Rule, Selector, is_named
from promproxy.targets.target import Remark

# Comparing names takes some 10 µs each, and nobody else has a turn meanwhile.
_MOST_COMPARED = 2000
_CONDITIONS = (
    *("org", "org_regex", "org_guid", "space", "space_regex", "space_guid", "app", "app_regex"),
    "label_selector",
)


@define(eq=False)
class IdleRules:
    """Is shown each app that there is, and then knows what none of them was meant by.

    ``names`` are those of orgs, spaces and apps (``org``, ``space``, ``app``) that exist beside
    those of the apps shown, for suggestions.
    """

    _rules: Sequence[Rule]
    _exclude: Sequence[Selector]
    _names: Mapping[str, Iterable[str]]
    _idle: dict[str, Selector] = field(init=False)
    _unannotated: dict[str, int] = field(factory=dict, init=False)
    _patterns: dict[str, tuple[Rule, re.Pattern[str]]] = field(init=False)
    _unused: dict[int, str] = field(init=False)
    _apps: list[tuple[App, Space, Organization]] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._idle = {
            f"{key}[{number}]": selector
            for key, selectors in (("select", self._rules), ("exclude", self._exclude))
            for number, selector in enumerate(selectors)
        }
        self._patterns = {
            f"select[{number}].preferred_route_regex: {pattern.pattern}": (rule, pattern)
            for number, rule in enumerate(self._rules)
            for pattern in rule.preferred_route_regex
        }

        self._unused = {
            id(rule): f"select[{number}]"
            for number, rule in enumerate(self._rules)
            if not rule.annotations  # these may be left out for what the app says
        }

    def use(self, endpoints: Iterable[Endpoint]) -> None:
        """What rules make of an app, before anything is left out."""
        if self._unused:
            for endpoint in endpoints:
                self._unused.pop(id(endpoint.rule), None)

    def show(self, app: App, space: Space, org: Organization, routes: Sequence[Route]) -> None:
        """One app, with its routes."""
        self._apps.append((app, space, org))
        for what, selector in list(self._idle.items()):
            if not selector.matches(app, space, org):
                continue
            is_annotated = app.annotations.get(SCRAPE_ANNOTATION) == "true"
            if isinstance(selector, Rule) and selector.annotations and not is_annotated:
                self._unannotated[what] = self._unannotated.get(what, 0) + 1
            else:
                del self._idle[what]
        for what, (rule, pattern) in list(self._patterns.items()):
            if any(pattern.fullmatch(r.url) for r in routes) and rule.matches(app, space, org):
                del self._patterns[what]

    def remarks(self) -> Iterator[Remark]:
        for what, selector in self._idle.items():
            yield Remark("selects_nothing", f"{what}{_conditions(selector)}", self._why(what))
        for rule in self._rules:
            what = self._unused.get(id(rule), "")
            if what and what not in self._idle:
                why = "earlier rules select all of its apps, with the same paths"
                yield Remark("selects_nothing", f"{what}{_conditions(rule)}", why)
        for what, (rule, _) in self._patterns.items():
            if all(rule is not idle for idle in self._idle.values()):
                yield Remark("selects_nothing", what, "no route of the rule's apps matches")

    def _why(self, what: str) -> str:
        selector = self._idle[what]
        if what in self._unannotated:
            count = self._unannotated[what]
            return f'none of its {count} apps is annotated with {SCRAPE_ANNOTATION}: "true"'
        apps = self._apps
        for kind, place in (("org", 2), ("space", 1), ("app", 0)):
            name, pattern = getattr(selector, kind), getattr(selector, f"{kind}_regex")
            guid = getattr(selector, f"{kind}_guid", "")
            if not (name or pattern or guid):
                continue
            left = [
                each
                for each in apps
                if is_named(each[place].name, name, pattern) and guid in ("", each[place].guid)
            ]
            if not left:
                known = dict.fromkeys(each[place].name for each in apps)
                known |= dict.fromkeys(self._names.get(kind, ()))
                if name.lower() not in (other.lower() for other in known):
                    return _no(kind, name, known)
            apps = left
        if apps:
            return "no such app has these labels"
        return (
            "no app has these names together" if self._apps or self._names else "there are no apps"
        )


def _no(kind: str, name: str, known: Iterable[str]) -> str:
    start = {"org": "no app is in an org", "space": "no app is in a space"}.get(kind, "no app is")
    if not name:
        return "no app matches" if kind == "app" else f"{start} that matches"
    nearest = _nearest(name, known)
    hint = f"; the nearest name is '{nearest}'" if nearest else ""
    return f"{start} called '{name}'{hint}"


def _nearest(name: str, known: Iterable[str]) -> str:
    similar = (other for other in known if _may_be_meant(other.lower(), name.lower()))
    folded = {other.lower(): other for other in islice(similar, _MOST_COMPARED)}
    found = get_close_matches(name.lower(), folded, n=1)
    return folded[found[0]] if found else ""


def _may_be_meant(other: str, name: str) -> bool:
    """Cheaply: few letters more or less, and hardly ever both ends wrong."""
    is_near = abs(len(other) - len(name)) <= 3
    return is_near and (other[:1] == name[:1] or other[-1:] == name[-1:])


def _conditions(selector: Selector) -> str:
    """Such as `` {org: acme, space_regex: prod-.*}``, since numbers alone say little."""
    parts = []
    for key in _CONDITIONS:
        value = getattr(selector, key)
        if value:
            parts.append(f"{key}: {getattr(value, 'pattern', getattr(value, 'text', value))}")
    return f" {{{', '.join(parts)}}}" if parts else ""
