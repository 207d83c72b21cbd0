"""From the bytes of a connection to a head, a body and an end. Pure: no sockets, no reactor.

:class:`ResponseReader` reads exactly one answer. It never decides differently because the same
bytes came in other pieces.
"""

from __future__ import annotations

from promproxy.errors import BadUpstream, CutShort, PromproxyError
from promproxy.http.bodies import ChunkedBody, CloseDelimitedBody, ContentLengthBody, Piece
from promproxy.http.head import CHUNKED, UNTIL_CLOSE, Head, parse_head

#: Bytes of one head, blank line included, and number of 1xx answers before the real one.
MAX_HEAD = 65536
MAX_INTERIM = 8

_START = b"HTTP/1."

#: More bytes than this that follow a head are not copied.
_LARGE = 16384


class ResponseReader:
    """Reads one answer.

    After each :meth:`feed`, look at ``head`` (None until it is complete), ``error`` (why this
    answer cannot be used, or not further: :class:`BadUpstream` before the head,
    :class:`CutShort` after it) and ``done``.
    """

    __slots__ = ("_body", "_head_only", "_interim", "_partial", "error", "head")

    def __init__(self, *, head_only: bool = False) -> None:
        self._head_only = head_only
        self._partial = b""
        self._interim = 0
        self._body: ContentLengthBody | ChunkedBody | CloseDelimitedBody | None = None
        self.head: Head | None = None
        self.error: PromproxyError | None = None

    @property
    def done(self) -> bool:
        """Has the whole answer arrived?"""
        return self._body is not None and self._body.done

    @property
    def trailing_data(self) -> bool:
        """Did more arrive than this answer?"""
        return self._body is not None and self._body.trailing_data != b""

    @property
    def reusable(self) -> bool:
        """May the connection carry another exchange? Only after exactly one whole answer."""
        head = self.head
        return head is not None and head.keep_alive and self.done and not self.trailing_data

    @property
    def is_close_delimited(self) -> bool:
        """Does its body end with the connection, which has not been in order?"""
        return isinstance(self._body, CloseDelimitedBody)

    def feed(self, data: bytes) -> Piece:
        """Take what arrived and give back the body bytes in it (b"" if there are none)."""
        if self.error is not None:
            return b""
        rest: Piece = data
        if self._body is None:
            rest = self._feed_head(data)
        body = self._body
        if body is None or not rest:
            return b""
        piece: Piece = body.feed(rest)
        if body.broken:
            self.error = CutShort(body.broken)
        return piece

    def end(self, *, clean: bool) -> None:
        """The connection ended, in order (``clean``) or not: sets ``done`` or ``error``."""
        if self.error is not None or self.done:
            return
        if self._body is None:
            self.error = BadUpstream("connection closed without an answer")
        elif clean and isinstance(self._body, CloseDelimitedBody):
            self._body = ContentLengthBody(0)
        else:
            self.error = CutShort("connection closed in the middle of the answer")

    def _feed_head(self, data: bytes) -> Piece:
        """Look for the head; what follows it, or b""."""
        try:
            while self._body is None:
                seen = len(self._partial)
                data = self._partial + data
                end = _end_of_head(data, max(0, seen - 2))
                if end < 0:
                    self._check_partial(data)
                    self._partial = data
                    return b""
                self._partial = b""
                self._take_head(data[:end])
                if len(data) - end > _LARGE and isinstance(self._body, ContentLengthBody):
                    return memoryview(data)[end:]
                data = data[end:]
        except BadUpstream as error:
            self._partial = b""
            self.error = error
            return b""
        return data

    def _take_head(self, raw: bytes) -> None:
        if len(raw) > MAX_HEAD:
            raise BadUpstream("answer head too large")
        head = parse_head(raw, head_only=self._head_only)
        if head.code < 200:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise BadUpstream("too many interim answers")
            return
        self.head = head
        if head.length == CHUNKED:
            self._body = ChunkedBody()
        elif head.length == UNTIL_CLOSE:
            self._body = CloseDelimitedBody()
        else:
            self._body = ContentLengthBody(head.length)

    @staticmethod
    def _check_partial(data: bytes) -> None:
        """Refuse at once what can never become a head."""
        if not data.startswith(_START[: len(data)]):
            raise BadUpstream("not an HTTP answer")
        # A whole head has at most MAX_HEAD bytes, of which one at least is missing.
        if len(data) >= MAX_HEAD:
            raise BadUpstream("answer head too large")


def _end_of_head(data: bytes, start: int) -> int:
    """Where the body begins: after a blank line, with CR or without. -1 where there is none."""
    end = data.find(b"\n\r\n", start)
    bare = data.find(b"\n\n", start, end + 1 if end >= 0 else len(data))
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else -1
