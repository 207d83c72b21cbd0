"""Spring's placeholders, ``${name:default}``, in values. Pure.

Source: Spring Boot documentation, "Property Placeholders" and "Binding From Environment Variables".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from attrs import field, frozen

_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")


@frozen
class Placeholder:
    """What stands between the braces; ``default`` is None where there is none."""

    name: str
    default: str | None = field(default=None, repr=False)

    @property
    def variable(self) -> str:
        """The variable of the environment that Spring takes it from, as a shell can export it."""
        return self.name if _VARIABLE.fullmatch(self.name) else variable_of(self.name)

    @property
    def ours(self) -> str:
        """As promproxy.yml has it. A default in which there is more to be replaced is left out."""
        if self.default is None or self.is_nested:
            return f"${{{self.variable}}}"
        return f"${{{self.variable}:-{self.default}}}"

    @property
    def is_nested(self) -> bool:
        """Whether the default cannot stand in promproxy.yml, since it has variables itself."""
        return self.default is not None and not set("${}").isdisjoint(self.default)


def variable_of(name: str) -> str:
    """As Promregator documents it, so that whoever had it in the environment need not rename it."""
    name = re.sub("oauth2xsuaa(basic|certificate)", r"oauth2xsuaa_\1", name, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9_]+", "_", name.replace("-", "")).strip("_").upper()


def pieces(value: str) -> Iterator[str | Placeholder]:
    """Plain text and placeholders, in their order. What has no end, or no name, is text."""
    start = at = 0
    while (at := value.find("${", at)) >= 0:
        end = _end_of(value, at)
        if end < 0:
            break
        name, colon, default = value[at + 2 : end].partition(":")
        if not re.fullmatch(r"[\w.\[\]-]+", name):
            at += 2
            continue
        if at > start:
            yield value[start:at]
        yield Placeholder(name, default if colon else None)
        start = at = end + 1
    if start < len(value):
        yield value[start:]


def _end_of(value: str, start: int) -> int:
    """Where the brace closes that opens at ``start``; -1 where it does not."""
    depth = 0
    for match in re.finditer(r"\$\{|\}", value[start:]):
        depth += 1 if match[0] == "${" else -1
        if not depth:
            return start + match.start()
    return -1


def placeholders(value: str) -> list[Placeholder]:
    """Those in a value, without any in their defaults."""
    return [piece for piece in pieces(value) if isinstance(piece, Placeholder)]


def ours(value: str) -> str:
    """A value as promproxy writes it, where other dollars are escaped."""
    return "".join(
        piece.ours if isinstance(piece, Placeholder) else piece.replace("$", "$$")
        for piece in pieces(value)
    )


def resolved(value: str, look_up: Callable[[str], str | None], depth: int = 8) -> str:
    """A value in which those placeholders are replaced that the same file has a setting for."""
    if "${" not in value or not depth:
        return value
    parts = []
    for piece in pieces(value):
        if isinstance(piece, str):
            parts.append(piece)
            continue
        found = look_up(piece.name)
        if found is not None:
            parts.append(resolved(found, look_up, depth - 1))
        elif piece.default is None:
            parts.append(f"${{{piece.name}}}")
        else:
            parts.append(f"${{{piece.name}:{resolved(piece.default, look_up, depth - 1)}}}")
    return "".join(parts)
