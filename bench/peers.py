"""The processes of the benchmarks: targets, promproxy, and what it is compared with.

Whatever asks or is asked runs on the first processor, whatever stands between on the second.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from tests.integration.peers import CHECKOUT, HOST, Peer, eventually, free_port, node_exporter

LOAD_CPU, PROXY_CPU = 0, 1

PACKAGES = {
    "nginx": "nginx-light",
    "wrk": "wrk",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "prometheus-exporter-exporter": "prometheus-exporter-exporter",
    "taskset": "util-linux",
    "openssl": "openssl",
}
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
_ON_PROXY_CPU = ["taskset", "--cpu-list", str(PROXY_CPU)]

# One process, so that it ends when it is told to; connections are kept for good.
_NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr error;
events {{ worker_connections 16384; }}
http {{
  access_log off; sendfile on; tcp_nopush on; default_type "text/plain; version=0.0.4";
  keepalive_requests 1000000000; keepalive_timeout 1h; open_file_cache max=100;
  client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .; uwsgi_temp_path .;
  scgi_temp_path .;
{body}
}}
"""


def check_installed() -> None:
    """Raises SystemExit where a program is missing."""
    missing = [p for program, p in PACKAGES.items() if shutil.which(program, path=_PATH) is None]
    if missing:
        raise SystemExit(f"please install first: apt-get install {' '.join(missing)}")


def raise_file_limit() -> None:
    """Everything that is started from now on may open as many files as the system allows."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def running(*peers: Peer) -> Iterator[None]:
    """These processes, until the end of the block."""
    try:
        for peer in peers:
            peer.start()
        yield
    finally:
        for peer in peers:
            peer.stop()


def bodies(folder: Path) -> dict[str, bytes]:
    """What the targets serve, by path: two made to size, and what a node_exporter really says."""
    exporter = node_exporter(folder)
    with running(exporter):
        real = exporter.get("/metrics").body
    return {"/2kB": _exposition(2000), "/node": real, "/1MB": _exposition(1_000_000)}


def _exposition(size: int) -> bytes:
    lines = b"".join(b'bench_value{number="%06d"} 1\n' % number for number in range(size // 31))
    return lines + b"#" * (size - len(lines) - 1) + b"\n"


@frozen
class Certificate:
    """One for localhost and 127.0.0.1, signed by itself."""

    file: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    """ECDSA P-256, valid for a day."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = "openssl req -x509 -nodes -days 1 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
    names = ["-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{HOST}"]
    files = ["-out", str(made.file), "-keyout", str(made.key)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return made


@define(eq=False, kw_only=True)
class Target(Peer):
    """An nginx that serves the bodies, plain and with TLS, on one or many addresses."""

    tls_port: int
    addresses: Sequence[str] = (HOST,)

    def origins(self, scheme: str) -> list[str]:
        """The host:port of every address."""
        port = self.port if scheme == "http" else self.tls_port
        return [f"{address}:{port}" for address in self.addresses]


def target(
    folder: Path,
    contents: Mapping[str, bytes],
    certificate: Certificate,
    addresses: Sequence[str] = (),
) -> Target:
    """An nginx on these addresses, and on 127.0.0.1. Below ``/t/`` every path is the 2 kB one."""
    port, tls_port = free_port(), free_port()
    place = folder / f"target-{port}"
    place.mkdir(mode=0o755)
    for path, content in contents.items():
        (place / path[1:]).write_bytes(content)
    listen = "\n".join(
        f"    listen {address}:{port}; listen {address}:{tls_port} ssl;"
        for address in dict.fromkeys([HOST, *addresses])
    )
    server = f"""  server {{
    root {place}; ssl_certificate {certificate.file}; ssl_certificate_key {certificate.key};
{listen}
    location /t/ {{ try_files /2kB =404; }}
  }}"""
    return Target(
        command=_nginx(place, server),
        port=port,
        tls_port=tls_port,
        folder=place,
        addresses=addresses or (HOST,),
    )


def _nginx(folder: Path, body: str) -> list[str]:
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(body=body))
    program = shutil.which("nginx", path=_PATH)
    assert program is not None
    return [program, "-p", str(folder), "-c", str(config), "-e", "stderr"]


def nginx_proxy(folder: Path, upstream: Target) -> Peer:
    """nginx's ``proxy_pass``, with connections kept."""
    port = free_port()
    place = folder / f"nginx-{port}"
    place.mkdir()
    body = f"""  upstream target {{ server {upstream.address}; keepalive 64; }}
  server {{
    listen {HOST}:{port};
    location / {{
      proxy_pass http://target; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
  }}"""
    return Peer(command=[*_ON_PROXY_CPU, *_nginx(place, body)], port=port, folder=place)


def exporter_exporter(folder: Path, upstream: Target, paths: Sequence[str]) -> Peer:
    """Debian's exporter_exporter on one processor, without verifying: it only passes on.

    The module of a path has the path's name without the slash.
    """
    port = free_port()
    modules = {
        path[1:]: {
            "method": "http",
            "http": {"verify": False, "address": HOST, "port": upstream.port, "path": path},
        }
        for path in paths
    }
    config = folder / "exporter-exporter.yml"
    config.write_text(json.dumps({"modules": modules}))
    command = ["prometheus-exporter-exporter", f"-config.file={config}"]
    return Peer(
        command=[*_ON_PROXY_CPU, *command, f"-web.listen-address={HOST}:{port}"],
        port=port,
        folder=folder,
        environment={"GOMAXPROCS": "1"},
    )


@frozen
class Python:
    """An interpreter with the versions of what promproxy runs on there."""

    program: str
    versions: Mapping[str, str] = field(eq=False)


def python(program: str) -> Python:
    """Ask an interpreter for versions. Raises SystemExit where something is not installed."""
    program = str(Path(shutil.which(program) or program).absolute())
    code = """
import importlib.metadata as m, json, platform
names = ["twisted", "treq", "attrs", "pyopenssl", "cryptography"]
print(json.dumps({"python": platform.python_version(), **{n: m.version(n) for n in names}}))
"""
    done = subprocess.run([program, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{program} cannot run promproxy: {done.stderr.strip()}")
    return Python(program, json.loads(done.stdout))


def plain_treq(folder: Path, interpreter: Python, upstream: Target) -> Peer:
    """The proxy that one would write first: see `bench/plain_treq.py`."""
    port = free_port()
    script = str(CHECKOUT / "bench" / "plain_treq.py")
    command = [interpreter.program, script, str(port), f"http://{upstream.address}"]
    return Peer(command=[*_ON_PROXY_CPU, *command], port=port, folder=folder)


@define(eq=False, kw_only=True)
class Promproxy(Peer):
    """The daemon of this checkout, plain and with TLS."""

    tls_port: int

    def start(self) -> None:
        """Returns when it has its targets."""
        super().start()

        def ready() -> None:
            assert self.get("/-/ready").status == 200, self.output

        eventually(ready, 120)

    def url(self, target_id: str, scheme: str = "http") -> str:
        """Where a target is scraped."""
        port = self.port if scheme == "http" else self.tls_port
        return f"{scheme}://{HOST}:{port}{scrape_path(target_id)}"


def scrape_path(target_id: str) -> str:
    """The path at which promproxy scrapes a target."""
    return f"/singleTargetMetrics/{target_id}"


def id_of(origin: str, path: str) -> str:
    """The id that promproxy gives to a target of `promproxy`."""
    return f"bench/{origin}{path}"


def group(origins: Sequence[str], path: str, scheme: str = "http") -> dict[str, Any]:
    """A target group as promproxy reads it from a file."""
    return {"targets": origins, "labels": {"__metrics_path__": path, "__scheme__": scheme}}


def promproxy(
    folder: Path,
    interpreter: Python,
    groups: Sequence[dict[str, Any]],
    certificate: Certificate,
    **scrape_settings: object,
) -> Promproxy:
    """The daemon with these targets; they all must have the certificate, if any."""
    port, tls_port = free_port(), free_port()
    place = folder / f"promproxy-{port}"
    place.mkdir()
    (place / "targets.json").write_text(json.dumps(groups))
    tls = f"ssl:{tls_port}:interface={HOST}"
    tls_settings = {"ca_file": str(certificate.file), "server_name": "localhost"}
    config = {
        "listen": [
            f"tcp:{port}:interface={HOST}",
            f"{tls}:privateKey={certificate.key}:certKey={certificate.file}",
        ],
        "scrape": scrape_settings,
        "outbound": {"tls": {"tls_config": tls_settings}},
        "sources": [
            {
                "name": "bench",
                "outbound": "tls",
                "refresh_interval": "1h",
                "files": {"paths": ["targets.json"]},
            }
        ],
    }
    (place / "promproxy.yml").write_text(json.dumps(config))  # which is YAML, too
    command = [interpreter.program, twistd_of(interpreter), "--nodaemon", "--pidfile="]
    return Promproxy(
        command=[*_ON_PROXY_CPU, *command, "promproxy", "--config", "promproxy.yml"],
        port=port,
        tls_port=tls_port,
        folder=place,
        environment={"PYTHONPATH": str(CHECKOUT)},
    )


def twistd_of(interpreter: Python) -> str:
    """Where the daemon script of an interpreter is."""
    folder = Path(interpreter.program).parent
    for name in ("twistd", "twistd3"):
        if (folder / name).exists():
            return str(folder / name)
    raise SystemExit(f"there is no twistd beside {interpreter.program}")


def processor_seconds(peer: Peer) -> float:
    """How long a process has had a processor to itself so far."""
    fields = Path(f"/proc/{peer.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(peer: Peer) -> float:
    """How much memory a process has, in MB."""
    status = Path(f"/proc/{peer.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6


def open_files(peer: Peer) -> int:
    """How many file descriptors a process has open."""
    return len(os.listdir(f"/proc/{peer.pid}/fd"))
