"""Targets' raw answers: up or not, and with which samples, directly and through promproxy."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from urllib.parse import unquote

from tests.compatibility.answers import DIFFERENCES, cases
from tests.integration.case import PeersTestCase
from tests.integration.peers import HOST, Prometheus, eventually, need, prometheus, promproxy

MORE = "scrape: {default_timeout: 3s, max_concurrent_per_host: 500}\n"


class _RawServer:
    """Answers a path of ``/<number>`` with the bytes of that case, and closes."""

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = answers
        self._listener = socket.create_server((HOST, 0), backlog=1024)
        self.address = f"{HOST}:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        with peer:
            try:
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = peer.recv(65536)
                    if not piece:
                        return
                    head += piece
                path = unquote(head.split(b" ", 2)[1].decode())
                number = path.strip("/")
                peer.sendall(self._answers[int(number)] if number.isdigit() else b"")
                peer.shutdown(socket.SHUT_WR)
                peer.settimeout(2)
                while peer.recv(65536):
                    pass
            except OSError:
                pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


class AnswersTests(PeersTestCase):
    timeout = 120

    def test_prometheus_sees_the_same(self) -> None:
        """Through promproxy as without it, but for what is meant."""
        corpus = cases()
        self.assertGreaterEqual(len(corpus), 200)
        server = _RawServer(list(corpus.values()))
        self.addCleanup(server.close)
        groups = [
            {
                "targets": [server.address],
                "labels": {"__metrics_path__": f"/{number}", "instance": name},
            }
            for number, name in enumerate(corpus)
        ]
        self.target_file.write_text(json.dumps(groups))
        self.discovery_file.write_text(json.dumps(groups))
        daemon = promproxy(
            self.folder, f"[{{name: vms, files: {{paths: ['{self.target_file}']}}}}]", MORE
        )
        self.start(daemon)
        self.await_ready(daemon)
        url = f"http://{daemon.address}/discovery?source=vms"
        oracle = prometheus(self.folder, url, self.discovery_file)
        self.start(oracle)

        def all_are_scraped() -> None:
            for job in ("http_sd", "file_sd"):
                self.assertEqual(len(oracle.query(f'up{{job="{job}"}}')), len(corpus))

        eventually(all_are_scraped, 60.0)
        found: dict[str, str] = {}
        version = subprocess.run(
            [need("prometheus", "prometheus"), "--version"], capture_output=True, text=True
        )
        is_oldest = "version 2.42" in version.stdout + version.stderr

        def agrees() -> None:
            direct, through = seen(oracle, "file_sd"), seen(oracle, "http_sd")
            found.clear()
            for name in corpus:
                if direct[name] != through[name]:
                    found[name] = f"directly {direct[name]}, through promproxy {through[name]}"
            self.assertEqual(set(found) - set(DIFFERENCES), set(), found)
            if is_oldest:  # newer releases of Go refuse most of these too
                self.assertEqual(set(found), set(DIFFERENCES), found)

        eventually(agrees, 30.0)


def seen(server: Prometheus, job: str) -> dict[str, tuple[float, int]]:
    """By case: up, and how many samples there were."""
    ups = server.query(f'up{{job="{job}"}}')
    counts = server.query(f'scrape_samples_scraped{{job="{job}"}}')
    return {name: (up, int(counts.get(name, 0.0))) for name, up in ups.items()}
