"""Many targets' metrics with each family in one place, for readers that insist on it.

`promtool check metrics`, Telegraf and client libraries refuse a family that comes twice, or has two
types. The first type wins; a sample is never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field

from promproxy.exposition.rewrite import Block

_SUFFIXES = {
    b"histogram": (b"_bucket", b"_sum", b"_count"),
    b"summary": (b"_sum", b"_count"),
}


@define(eq=False)
class _Family:
    kind: bytes = b""
    help: bytes = b""
    samples: list[bytes] = field(factory=list)


@define(eq=False)
class Families:
    """Collects blocks, then writes them family by family. ``size`` counts bytes held."""

    size: int = field(default=0, init=False)
    _families: dict[bytes, _Family] = field(factory=dict, init=False)
    _series: dict[bytes, bytes] = field(factory=dict, init=False)  # a suffixed name -> its family

    def add(self, block: Block) -> None:
        """Take what came of a target."""
        self.size += len(block.text)
        for name, line in block.help:
            family = self._family(name)
            family.help = family.help or line
        for line in block.text.splitlines(keepends=True):
            if line.startswith(b"# TYPE "):
                _, _, name, kind = line.split()
                self._typed(name, kind, line)
            else:
                self._family(line[: _name_length(line)]).samples.append(line)

    def lines(self) -> Iterable[bytes]:
        """HELP, TYPE and samples of each family, in the order in which families came."""
        for name, family in self._families.items():
            if family.samples:
                yield family.help
                if family.kind:
                    yield b"# TYPE %b %b\n" % (name, family.kind)
                yield from family.samples

    def _family(self, name: bytes) -> _Family:
        name = self._series.get(name, name)
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = _Family()
        return family

    def _typed(self, name: bytes, kind: bytes, line: bytes) -> None:
        family = self._family(name)
        if family.kind:
            return
        family.kind = kind
        for suffix in _SUFFIXES.get(kind, ()):
            series = name + suffix
            if series not in self._families:
                self._series[series] = name


def _name_length(line: bytes) -> int:
    return line.index(b"{")
