"""A real Prometheus ingests merged answers. Numbers are those of the design's acceptance cases."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.integration.case import PeersTestCase
from tests.integration.peers import HOST, Prometheus, eventually, prometheus, promproxy

GOOD = b'# TYPE good gauge\ngood{a="b"} 1\n'
#: 12 to 16: bodies that spoil their own target only.
SPOILED = {
    "crlf": b"m 1\r\n",
    "html": b"<html></html>\n",
    "label": b'm{1a="b"} 1\n',
    "value": b"m 0x10\n",
    "twice": b'm{a="1",a="2"} 1\n',
    "type": b"# TYPE m GAUGE\nm 1\n",
    "nul": b'm{a="\0"} 1\n',
    "utf8": b'm{a="\xff"} 1\n',
    "cut": b'm{a="b',
}
#: 20, and 31's target that has an up of its own.
BODIES = {
    **SPOILED,
    "first": GOOD,
    "last": GOOD,
    "gauge": b"# TYPE m_both gauge\nm_both 1\n",
    "counter": b"# TYPE m_both counter\nm_both 2\n",
    "own_up": b"up 7\n",
}


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # else connections made at once wait for a second


class _Exporters:
    """Serves each body at a path of its name."""

    def __init__(self, bodies: Mapping[str, bytes]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = bodies[self.path.strip("/")]
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = _Server((HOST, 0), Handler)
        self.address = f"{HOST}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class MergedPrometheusTests(PeersTestCase):
    def setUp(self) -> None:
        super().setUp()
        exporters = _Exporters(BODIES)
        self.addCleanup(exporters.close)
        names = ["first", *SPOILED, "gauge", "counter", "own_up", "last"]
        groups = [
            {
                "targets": [exporters.address],
                "labels": {"__metrics_path__": f"/{name}", "instance": name},
            }
            for name in names
        ]
        self.target_file.write_text(json.dumps(groups))
        source = f"[{{name: vms, files: {{paths: ['{self.target_file}']}}}}]"
        self.proxy = promproxy(self.folder, source, "merged: {}\n")
        self.start(self.proxy)
        self.await_ready(self.proxy)

    def start_jobs(self) -> Prometheus:
        """One that honours labels, as the manual has it, and one that does not."""
        jobs = [
            {
                "job_name": name,
                "metrics_path": "/mergedMetrics",
                "honor_labels": honor,
                "static_configs": [{"targets": [self.proxy.address]}],
            }
            for name, honor in (("merged", True), ("renamed", False))
        ]
        self.discovery_file.write_text("[]")
        url = f"http://{self.proxy.address}/discovery?source=vms"
        server = prometheus(self.folder, url, self.discovery_file, more_jobs=jobs)
        self.start(server)
        return server

    def test_what_it_ingests(self) -> None:
        """17, 20, 31: good targets are whole beside spoiled ones; each up is its target's."""
        server = self.start_jobs()
        expected = {name: float(name not in SPOILED) for name in BODIES}

        def all_are_there() -> None:
            found = server.query('up{job="merged"}')
            self.assertEqual({n: v for n, v in found.items() if n in BODIES}, expected)

        eventually(all_are_there)

        def each_job_has_them() -> None:
            self.assertEqual(server.query('good{job="merged"}'), {"first": 1.0, "last": 1.0})
            self.assertEqual(server.query('m_both{job="merged"}'), {"gauge": 1.0, "counter": 2.0})
            self.assertEqual(server.query('m{job="merged"}'), {})
            (build,) = server.series('promproxy_build_info{job="merged"}')
            self.assertEqual(build["instance"], self.proxy.address)
            # Without honor_labels the job's own up is that of promproxy, and the others have their
            # names beside it.
            own = server.query('up{job="renamed", exported_instance=""}')
            self.assertEqual(own, {self.proxy.address: 1.0})
            renamed = server.series('good{job="renamed"}')
            self.assertEqual({s["exported_instance"] for s in renamed}, {"first", "last"})

        eventually(each_job_has_them)

    def test_promproxy_is_gone(self) -> None:
        """All is stale at once, and the job is down."""
        server = self.start_jobs()
        eventually(lambda: self.assertEqual(len(server.query('good{job="merged"}')), 2))
        self.proxy.kill()

        def is_down() -> None:
            self.assertEqual(server.query('good{job="merged"}'), {})
            self.assertEqual(server.query('up{job="renamed"}')[self.proxy.address], 0.0)

        eventually(is_down)
