"""One HTTP request and its answer as plain values, and the resource that joins them to a server.

The Cloud Controller, the UAA, the gorouter and the control interface are functions from a `Call`
to an `Answer`.  `Front` asks one of them, and lets a fault come between.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from attrs import field, frozen
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

HTML_REASONS = {
    414: "Request-URI Too Large",
    429: "Too Many Requests",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}

# More different paths than a well-behaved client asks for are counted as one.
_COUNTED_PATHS = 200


@frozen(kw_only=True)
class Call:
    """A request; header names are lower-case, ``path`` and ``query`` are as sent."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = b""
    client: str = "127.0.0.1"
    scheme: str = "http"

    @property
    def host(self) -> str:
        """The Host header, as sent."""
        return self.headers.get("host", "")


@frozen(kw_only=True)
class Answer:
    """A response with its whole body."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(factory=dict)


def json_answer(status: int, document: object, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in compact JSON."""
    body = json.dumps(document, separators=(",", ":")).encode()
    return Answer(
        status=status,
        body=body,
        headers={"Content-Type": "application/json; charset=utf-8", **(headers or {})},
    )


def text_answer(status: int, text: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in plain text."""
    return Answer(
        status=status,
        body=text.encode(),
        headers={"Content-Type": "text/plain; charset=utf-8", **(headers or {})},
    )


def html_answer(status: int) -> Answer:
    """What the nginx in front of the Cloud Controller says by itself."""
    title = f"{status} {HTML_REASONS[status]}"
    body = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n"
        f"<body>\r\n<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n"
        "</body>\r\n</html>\r\n"
    )
    return Answer(status=status, body=body.encode(), headers={"Content-Type": "text/html"})


class Disturbance(Protocol):
    """What comes between a request and its answer; `promproxy.simulation.faults` has them."""

    kind: str
    seconds: float

    def answer(self) -> Answer | None:
        """The answer given instead of the true one, if it is that sort of fault."""


class Front(Resource):
    """Answers all requests below it by one function, and counts them.

    ``answer`` gives None where the real server would drop the connection.  ``draw`` is asked
    with each path for the fault that shall strike.
    """

    isLeaf = True

    def __init__(
        self,
        answer: Callable[[Call], Answer | None],
        draw: Callable[[str], Disturbance | None],
        clock: Any,
    ) -> None:
        super().__init__()
        self._answer = answer
        self._draw = draw
        self._clock = clock
        self.requests: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()

    def render(self, request: Any) -> int:
        """Answer, now or later, or never."""
        call = call_of(request)
        self._count(call.path)
        fault = self._draw(call.path)
        kind = fault.kind if fault else ""
        if fault and kind == "slow":
            delayed = self._clock.callLater(fault.seconds, self._finish, request, call)
            request.notifyFinish().addErrback(_cancel, delayed)
        elif kind == "reset":
            request.channel.transport.abortConnection()
        elif kind == "not_http":
            request.channel.transport.write(b"220 this is no HTTP server\r\n\r\n")
            request.channel.loseConnection()
        elif kind != "hang":
            instead = fault.answer() if fault else None
            self._finish(request, call, instead, truncated=kind == "truncate")
        return NOT_DONE_YET

    def _finish(
        self, request: Any, call: Call, instead: Answer | None = None, truncated: bool = False
    ) -> None:
        answer = instead or self._answer(call)
        if answer is None:
            request.channel.transport.abortConnection()
            return
        self.answers[answer.status] += 1
        request.setResponseCode(answer.status)
        for name, value in answer.headers.items():
            request.setHeader(name, value)
        request.setHeader("Content-Length", str(len(answer.body)))
        if truncated:
            request.write(answer.body[: len(answer.body) // 2])
            request.channel.loseConnection()
        else:
            request.write(answer.body)
            request.finish()

    def _count(self, path: str) -> None:
        pattern = "/".join(":guid" if len(part) == 36 else part for part in path.split("/"))
        if pattern not in self.requests and len(self.requests) >= _COUNTED_PATHS:
            pattern = "other"
        self.requests[pattern] += 1


def call_of(request: Any) -> Call:
    """The request as a value; of headers that come twice the last one counts."""
    path, _, query = request.uri.decode("latin-1").partition("?")
    headers = {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in request.requestHeaders.getAllRawHeaders()
    }
    return Call(
        method=request.method.decode("latin-1"),
        path=path,
        query=query,
        headers=headers,
        body=request.content.read(),
        client=getattr(request.getClientAddress(), "host", ""),
        scheme="https" if request.isSecure() else "http",
    )


def _cancel(_reason: Failure, delayed: Any) -> None:
    if delayed.active():
        delayed.cancel()
