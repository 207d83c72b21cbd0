"""The discovery document: a snapshot as Prometheus reads it.

Each target is rendered once. Where the address of promproxy itself goes stands a placeholder, a NUL
byte, which JSON can never hold, so a document for one more address is a join and a replace.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from attrs import field, frozen

from promproxy.targets.shards import Shard
from promproxy.targets.target import Target

SCRAPE_PATH = "/singleTargetMetrics"
METRICS_PATH = "/metrics"
PROMREGATOR_METRICS_PATH = "/promregatorMetrics"
PROMREGATOR_PATH_LABEL = "__meta_promregator_target_path"
OWN_SOURCE = "promproxy"  # what __meta_promproxy_source says of our own metrics endpoint

_PLACEHOLDER = b"\0"
_SLICE = 1000  # entries in a step that holds up the other threads
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?")


@frozen(kw_only=True)
class EntryStyle:
    """What the configuration says about every entry.

    ``promregator_labels``: give each the label whose value configurations made for Promregator
    put into ``__metrics_path__``.
    """

    scheme: str = "http"
    path_prefix: str = ""
    promregator_labels: bool = False

    def target_entry(self, target: Target) -> bytes:
        """A target's entry, with the placeholder."""
        path = f"{self.path_prefix}{SCRAPE_PATH}/{target.id}"
        labels = {**target.labels, **self._promregator_path(path)}
        return self._entry(path, target.source, json.dumps(target.instance), labels)

    def own_entries(self, wanted: bool | Sequence[str] = True) -> list[bytes]:
        """Our own metrics endpoint: none, with the placeholder, or that of each replica."""
        own = [_PLACEHOLDER.decode()] if wanted is True else wanted or ()
        path = f"{self.path_prefix}{METRICS_PATH}"
        labels = self._promregator_path(f"{self.path_prefix}{PROMREGATOR_METRICS_PATH}")
        return [self._entry(path, OWN_SOURCE, f'"{address}"', labels, address) for address in own]

    def _promregator_path(self, path: str) -> Mapping[str, str]:
        return {PROMREGATOR_PATH_LABEL: path} if self.promregator_labels else {}

    def _entry(
        self,
        path: str,
        source: str,
        instance_json: str,
        labels: Mapping[str, str],
        address: str = _PLACEHOLDER.decode(),
    ) -> bytes:
        ours = {
            **labels,
            "__scheme__": self.scheme,
            "__metrics_path__": path,
            "__meta_promproxy_source": source,
        }
        rendered = json.dumps(ours, separators=(",", ":"))[:-1]
        return (
            f'{{"targets":["{address}"],"labels":{rendered},"instance":{instance_json}}}}}'.encode()
        )


@frozen(eq=False)
class Document:
    """A discovery document as it is sent: plain, and its validator."""

    body: bytes = field(repr=False)
    etag: str

    def compressed(self) -> bytes:
        """The body in gzip; level 1, which takes a third of the time of the default."""
        return gzip.compress(self.body, 1, mtime=0)


def of_shard(entries: Iterable[bytes], address: str, shard: Shard) -> list[bytes]:
    """Those of a few entries whose ``instance``, under an address, belongs to a shard."""
    own = address.encode("ascii")
    return [
        entry
        for entry in entries
        if shard.holds(json.loads(entry.replace(_PLACEHOLDER, own))["labels"]["instance"])
    ]


def document_for(entries: Sequence[bytes], address: str) -> Document:
    """The document in which these entries stand under an address."""
    own = address.encode("ascii")
    slices = (entries[n : n + _SLICE] for n in range(0, len(entries), _SLICE))
    pieces = [b",\n".join(piece).replace(_PLACEHOLDER, own) for piece in slices] or [b""]
    pieces[0] = b"[" + pieces[0]
    pieces[-1] += b"]\n"
    body = b",\n".join(pieces)
    return Document(body, sha256(body).hexdigest()[:32])


def valid_address(host: bytes) -> str | None:
    """A request's Host as the address of a target; None if it is not a host or host:port."""
    match = _HOST.fullmatch(host)
    if match is None or int(match["port"] or 1) not in range(1, 65536):
        return None
    return host.decode("ascii")
