"""Targets that accept a connection and never answer, and the callers that wait for them."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from bench.load import BenchmarkError
from tests.integration.peers import HOST

OFFSET_SECONDS = 0.25  # promproxy's default `timeout_offset`


@contextmanager
def hanging_target(connections: int) -> Iterator[str]:
    """The host:port of something to which so many can connect, that never says a word.

    The kernel accepts for it, so it takes no processor time.
    """
    with socket.create_server((HOST, 0), backlog=connections) as listener:
        yield f"{HOST}:{listener.getsockname()[1]}"


def lateness_ms(
    address: str, paths: Sequence[str], timeout: float, meanwhile: Callable[[], None]
) -> list[float]:
    """Scrape all paths, none of which answers; how long after its deadline each 504 came, sorted.

    ``timeout`` is in seconds, as the callers name it; ``meanwhile`` must take less. They begin a
    millisecond apart, since a Prometheus spreads its scrapes over the interval.
    """
    host, _, port = address.partition(":")
    waiting = selectors.DefaultSelector()
    for path in paths:
        time.sleep(0.001)
        caller = socket.create_connection((host, int(port)))
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {address}\r\n"
            f"X-Prometheus-Scrape-Timeout-Seconds: {timeout}\r\nConnection: close\r\n\r\n"
        )
        caller.sendall(request.encode())
        waiting.register(caller, selectors.EVENT_READ, time.perf_counter())
    try:
        meanwhile()
        return sorted(_answers(waiting, timeout - OFFSET_SECONDS))
    finally:
        for key in list(waiting.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]


def _answers(waiting: selectors.BaseSelector, seconds: float) -> Iterator[float]:
    while waiting.get_map():
        ready = waiting.select(timeout=2 * seconds + 5)
        now = time.perf_counter()
        if not ready:
            raise BenchmarkError("some scrapes were never answered")
        for key, _events in ready:
            caller = key.fileobj
            assert isinstance(caller, socket.socket)
            answer = caller.recv(65536)
            if not answer.startswith(b"HTTP/1.1 504 "):
                raise BenchmarkError(f"a target that hangs was answered {answer!r}")
            waiting.unregister(caller)
            caller.close()
            yield (now - key.data - seconds) * 1000
