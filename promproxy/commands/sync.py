"""``promproxy sync``: a file for Prometheus's ``file_sd_configs`` that follows ``/discovery``.

Unlike a download in a cron job it never leaves half a file, or none, where one was.
"""

from __future__ import annotations

import os
import random
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThreadPool
from twisted.logger import globalLogBeginner
from twisted.web.resource import Resource

from promproxy.commands.common import run_under_reactor
from promproxy.errors import ConfigError
from promproxy.outbound.settings import HttpClient
from promproxy.server.endpoints import make_endpoint
from promproxy.server.site import PromproxySite
from promproxy.settings.load import load_section
from promproxy.settings.readers import problem_with_url
from promproxy.settings.units import duration_from_text, size_from_text
from promproxy.sync.connection import Connection
from promproxy.sync.follower import Follower, OutputPaths
from promproxy.sync.metrics import Figures
from promproxy.systemd.journal import observer
from promproxy.timing.backoff import next_delay
from promproxy.timing.refresh_loop import RefreshLoop
from promproxy.web.health import HealthyResource
from promproxy.web.metrics import MetricsResource

DESCRIPTION = """
Fetches the http_sd document at URL and replaces FILE whenever it has changed. A failure leaves FILE
as it is. Credentials, TLS settings and a proxy go into the --http-config-file, with Prometheus's
keys: basic_auth, authorization, oauth2, tls_config, proxy_url, no_proxy.
"""


def add(commands: Any) -> None:
    """Add its parser."""
    parser = commands.add_parser(
        "sync",
        help="keep a target file up to date with a remote /discovery",
        description=DESCRIPTION,
    )
    parser.add_argument("url", type=_url, metavar="URL", help="such as http://host:8080/discovery")
    parser.add_argument("file", type=_json_file, metavar="FILE", help="it must end in .json")
    parser.add_argument(
        "--once", action="store_true", help="make one attempt; exit status 1 if it failed"
    )
    for name, parse, default, kind, text in (
        ("--interval", duration_from_text, "60s", "TIME", "how often to fetch"),
        ("--timeout", duration_from_text, "30s", "TIME", "limit for one request"),
        ("--max-size", size_from_text, "64MB", "SIZE", "largest document"),
    ):
        parser.add_argument(
            name, type=_in_units(parse), default=default, metavar=kind, help=f"{text}; {default}"
        )
    parser.add_argument("--mode", type=_mode, default="644", help="permissions of FILE; 644")
    parser.add_argument(
        "--http-config-file",
        type=Path,
        metavar="FILE",
        help="credentials, TLS settings and a proxy (YAML)",
    )
    parser.add_argument(
        "--metrics-file", type=_prom_file, metavar="FILE", help="for node_exporter; ends in .prom"
    )
    parser.add_argument(
        "--metrics-listen",
        metavar="ENDPOINT",
        help="also serve /metrics and /-/healthy, such as on tcp:9099:interface=127.0.0.1",
    )
    parser.set_defaults(run=run)


def _url(text: str) -> str:
    problem = problem_with_url(text)
    if problem is not None:
        raise ArgumentTypeError(problem)
    return text


def _file_ending_in(ending: str, who: str) -> Callable[[str], Path]:
    def parse(text: str) -> Path:
        path = Path(text).absolute()
        if path.suffix != ending:
            raise ArgumentTypeError(f"{text!r} must end in {ending}, as {who} wants it")
        return path

    return parse


_json_file = _file_ending_in(".json", "Prometheus")
_prom_file = _file_ending_in(".prom", "node_exporter")


def _in_units(parse: Callable[[str], float]) -> Callable[[str], float]:
    def checked(text: str) -> float:
        try:
            value = parse(text)
        except ValueError as error:
            raise ArgumentTypeError(f"expected {error}") from error
        if value <= 0:
            raise ArgumentTypeError("expected more than 0")
        return value

    return checked


def _mode(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise ArgumentTypeError(f"{text!r} is not a mode such as 644 or 640")
    return mode


def run(options: Namespace, reactor: Any) -> int:
    """The exit status. Raises ConfigError."""
    if options.once and options.metrics_listen:
        raise ConfigError("--metrics-listen does not go with --once; --metrics-file does")
    follower = _make_follower(options, reactor)
    if options.once:
        return run_under_reactor(lambda: _once(follower))
    globalLogBeginner.beginLoggingTo([observer()], redirectStandardIO=False)
    return run_under_reactor(lambda: _for_ever(follower, options, reactor))


def _make_follower(options: Namespace, reactor: Any) -> Follower:
    connection = Connection(
        reactor=reactor,
        settings=lambda: _http_settings(options.http_config_file),
        url=options.url,
        interval=options.interval,
        timeout=options.timeout,
        max_size=int(options.max_size),
    )
    connection.check()
    figures = Figures(file=str(options.file))
    if options.once:
        figures.attempts = None
    if options.metrics_file is not None:
        with suppress(OSError):  # there is none yet, or writing it will tell why
            figures.recall(options.metrics_file.read_text(encoding="utf-8", errors="replace"))
    return Follower(
        client=connection.client,
        paths=OutputPaths(file=options.file, mode=options.mode, metrics=options.metrics_file),
        figures=figures,
        clock=reactor,
        in_thread=lambda work: deferToThreadPool(reactor, reactor.getThreadPool(), work),
    )


def _http_settings(file: Path | None) -> HttpClient:
    return HttpClient() if file is None else load_section(HttpClient, file, os.environ)


async def _once(follower: Follower) -> int:
    errors = await follower.attempt()
    for text in errors:
        print(f"promproxy: {text}", file=sys.stderr)
    return 1 if errors else 0


async def _for_ever(follower: Follower, options: Namespace, reactor: Any) -> int:
    if options.metrics_listen is not None:
        await _serve_metrics(follower.figures, options.metrics_listen, reactor)

    def pause_seconds() -> float:
        return next_delay(
            interval=options.interval, failures=follower.failures, random=random.random()
        )

    loop = RefreshLoop(follower.attempt, pause_seconds, reactor)
    loop.start()
    reactor.addSystemEventTrigger("before", "shutdown", loop.stop)
    await Deferred()  # until a signal ends the reactor
    return 0


async def _serve_metrics(figures: Figures, endpoint: str, reactor: Any) -> None:
    root, below_dash = Resource(), Resource()
    root.putChild(b"metrics", MetricsResource(figures.registry()))
    root.putChild(b"-", below_dash)
    below_dash.putChild(b"healthy", HealthyResource())
    try:
        await make_endpoint(reactor, endpoint).listen(PromproxySite(root, reactor))
    except CannotListenError as error:
        raise ConfigError(f"cannot listen on {endpoint}: {error.socketError}") from error
