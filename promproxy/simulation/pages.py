"""What the simulated apps serve: metrics that say which instance was asked."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from attrs import frozen

from promproxy.simulation.exchange import Answer, Call, text_answer
from promproxy.simulation.values import App, Instance, Process

METRICS_PATH = "/metrics"
SECOND_PATH = "/actuator/prometheus"
PROTECTED_PATH = "/private/metrics"
HEADERS_PATH = "/headers"
PATH_ANNOTATION = "prometheus.io/path"
USER, PASSWORD = "metrics", "secret"

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# The coding gzip in Accept-Encoding, unless its weight is zero.
_GZIP = re.compile(r"(?:^|,)\s*gzip\s*(?:,|$|;\s*q=(?!0(?:\.0*)?\s*(?:,|$)))", re.IGNORECASE)
_BUCKETS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf")
_ENDPOINTS = (("GET", "/items"), ("GET", "/items/{id}"), ("POST", "/items"))


@frozen(kw_only=True)
class Endpoint:
    """One entry of the gorouter's table: a container that it can send a request to."""

    app: App
    process: Process
    instance: Instance
    port: int


def metrics_text(endpoint: Endpoint, page: str, requests: int, uptime: float) -> str:
    """The exposition of one instance after so many scrapes; ``page`` is the path asked for."""
    app, process, instance = endpoint.app, endpoint.process, endpoint.instance
    labels = (
        f'app_guid="{app.guid}",instance_index="{instance.index}",'
        f'process_guid="{process.guid}",app_name="{app.name}"'
    )
    return f"""\
# HELP sim_app_info The instance that served this page.
# TYPE sim_app_info gauge
sim_app_info{{{labels}}} 1
# HELP sim_page_info The path of this page within the app.
# TYPE sim_page_info gauge
sim_page_info{{path="{page}"}} 1
# HELP sim_requests_total Requests that this instance has served, with this one.
# TYPE sim_requests_total counter
sim_requests_total {requests}
# HELP process_cpu_seconds_total CPU time used.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total {uptime * 0.05:.2f}
# HELP process_resident_memory_bytes Resident memory.
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes {191774720 + instance.index * 4096}
# HELP process_open_fds Open file descriptors.
# TYPE process_open_fds gauge
process_open_fds 42
# HELP jvm_memory_used_bytes Memory in use by area.
# TYPE jvm_memory_used_bytes gauge
jvm_memory_used_bytes{{area="heap"}} 1.28e+08
jvm_memory_used_bytes{{area="nonheap"}} 6.4e+07
# HELP http_request_duration_seconds Time to answer a request.
# TYPE http_request_duration_seconds histogram
""" + "".join(_histogram(method, uri, int(uptime)) for method, uri in _ENDPOINTS)


def _histogram(method: str, uri: str, count: int) -> str:
    labels = f'method="{method}",uri="{uri}"'
    name = "http_request_duration_seconds"
    top = len(_BUCKETS)
    lines = [
        f'{name}_bucket{{{labels},le="{bound}"}} {count * (number + 1) // top}\n'
        for number, bound in enumerate(_BUCKETS)
    ]
    lines.append(f"{name}_sum{{{labels}}} {count * 0.1:.1f}\n{name}_count{{{labels}}} {count}\n")
    return "".join(lines)


class Apps:
    """All simulated apps as one server; counts what each instance has served."""

    def __init__(self) -> None:
        self._served: WeakKeyDictionary[Instance, int] = WeakKeyDictionary()

    def answer(self, endpoint: Endpoint, path: str, call: Call, now: float) -> Answer:
        """The answer of one instance; ``path`` is without the route's path.

        ``call`` has the headers that the gorouter lets through; `HEADERS_PATH` shows them.
        """
        if call.method not in ("GET", "HEAD"):
            return text_answer(405, "method not allowed\n", {"Allow": "GET, HEAD"})
        requests = self._served[endpoint.instance] = self._served.get(endpoint.instance, 0) + 1
        if path == HEADERS_PATH:
            return text_answer(200, json.dumps(call.headers), {"Content-Type": "application/json"})
        own_path = endpoint.app.annotations.get(PATH_ANNOTATION)
        if path not in (METRICS_PATH, SECOND_PATH, PROTECTED_PATH, own_path):
            return text_answer(404, "404 page not found\n")
        if path == PROTECTED_PATH and call.headers.get("authorization") != _basic():
            return text_answer(401, "Unauthorized\n", {"WWW-Authenticate": 'Basic realm="metrics"'})
        uptime = now - endpoint.instance.since
        body = metrics_text(endpoint, path, requests, uptime).encode()
        return _encoded(body, call.headers)


def _encoded(body: bytes, headers: Mapping[str, str]) -> Answer:
    if not _GZIP.search(headers.get("accept-encoding", "")):
        return Answer(status=200, body=body, headers={"Content-Type": _CONTENT_TYPE})
    return Answer(
        status=200,
        body=gzip.compress(body, compresslevel=1, mtime=0),
        headers={
            "Content-Type": _CONTENT_TYPE,
            "Content-Encoding": "gzip",
            "Vary": "Accept-Encoding",
        },
    )


def _basic() -> str:
    return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
