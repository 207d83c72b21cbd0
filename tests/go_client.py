"""What PushProx's client, which is written in Go, sends and reads: byte for byte.

The bytes were taken from Go's net/http, as cmd/client/main.go of PushProx uses it: `Client.Post`
for a poll, and `Response.Write` into the body of a request for a push.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from attrs import define, frozen

EXPOSITION = b"up_to_you 1\n"


def poll(fqdn: str, path: str = "/poll", host: str = "proxy.example:8080", more: str = "") -> bytes:
    """A request of the client for something to scrape."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Go-http-client/1.1\r\n"
        f"Content-Length: {len(fqdn)}\r\n{more}Content-Type: \r\nAccept-Encoding: gzip\r\n\r\n"
        f"{fqdn}"
    ).encode()


def push(
    response: bytes, path: str = "/push", host: str = "proxy.example:8080", more: str = ""
) -> bytes:
    """A request that brings an answer."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Go-http-client/1.1\r\n"
        f"Content-Length: {len(response)}\r\n{more}Accept-Encoding: gzip\r\n\r\n"
    ).encode() + response


@frozen
class ScrapeRequest:
    """What a poll was answered with, as Go's `http.ReadRequest` takes it apart."""

    method: str
    url: str
    headers: dict[str, str]

    @property
    def id(self) -> str:
        """By which the answer finds whoever waits for it."""
        return self.headers["id"]

    @property
    def seconds(self) -> float:
        """How long the scrape may take; the client refuses one that does not say so."""
        return float(self.headers["x-prometheus-scrape-timeout-seconds"])

    @property
    def is_https(self) -> bool:
        """Whether the client scrapes by https."""
        return ("_scheme", "https") in parse_qsl(urlsplit(self.url).query)


def read_request(data: bytes) -> ScrapeRequest:
    """Raises ValueError for what is no request in absolute form."""
    head, blank, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, url, version = first.split(" ")
    if not blank or body or version != "HTTP/1.1" or not url.startswith("http://"):
        raise ValueError(f"no request: {data!r}")
    return ScrapeRequest(method, url, {k.lower(): v for k, v in (x.split(": ", 1) for x in lines)})


@define
class Responses:
    """Answers as the client writes them; each has the id of the scrape in it."""

    scrape_id: str
    seconds_left: float = 9.5

    def _own(self) -> bytes:
        return (
            f"Id: {self.scrape_id}\r\nX-Prometheus-Scrape-Timeout: {self.seconds_left:f}\r\n\r\n"
        ).encode()

    def counted(self, body: bytes = EXPOSITION, *, sent: int | None = None) -> bytes:
        """Of a target that says how long its answer is; ``sent`` is how much arrives."""
        start = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: text/plain\r\n" % len(body)
        return start + self._own() + body[:sent]

    def chunked(self, body: bytes = EXPOSITION) -> bytes:
        """Of a target that does not: Go writes one chunk for what it read at a time."""
        start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n"
        return start + self._own() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    def until_close(self, body: bytes = EXPOSITION) -> bytes:
        """Of a target that closes its connection after the answer."""
        start = b"HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n"
        return start + self._own() + body

    def to_head(self, length: int) -> bytes:
        """To a HEAD: a length, and nothing of it."""
        start = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: text/plain\r\n" % length
        return start + self._own()

    def error(self, text: str = "failed to scrape http://h:9100/metrics: refused") -> bytes:
        """Of the client itself, which leaves the version of HTTP at zero."""
        return b"HTTP/0.0 500 Internal Server Error\r\n" + self._own() + text.encode()
