"""The base of tests with processes, and a service discovery for them to ask."""

from __future__ import annotations

import json
import os
import ssl
import tempfile
import threading
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.peers import (
    HOST,
    Peer,
    Prometheus,
    eventually,
    node_exporter,
    prometheus,
    promproxy,
)


class ServedDocument:
    """A service discovery over HTTP of the test itself.

    ``status``, ``body`` and ``missing``, the bytes that are told of but not sent, may be changed
    at any time; ``heads`` are the headers that came with the requests. With ``context`` over TLS.
    """

    def __init__(self, groups: list[dict[str, Any]], context: ssl.SSLContext | None = None) -> None:
        self.status = 200
        self.body = json.dumps(groups).encode()
        self.missing = 0
        self.heads: list[HTTPMessage] = []
        document = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                document.heads.append(self.headers)
                body = document.body
                self.send_response(document.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body) + document.missing))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self.address = f"{HOST}:{self._server.server_port}"
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def source(self, name: str) -> str:
        """A source of promproxy that reads it (YAML)."""
        url = f"http://{self.address}/"
        return f"{{name: {name}, refresh_interval: 1s, http_sd: {{url: '{url}'}}}}"

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class PeersTestCase(SynchronousTestCase):
    """Starts the processes of a test in a folder of their own, and stops them after it."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="promproxy-test-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.target_file = self.folder / "targets.json"
        self.discovery_file = self.folder / "discovery.json"

    def start(self, peer: Peer) -> None:
        self.addCleanup(peer.stop)
        peer.start()

    def start_exporters(self, count: int) -> list[Peer]:
        exporters = [node_exporter(self.folder) for _ in range(count)]
        for exporter in exporters:
            self.start(exporter)
        return exporters

    def start_promproxy(self, *more_sources: str) -> Peer:
        """With the targets of `list_targets`, and more sources (YAML)."""
        files = (
            f"{{name: vms, refresh_interval: 500ms, files: {{paths: ['{self.target_file.name}']}}}}"
        )
        proxy = promproxy(self.folder, f"[{', '.join([files, *more_sources])}]")
        self.start(proxy)
        return proxy

    def start_prometheus(self, proxy: Peer) -> Prometheus:
        self.copy_discovery(proxy)
        server = prometheus(self.folder, f"http://{proxy.address}/discovery", self.discovery_file)
        self.start(server)
        return server

    def serve(
        self, groups: list[dict[str, Any]], context: ssl.SSLContext | None = None
    ) -> ServedDocument:
        document = ServedDocument(groups, context)
        self.addCleanup(document.close)
        return document

    def await_ready(self, proxy: Peer) -> None:
        eventually(lambda: self.assertEqual(proxy.get("/-/ready").status, 200, proxy.output))

    def list_targets(self, *exporters: Peer) -> None:
        addresses = [exporter.address for exporter in exporters]
        self.target_file.write_text(json.dumps([{"targets": addresses, "labels": {}}]))

    def copy_discovery(self, proxy: Peer) -> None:
        """Put the discovery document where Prometheus finds it as a file, all at once."""
        answer = proxy.get("/discovery")
        self.assertEqual(answer.status, 200, answer.body)
        new = self.folder / "discovery.new"
        new.write_bytes(answer.body)
        os.replace(new, self.discovery_file)

    def assert_all_up(self, server: Prometheus, *peers: Peer) -> None:
        """Each of these, and nothing else, is up in every job, under its own instance."""
        expected = dict.fromkeys((peer.address for peer in peers), "up")
        for job in server.JOBS:
            found = server.targets(job)
            self.assertEqual(len(found), len(expected), found)
            health = {target["labels"]["instance"]: target["health"] for target in found}
            self.assertEqual(health, expected, found)
