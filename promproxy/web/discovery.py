"""``/discovery``: the document that Prometheus reads its targets from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from io import BytesIO
from typing import TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import NoRangeStaticProducer

from promproxy.registry import Registry
from promproxy.server.answers import (
    accepts_gzip,
    no_source_answer,
    not_ready_answer,
    parameter,
    plain_answer,
    source_asked_for,
)
from promproxy.server.request import CallerRequest
from promproxy.targets.document import Document, document_for, of_shard, valid_address
from promproxy.targets.shards import EVERYTHING, Shard, shard_from
from promproxy.targets.snapshot import Snapshot
from promproxy.timing.threads import InThread

T = TypeVar("T")

MOST_ADDRESSES = 8
MOST_PARTS = 128
ANSWER_SECONDS = 60.0  # Prometheus reads a document faster than this

log = Logger()


@define(eq=False)
class _Rendered:
    """A document, made once however many ask for it, and in gzip once someone wants that."""

    document: Deferred[Document]
    gzip: Deferred[bytes] | None = None


@define(eq=False)
class DocumentCache:
    """The documents of the newest snapshot, by address, source and shard; at most 8 addresses, and
    for each of them at most 128 of the others.

    Joining, hashing and compressing take a moment for 100 000 targets, so they run in a thread.
    """

    _in_thread: InThread
    _own_entries: Sequence[bytes]
    _snapshot: Snapshot | None = field(default=None, init=False)
    _by_address: OrderedDict[str, dict[tuple[str | None, Shard], _Rendered]] = field(
        factory=OrderedDict, init=False
    )

    def get(
        self, snapshot: Snapshot, source: str | None, address: str, shard: Shard = EVERYTHING
    ) -> _Rendered:
        """The document of a snapshot, or of a source or shard of it, under an address."""
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._by_address.clear()
        by_source = self._by_address.setdefault(address, {})
        self._by_address.move_to_end(address)
        if len(self._by_address) > MOST_ADDRESSES:
            self._by_address.popitem(last=False)
        key = (source, shard)
        if key not in by_source:
            if len(by_source) >= MOST_PARTS:
                by_source.clear()
            own = [] if source is not None else of_shard(self._own_entries, address, shard)

            def render() -> Document:
                return document_for([*snapshot.entries(source, shard), *own], address)

            by_source[key] = _Rendered(self._in_thread(render))
        return by_source[key]

    async def compressed(self, rendered: _Rendered) -> bytes:
        document = await _shared(rendered.document)
        if rendered.gzip is None:
            rendered.gzip = self._in_thread(document.compressed)
        return await _shared(rendered.gzip)


def _shared(made: Deferred[T]) -> Deferred[T]:
    """A Deferred of one's own for a result that others wait for too."""
    mine: Deferred[T] = Deferred()

    def pass_on(result: T) -> T:
        mine.callback(result)
        return result

    def pass_failure_on(failure: Failure) -> None:
        mine.errback(failure)

    made.addCallbacks(pass_on, pass_failure_on)
    return mine


class DiscoveryResource(Resource):
    """``?source=NAME`` asks for the targets of one source, ``?shard=I&of=N`` for a part of all."""

    isLeaf = True
    page = "discovery"

    def __init__(self, registry: Registry, cache: DocumentCache, address: str) -> None:
        super().__init__()
        self._registry = registry
        self._cache = cache
        self._address = address

    def render_GET(self, request: CallerRequest) -> bytes | int:
        """The document, or why it cannot be had yet."""
        name = source_asked_for(request)
        if name is not None and name not in self._registry.states:
            return no_source_answer(request, self._registry.states)
        missing = self._registry.pending_sources(name)
        if missing:
            return not_ready_answer(request, missing)
        address = self._address or valid_address(request.getHeader(b"Host") or b"")
        if address is None:
            return plain_answer(
                request, 400, "the Host header is not a usable address; set discovery.address"
            )
        try:
            shard = shard_from(parameter(request, b"shard"), parameter(request, b"of"))
        except ValueError as error:
            return plain_answer(request, 400, str(error))
        rendered = self._cache.get(self._registry.snapshot, name, address, shard)
        answering = Deferred.fromCoroutine(self._answer(request, rendered))
        request.notifyFinish().addErrback(lambda _: answering.cancel())
        answering.addErrback(self._broken, request)
        return NOT_DONE_YET

    async def _answer(self, request: CallerRequest, rendered: _Rendered) -> None:
        document = await _shared(rendered.document)
        etag, body = document.etag, document.body
        if accepts_gzip(request.getHeader(b"Accept-Encoding")):
            body = await self._cache.compressed(rendered)
            etag += "-gzip"
            request.setHeader(b"Content-Encoding", b"gzip")
        # The address, and with it the body, may come from the request's Host.
        request.setHeader(b"Vary", b"Accept-Encoding, Host")
        if request.setETag(f'"{etag}"'.encode()) is not None:
            request.responseHeaders.removeHeader(b"Content-Encoding")
            request.finish()
            return
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Content-Length", b"%d" % len(body))
        if request.method == b"HEAD":
            request.finish()
            return
        late = request.channel.callLater(ANSWER_SECONDS, request.abort)
        request.notifyFinish().addBoth(lambda _: late.active() and late.cancel())
        NoRangeStaticProducer(request, BytesIO(body)).start()

    def _broken(self, failure: Failure, request: CallerRequest) -> None:
        if not request.is_gone:
            log.failure("answering /discovery failed", failure)
            request.abort()
