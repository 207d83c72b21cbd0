"""Asking as Prometheus does: in bulk with wrk, or one by one with a clock in hand."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen

# What Prometheus 2.42 sends.
HEADERS = {
    "User-Agent": "Prometheus/2.42.0",
    "Accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
    "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}
RANDOM_PATHS = Path(__file__).with_name("random_paths.lua")

_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class BenchmarkError(Exception):
    """What was measured did not do its work, so its figures mean nothing."""


@frozen
class Load:
    """What came of asking over many connections at once."""

    rate: float
    p99_ms: float


def run_wrk(url: str, *, seconds: int, connections: int, paths: Path | None = None) -> Load:
    """Ask as fast as answers come: for the URL, or at random for the paths in a file."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for name, value in HEADERS.items():
        command += ["-H", f"{name}: {value}"]
    if paths is not None:
        command += ["-s", str(RANDOM_PATHS), url, "--", str(paths)]
    else:
        command.append(url)
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    p99 = re.search(r"\s99%\s+([\d.]+)(us|ms|s|m)\s", output)
    if rate is None or p99 is None or "Non-2xx" in output or "Socket errors" in output:
        raise BenchmarkError(f"{url}: {output}")
    return Load(float(rate[1]), float(p99[1]) * _MS[p99[2]])


class Client:
    """One kept connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        port = parts.port or 80
        if parts.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._connection: HTTPConnection = HTTPSConnection(
                parts.hostname or "", port, timeout=20, context=context
            )
        else:
            self._connection = HTTPConnection(parts.hostname or "", port, timeout=20)

    def check(self, path: str, expected: bytes) -> None:
        """Raises BenchmarkError unless the path has exactly this body."""
        self._connection.request("GET", path, headers=HEADERS)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200 or body != expected:
            raise BenchmarkError(f"{path}: status {response.status}, {len(body)} bytes")

    def close(self) -> None:
        """No more requests."""
        self._connection.close()


def check(url: str, expected: bytes) -> None:
    """Raises BenchmarkError unless the URL has exactly this body."""
    check_all(url, [path_of(url)], expected)


def check_all(url: str, paths: Sequence[str], expected: bytes) -> None:
    """Like `check`, for many paths of the URL's server."""
    client = Client(url)
    try:
        for path in paths:
            client.check(path, expected)
    finally:
        client.close()


def path_of(url: str) -> str:
    """The path and query of a URL."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def latencies_ms(url: str, expected: bytes, seconds: float) -> list[float]:
    """How long each of many scrapes took that one connection asked for one after another; sorted.

    The body's end must not occur before its end.
    """
    parts = urlsplit(url)
    lines = [f"GET {path_of(url)} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]
    request = "\r\n".join([*lines, "", ""]).encode()
    taken = []
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = _end_of_answer(url, expected)
        stop = time.perf_counter() + seconds
        began = 0.0
        while began < stop:
            began = time.perf_counter()
            connection.sendall(request)
            answer = connection.recv(65536)
            while not answer.endswith(end):
                more = connection.recv(65536)
                if not more:
                    raise BenchmarkError(f"{url}: the connection ended")
                answer += more
            taken.append((time.perf_counter() - began) * 1000)
    return sorted(taken)


def _end_of_answer(url: str, expected: bytes) -> bytes:
    client = HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        client.request("GET", path_of(url), headers=HEADERS)
        chunked = client.getresponse().getheader("Transfer-Encoding") == "chunked"
    finally:
        client.close()
    return expected[-64:] + (b"\r\n0\r\n\r\n" if chunked else b"")


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of sorted values."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
