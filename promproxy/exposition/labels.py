"""Our labels beside a series' own, by Prometheus's rules for ``honor_labels``.

Source: ``mutateSampleLabels`` and ``resolveConflictingExposedLabels`` in Prometheus's
``scrape/scrape.go``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen

_EXPORTED = b"exported_"


@frozen
class SeriesLabels:
    """The labels that every series of a target gets.

    With ``honor`` a series' own label of the same name stays, and ours is left out; otherwise the
    series' own is renamed.
    """

    labels: Mapping[str, str]
    honor: bool = False
    #: As a series has them: ``a="b",c="d"``.
    rendered: bytes = field(init=False)
    #: What stands between ours and a series' own: a comma, unless we have none.
    comma: bytes = field(init=False)
    names: frozenset[bytes] = field(init=False)

    @rendered.default
    def _rendered(self) -> bytes:
        return b",".join(_render(n.encode(), escaped(v)) for n, v in self.labels.items())

    @comma.default
    def _comma(self) -> bytes:
        return b"," if self.labels else b""

    @names.default
    def _names(self) -> frozenset[bytes]:
        return frozenset(name.encode() for name in self.labels)

    def merged(self, own: Sequence[tuple[bytes, bytes]]) -> bytes:
        """All labels of a series with these own ones, rendered.

        Values are escaped as in the exposition, newlines too.
        """
        if self.honor:
            taken = {name for name, _ in own}
            ours = [(n.encode(), escaped(v)) for n, v in self.labels.items()]
            kept = [label for label in ours if label[0] not in taken]
        else:
            kept = [(n.encode(), escaped(v)) for n, v in self.labels.items()]
            own = self._renamed(own)
        return b",".join(_render(name, value) for name, value in [*kept, *own] if value)

    def _renamed(self, own: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        colliding = [(name, value) for name, value in own if name in self.names and value]
        result = [(name, value) for name, value in own if name not in self.names]
        taken = self.names | {name for name, value in result if value}
        for name, value in sorted(colliding, key=lambda label: len(label[0])):
            while name in taken:
                name = _EXPORTED + name
            taken |= {name}
            result.append((name, value))
        return result


def escaped(value: str) -> bytes:
    """A label's value as the text format writes it."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"").encode()


def _render(name: bytes, value: bytes) -> bytes:
    return b'%b="%b"' % (name, value.replace(b"\n", rb"\n"))
