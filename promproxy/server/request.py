"""One request and its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.error import UnsupportedMethod
from twisted.web.http import NO_BODY_CODES, parse_qs
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource
from twisted.web.server import Request

from promproxy.server.access import Caller, Decision, Refusal
from promproxy.server.answers import RETRY_AFTER_SECONDS, for_pushprox, plain_answer
from promproxy.server.body import RequestBody
from promproxy.server.head import Fields, RequestHead


class CallerRequest(Request):
    """A request whose body is read only if asked for; its answer has no content type of its own.

    ``body`` is None where none was announced. ``fields`` are its header fields but the one in
    ``credentials``; ``requestHeaders`` has the same, made when first asked for. ``on_lost``, if
    set, is called when the caller leaves before the answer is complete; clear it when done.
    ``caller`` is set once the site's gate has admitted it. ``is_proxied``: to the caller we
    are a proxy, and credentials for us are in ``Proxy-Authorization``.
    """

    defaultContentType = None
    channel: Any = None
    caller = Caller()
    is_proxied = False
    fields: Fields
    credentials: Mapping[bytes, bytes]
    body: RequestBody | None = None
    _passed_on = b""
    _has_passed_length = False
    on_lost: Callable[[], None] | None = None
    is_corked = False
    _headers: Headers | None = None

    @property
    def requestHeaders(self) -> Headers:
        """The header fields as Twisted has them."""
        if self._headers is None:
            self._headers = Headers()
            for name, values in self.fields.by_name.items():
                self._headers.setRawHeaders(name, list(values))
        return self._headers

    @requestHeaders.setter
    def requestHeaders(self, headers: Headers) -> None:
        """Twisted's own would begin with none."""

    def begin(self, head: RequestHead) -> None:
        """Take up a head that was read, and process it."""
        self.fields, self.credentials = head.fields, head.credentials
        self.method, self.clientproto = head.method, head.version
        self.set_target(head.uri)
        self.process()

    def set_target(self, uri: bytes) -> None:
        """Set the URI that is requested."""
        self.uri = uri
        self.path, _, query = uri.partition(b"?")
        self.args = parse_qs(query, True) if query else {}

    def process(self) -> None:
        """Find the page and ask the gate, then let the page answer or refuse."""
        self.site = site = self.channel.site
        self.prepath = []
        proxied = None if self.uri[:1] == b"/" or b"://" not in self.uri else site.proxied(self)
        self.is_proxied = proxied is not None
        self.postpath = self.path[1:].split(b"/")
        if b"%" in self.path:
            self.postpath = [unquote_to_bytes(part) for part in self.postpath]
        try:
            resource = proxied or site.getResourceFor(self)
            decision = site.gate.authorize(self, getattr(resource, "page", ""))
            if isinstance(decision, Deferred):
                decision.addCallback(self._go_on, resource)
                decision.addErrback(self.processingFailed)
            else:
                self._go_on(decision, resource)
        except BaseException:
            self.processingFailed(Failure())

    def _go_on(self, decision: Decision, resource: IResource) -> None:
        if self.is_gone:
            return
        if isinstance(decision, Refusal):
            self._refuse(decision)
        else:
            self.caller = decision
            self.render(resource)

    def _refuse(self, refusal: Refusal) -> None:
        self.channel.site.gate.refused[refusal.reason] += 1
        status = refusal.status
        if status == 401 and self.is_proxied:
            status = 407
            self.responseHeaders.setRawHeaders(b"Proxy-Authenticate", refusal.challenges)
        elif status == 401:
            self.responseHeaders.setRawHeaders(b"WWW-Authenticate", refusal.challenges)
        elif status == 503:
            self.setHeader(b"Retry-After", b"%d" % RETRY_AFTER_SECONDS)
        self.write(plain_answer(self, status, for_pushprox(self.path, refusal.text)))
        self.finish()

    def render(self, resrc: IResource) -> None:
        """Let the resource answer. Twisted's has a line for the log for each HEAD."""
        try:
            body = resrc.render(self)
        except UnsupportedMethod as error:
            self.setHeader(b"Allow", b", ".join(error.allowedMethods))
            body = plain_answer(self, 405, "this method is not for this page")
        if isinstance(body, int):  # NOT_DONE_YET
            return
        if body or self.method != b"HEAD":  # else the resource has said how long it would be
            self.setHeader(b"Content-Length", b"%d" % len(body))
        self.write(body)
        self.finish()

    def expects_continue(self) -> bool:
        """Whether the body comes only once we say that it may (RFC 9110, section 10.1.1)."""
        return (self.fields.joined(b"expect") or b"").lower() == b"100-continue"

    # The answer.

    def pass_on(self, lines: bytes, *, has_length: bool) -> None:
        """Header lines for the answer, known to be well formed, beside ``responseHeaders``.

        ``has_length`` says that the body's length is among them, or that there is no body.
        """
        self._passed_on = lines
        self._has_passed_length = has_length

    def cork(self) -> None:
        """Collect writes from now on, until `uncork` or the end of the answer."""
        self.is_corked = True

    def uncork(self) -> None:
        """Send what was collected, and further writes at once."""
        self.is_corked = False
        if self.channel is not None:
            self.channel.flush()

    def write(self, data: bytes | memoryview) -> None:
        """Write some of the body, after the head where that is still to be written."""
        channel = self.channel
        if channel is None:
            return
        if not self.startedWriting:
            self.startedWriting = 1
            channel.write(self._head())
        if data and not self._is_bodiless():
            if self.chunked:
                channel.writeSequence((b"%x\r\n" % len(data), data, b"\r\n"))
            else:
                channel.write(data)
        if not self.is_corked:
            channel.flush()

    def _is_bodiless(self) -> bool:
        return self.method == b"HEAD" or self.code in NO_BODY_CODES

    def _head(self) -> bytes:
        channel = self.channel
        if self.body is not None and not self.body.is_read:
            channel.persistent = False
        if self.etag is not None:
            self.setHeader(b"ETag", self.etag)
        lines = [
            b"%b %d %b\r\n" % (self.clientproto, self.code, self.code_message),
            channel.site.common_header_lines(),
        ]
        lines.append(self._passed_on)
        for name, values in self.responseHeaders.getAllRawHeaders():
            lines += [b"%b: %b\r\n" % (name, value) for value in values]
        if self.clientproto == b"HTTP/1.1":
            if not self._has_length() and not self._is_bodiless():
                self.chunked = 1
                lines.append(b"Transfer-Encoding: chunked\r\n")
            if not channel.persistent:
                lines.append(b"Connection: close\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)

    def _has_length(self) -> bool:
        return self._has_passed_length or self.responseHeaders.hasHeader(b"Content-Length")

    # The end.

    def finish(self) -> None:
        if self.channel is None or self.finished:
            super().finish()  # which knows what to say
            return
        if not self.startedWriting:
            self.write(b"")
        if self.chunked:
            self.channel.write(b"0\r\n\r\n")
        self.finished = 1
        self._cleanup()

    def connectionLost(self, reason: Failure) -> None:
        """The caller left before the answer was complete."""
        super().connectionLost(reason)
        on_lost, self.on_lost = self.on_lost, None
        if on_lost is not None:
            on_lost()

    @property
    def is_gone(self) -> bool:
        """Whether the connection is closed already, or the answer complete."""
        return self.channel is None

    def abort(self) -> None:
        """Reset the connection; what was not sent yet is lost."""
        if self.channel is not None:
            self.channel.transport.abortConnection()

    def abort_truncated(self) -> None:
        """Send what was written, then end the connection so that the body cannot look whole."""
        if self.chunked or self._has_length():
            self.loseConnection()
        else:  # the end of the connection would be the end of the body
            self.abort()
