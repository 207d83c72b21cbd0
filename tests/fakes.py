"""Small stand-ins for what surrounds a module: sources, targets' answers, and a caller."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from attrs import define, field, frozen
from twisted.internet import task
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.task import Clock, Cooperator
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from promproxy.errors import CutShort
from promproxy.http.head import CHUNKED, Head
from promproxy.outbound.response import Response
from promproxy.registry import Registry
from promproxy.server.site import PromproxySite
from promproxy.sources import Source
from promproxy.targets.document import EntryStyle
from promproxy.targets.snapshot import Profiles
from promproxy.targets.target import Delivery, Target


def make_target(name: str = "h:1", source: str = "vms", **changes: Any) -> Target:
    """A target of a source; `name` is its instance and the end of its id."""
    host, _, port = name.partition(":")
    fields: dict[str, Any] = {
        "id": f"{source}/{name}",
        "source": source,
        "scheme": "http",
        "host": host,
        "port": int(port or 80),
        "path": "/metrics",
        "instance": name,
    }
    return Target(**{**fields, **changes})


def delivery_of(*names: str, source: str = "vms") -> Delivery:
    """A delivery of targets with these instances."""
    return Delivery(tuple(make_target(name, source) for name in names))


@define(eq=False)
class ScriptedSource:
    """Answers one refresh after the other; the last step stays."""

    steps: list[Delivery | BaseException | Deferred[Delivery]]
    name: str = "vms"
    interval: float = 60.0
    calls: int = 0

    async def targets(self) -> Delivery:
        self.calls += 1
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Deferred):
            return await step
        if isinstance(step, BaseException):
            raise step
        return step


def settle(clock: Clock) -> None:
    """Run all that is due now, and what becomes due by that."""
    while any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
        clock.advance(0)


def make_registry(clock: Clock, *sources: Source, **options: Any) -> Registry:
    """A registry without jitter; not started."""
    render = options.pop("render", EntryStyle().target_entry)
    startup_grace = options.pop("startup_grace", 0.0)
    profiles = options.pop("profiles", FakeProfiles())
    fields: dict[str, Any] = {
        "random": lambda: 0.0,
        "on_refresh": lambda name, seconds, succeeded: None,
    }
    registry = Registry(clock=clock, **{**fields, **options})
    registry.set_sources(sources, render, profiles, startup_grace)
    return registry


def registry_with(clock: Clock, *deliveries: Delivery) -> Registry:
    """A registry that holds these; the source is named by each one's first target."""
    sources = [ScriptedSource([one], name=one.targets[0].source) for one in deliveries]
    registry = make_registry(clock, *sources)
    registry.start()
    settle(clock)
    return registry


def pull_by_clock(case: SynchronousTestCase, clock: Clock, step: float = 0) -> None:
    """Twisted pulls from pull producers by the global reactor; here by the clock, every `step`."""
    one_at_a_time = Cooperator(lambda: lambda: True, partial(clock.callLater, step))
    case.patch(task, "_theCooperator", one_at_a_time)


class Wire(StringTransport):
    """A transport in memory that remembers how it was closed, and closes when the test says so."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


@frozen
class Answer:
    """What came back for one request."""

    status: int
    phrase: str
    headers: Mapping[str, str]
    body: bytes


@define(eq=False)
class Caller:
    """One connection in memory to a site, or to a tree of resources."""

    root: IResource | PromproxySite
    clock: Clock = field(factory=Clock)
    wire: Wire = field(factory=lambda: Wire(peerAddress=IPv4Address("TCP", "127.0.0.1", 5)))
    channel: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        site = self.root
        if not isinstance(site, PromproxySite):
            site = PromproxySite(site, self.clock)
        self.channel = site.buildProtocol(self.wire.getPeer())
        self.wire.protocol = self.channel
        self.channel.makeConnection(self.wire)

    def send(self, method: str, uri: str, version: str = "1.1", **headers: str) -> None:
        """Send a request without a body; underscores in the names of headers stand for hyphens."""
        named = {"Host": "proxy.example:8080", **headers}
        lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items()]
        self.channel.dataReceived(
            f"{method} {uri} HTTP/{version}\r\n{''.join(lines)}\r\n".encode("latin-1")
        )

    def get(self, uri: str, **headers: str) -> Answer:
        """Ask for something that is answered at once, or as soon as the clock moves."""
        self.send("GET", uri, **headers)
        return self.answer()

    def head(self, uri: str, **headers: str) -> Answer:
        """The same with HEAD."""
        self.send("HEAD", uri, **headers)
        return self.answer()

    def answer(self) -> Answer:
        """All that came back since the last time, as one answer."""
        settle(self.clock)
        return parse_answer(self.wire_bytes())

    def wire_bytes(self) -> bytes:
        """All that came back since the last time."""
        data = self.wire.value()
        self.wire.clear()
        return data

    def leave(self) -> None:
        """Close the connection from this side."""
        if self.wire.producer is not None:
            self.wire.producer.stopProducing()
        self.channel.connectionLost(Failure(ConnectionDone()))


def parse_answer(data: bytes) -> Answer:
    """The head of an answer and what follows it, chunks and all."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    _, status, phrase = first.split(" ", 2)
    headers = dict(line.split(": ", 1) for line in lines)
    return Answer(int(status), phrase, headers, body)


@define(eq=False)
class FakeConnection:
    """What an answer from upstream reads from: remembers what was asked of it."""

    paused: bool = False
    aborted: bool = False
    response: Response | None = None

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def abort(self) -> None:
        self.aborted = True


def make_response(
    code: int = 200,
    headers: list[tuple[bytes, bytes]] | None = None,
    length: int = CHUNKED,
    phrase: bytes = b"OK",
) -> tuple[Response, FakeConnection]:
    """The head of an answer from upstream; its body is up to the test."""
    connection = FakeConnection()
    lines = [(b"Content-Type", b"text/plain; version=0.0.4")] if headers is None else headers
    head = Head(1, code, phrase, lines, length, keep_alive=True)
    return Response(head, connection), connection


@frozen
class Sent:
    """One request to a target."""

    target: Target
    method: bytes
    headers: list[tuple[bytes, bytes]]
    answer: Deferred[Response]


class FakeProfiles:
    """A target is the template of its own requests."""

    def template_for(self, target: Target) -> Target:
        return target


@define(eq=False)
class FakeOutbound:
    """Keeps the requests; the test answers them."""

    sent: list[Sent] = field(factory=list)
    cancelled: int = 0
    profiles: Profiles = field(factory=lambda: FakeProfiles())

    def send(self, template: Target, method: bytes, lines: bytes) -> Deferred[Response]:
        def count(_answer: object) -> None:
            self.cancelled += 1

        answer: Deferred[Response] = Deferred(count)
        own = [(name.encode(), value.encode()) for name, value in template.headers]
        more = [line.split(b": ", 1) for line in lines.split(b"\r\n")[:-1]]
        headers = [*own, *((name, value) for name, value in more)]
        self.sent.append(Sent(template, method, headers, answer))
        return answer

    @property
    def last(self) -> Sent:
        return self.sent[-1]


def break_off(response: Response) -> None:
    """The upstream closes its connection in the middle."""
    response.finish(CutShort("connection closed in the middle of the answer"))


@define(eq=False)
class ManualThread:
    """Runs nothing until told to, in place of a thread."""

    waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = field(factory=list)

    def __call__(self, work: Callable[[], Any]) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()
        self.waiting.append((work, result))
        return result

    def run(self) -> None:
        """Do all that waits."""
        waiting, self.waiting = self.waiting, []
        for work, result in waiting:
            maybeDeferred(work).chainDeferred(result)


def at_once(work: Callable[[], Any]) -> Deferred[Any]:
    """Runs it where a thread would."""
    return maybeDeferred(work)


class MemoryReactor(MemoryReactorClock):  # type: ignore[misc] # it has no types
    """A reactor in memory whose threads work at once, and where some ports are taken."""

    def __init__(self, *taken: int) -> None:
        super().__init__()
        self.taken = taken

    def getThreadPool(self) -> MemoryReactor:
        return self

    def callInThreadWithCallback(
        self, tell: Callable[[bool, Any], None], work: Callable[[], Any]
    ) -> None:
        at_once(work).addCallbacks(partial(tell, True), partial(tell, False))

    def callFromThread(self, work: Callable[..., None], *args: Any) -> None:
        work(*args)

    def listenTCP(self, port: int, *args: Any, **options: Any) -> Any:
        if port in self.taken:
            raise CannotListenError(options.get("interface", ""), port, "in use, says the system")
        return super().listenTCP(port, *args, **options)


class DocumentServer(Resource):
    """An http_sd server; whatever of it may be wrong is an attribute."""

    isLeaf = True
    status = 200
    content_type = "application/json"
    etag: bytes | None = None
    hangs = False

    def __init__(self) -> None:
        super().__init__()
        self.body = json.dumps([{"targets": ["a:1"]}]).encode()
        self.requests: list[Request] = []

    def render_GET(self, request: Request) -> bytes | int:
        self.requests.append(request)
        request.setResponseCode(self.status)
        request.setHeader("Content-Type", self.content_type)
        if self.etag is not None:
            request.setETag(self.etag)
        return NOT_DONE_YET if self.hangs else self.body
