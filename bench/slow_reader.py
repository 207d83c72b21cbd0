"""What a long answer to a slow reader costs in memory: ``python -m bench.slow_reader``.

Two readers at a time, one of them with TLS on both sides, take a 1 GB answer at 1 MB/s each; that
takes a quarter of an hour. Exits with status 1 where the daemon grew by more than 8 MB.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers import (
    Certificate,
    Promproxy,
    group,
    id_of,
    make_certificate,
    promproxy,
    python,
    resident_mb,
    running,
    scrape_path,
)
from tests.integration.peers import CHECKOUT, HOST

RATE = 1_000_000  # bytes per second
GROWTH_MB = 8.0
BLOCK = 65536


@contextmanager
def flood(size: int, certificate: Certificate | None) -> Iterator[str]:
    """The origin of a target whose answer has so many bytes."""
    command = [sys.executable, str(CHECKOUT / "tests" / "integration" / "flood.py"), str(size)]
    if certificate is not None:
        both = certificate.file.with_name("both.pem")
        both.write_bytes(certificate.key.read_bytes() + certificate.file.read_bytes())
        command.append(str(both))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield f"{HOST}:{int(process.stdout.readline())}"
        process.kill()


class Reader:
    """A caller that takes an answer slowly."""

    def __init__(self, port: int, path: str, *, with_tls: bool) -> None:
        self._socket = socket.create_connection((HOST, port))
        if with_tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._socket = context.wrap_socket(self._socket)
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n"
            "X-Prometheus-Scrape-Timeout-Seconds: 3600\r\n\r\n"
        )
        self._socket.sendall(request.encode())
        self.received = 0
        self.is_over = False

    def read(self, size: int) -> None:
        """Take so many bytes more, or all that is left."""
        end = self.received + size
        while self.received < end and not self.is_over:
            data = self._socket.recv(min(BLOCK, end - self.received))
            self.received += len(data)
            self.is_over = not data


def growth_mb(daemon: Promproxy, readers: dict[str, Reader], report: bool) -> float:
    """Let them read to the end; by how much the daemon had grown at most meanwhile."""
    before = largest = resident_mb(daemon)
    moment = time.monotonic()
    while not all(reader.is_over for reader in readers.values()):
        for reader in readers.values():
            reader.read(RATE // 10)
        moment += 0.1
        time.sleep(max(moment - time.monotonic(), 0.0))
        largest = max(largest, resident_mb(daemon))
        if report and int(moment * 10) % 600 == 0:
            progress = {name: f"{r.received / 1e6:.0f} MB" for name, r in readers.items()}
            print(f"{progress}, grown by {largest - before:.1f} MB", file=sys.stderr)
    return largest - before


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.slow_reader", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="of each answer")
    parser.add_argument("--python", default=sys.executable, metavar="PROGRAM")
    asked = parser.parse_args()
    size = asked.megabytes * 1_000_000
    with tempfile.TemporaryDirectory(prefix="promproxy-bench-") as name:
        folder = Path(name)
        certificate = make_certificate(folder)
        with flood(size, None) as plain, flood(size, certificate) as secure:
            daemon = promproxy(
                folder,
                python(asked.python),
                [group([plain], "/flood"), group([secure], "/flood", "https")],
                certificate,
                max_timeout="1h",
            )
            with running(daemon):
                time.sleep(1)
                paths = [scrape_path(id_of(origin, "/flood")) for origin in (plain, secure)]
                readers = {
                    "plain": Reader(daemon.port, paths[0], with_tls=False),
                    "TLS": Reader(daemon.tls_port, paths[1], with_tls=True),
                }
                grown = growth_mb(daemon, readers, report=True)
        received = [reader.received for reader in readers.values()]
        print(f"received {received} bytes; the daemon grew by at most {grown:.1f} MB")
        if grown > GROWTH_MB or min(received) < size // 65536 * 65536:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
