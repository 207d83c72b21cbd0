"""No secret of the configuration shows in anything that a full run puts out, errors included.

The servers of this run mean it ill: they repeat whatever they are sent wherever they can.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import bcrypt

from tests.integration.case import PeersTestCase
from tests.integration.certificates import Authority
from tests.integration.foundation import ENVIRONMENT, PROMPROXY
from tests.integration.peers import CHECKOUT, HOST, Answer, Peer, eventually, free_port, twistd

# What each setting holds. The names say where; all of them hold characters that get encoded.
NAMES = (
    *(
        "basic",
        "basic_file",
        "bearer",
        "bearer_file",
        "proxy",
        "environment",
        "credential",
        "caller",
        "caller_token",
        "caller_token_file",
    ),
    *("oauth2", "oauth2_file", "parameter", "token_query", "token"),
    *("http_sd", "sd_query", "cf_user", "cf_client"),
)
SECRETS = {name: f"hunter2/{name}+%" for name in NAMES}


class Parrot(BaseHTTPRequestHandler):
    """Answers by the first part of the path, and repeats what it was sent."""

    protocol_version = "HTTP/1.1"
    sent: ClassVar[list[str]] = []  # of all of them

    def log_message(self, *arguments: object) -> None:
        pass

    def do_POST(self) -> None:
        self.do_GET()

    def do_CONNECT(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode()
        text = f"{self.requestline}\n{self.headers}{body}"
        self.sent.append(text)
        line = quote(text, safe=" /:=+%")
        kind = self.path.split("?")[0].strip("/").split("/")[0]
        answer = getattr(self, f"answer_{kind}", self.answer_other)
        self.close_connection = True
        self.wfile.write(answer(line).encode("latin-1"))

    def answer_metrics(self, line: str) -> str:
        return "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nup\n"

    def answer_malformed(self, line: str) -> str:
        return f"HTTP/1.1 200 OK\r\n{line}: {line}\r\n{line}\r\n\r\n"

    def answer_nothing(self, line: str) -> str:
        return f"{line}\r\n\r\n"

    def answer_chunks(self, line: str) -> str:
        return f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{line}\r\n"

    def answer_redirect(self, line: str) -> str:
        part = quote(line, safe="")
        where = f"http://{part}@elsewhere.example/?{part}#{part}"
        return f"HTTP/1.1 302 {line}\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n"

    def answer_length(self, line: str) -> str:
        return f"HTTP/1.1 200 OK\r\nContent-Length: {line}\r\n\r\n"

    def answer_token(self, line: str) -> str:
        token = {"access_token": SECRETS["token"], "expires_in": 3600}
        return self._json(200, token)

    def answer_oauth(self, line: str) -> str:
        return self._json(401, {"error": line, "error_description": line})

    def answer_html(self, line: str) -> str:
        return f"HTTP/1.1 200 {line}\r\nContent-Type: {line}\r\nX-A: {line}\r\n\r\n{line}"

    def answer_groups(self, line: str) -> str:
        # What is in a document is meant to be shown; this is none.
        return self._json(200, [{"targets": line, "labels": [line]}]).replace("[{", line)

    def answer_other(self, line: str) -> str:
        url = f"http://{self.headers.get('Host')}"
        root = {"links": {"uaa": {"href": url}, "login": {"href": url}}}
        return self._json(200, root) if self.path == "/" else self._json(407, {"error": line})

    def _json(self, status: int, document: Any) -> str:
        body = json.dumps(document)
        head = f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}"


def forms_of(secret: str) -> Iterator[str]:
    """What a secret looks like in a form, in a URL, in a Basic header, in Python and in JSON."""
    yield from (secret, quote(secret), quote(secret, safe=""), repr(secret)[1:-1])
    for encoded in (secret, quote(secret, safe="")):
        for user in ("u", "monitor", "cf", "alice", "scraper", ""):
            text = f"{user}:{encoded}" if user else encoded
            yield base64.b64encode(text.encode()).decode().rstrip("=")


class SecrecyTests(PeersTestCase):
    """One run with everything in it."""

    def setUp(self) -> None:
        super().setUp()
        Parrot.sent.clear()
        self.parrot = ThreadingHTTPServer((HOST, 0), Parrot)
        thread = threading.Thread(target=self.parrot.serve_forever, args=(0.05,))
        thread.start()

        def stop() -> None:
            self.parrot.shutdown()
            self.parrot.server_close()
            thread.join()

        self.addCleanup(stop)
        self.where = f"http://{HOST}:{self.parrot.server_port}"
        self.key = Authority().issue("promproxy")
        self.outputs: dict[str, bytes] = {}

    def secret_file(self, name: str, content: bytes = b"") -> str:
        path = self.folder / f"secret-{name}"
        path.write_bytes(content or SECRETS[name].encode())
        path.chmod(0o644)  # which gives a warning, too
        return path.name

    @property
    def environment(self) -> dict[str, str]:
        """Of the daemon and of commands."""
        return {"PASSWORD": SECRETS["environment"], "CREDENTIALS_DIRECTORY": str(self.folder)}

    def profiles(self) -> dict[str, Any]:
        pem = self.secret_file("key", self.key)
        (self.folder / self.secret_file("credential")).chmod(0o400)
        tls = {"cert_file": pem, "key_file": pem}
        oauth2 = {"client_id": "monitor", "token_url": f"{self.where}/oauth/token"}
        good = f"{self.where}/token?key={quote(SECRETS['token_query'], safe='')}"
        return {
            "basic": {"basic_auth": {"username": "u", "password": SECRETS["basic"]}},
            "basic-file": {
                "basic_auth": {"username": "u", "password_file": self.secret_file("basic_file")}
            },
            "bearer": {"authorization": {"credentials": SECRETS["bearer"]}},
            "bearer-file": {
                "authorization": {"credentials_file": self.secret_file("bearer_file")},
                "tls_config": tls,
            },
            "environment": {"authorization": {"credentials": "${PASSWORD}"}},
            # As systemd hands over what LoadCredential= of a unit names.
            "credential": {
                "authorization": {"credentials_file": "${CREDENTIALS_DIRECTORY}/secret-credential"}
            },
            "proxy": {
                "proxy_url": self.where,
                "proxy_basic_auth": {"username": "u", "password": SECRETS["proxy"]},
                "basic_auth": {"username": "u", "password": SECRETS["basic"]},
            },
            "oauth2": {
                "oauth2": {
                    **oauth2,
                    "token_url": good,
                    "client_secret": SECRETS["oauth2"],
                    "endpoint_params": {"password": SECRETS["parameter"]},
                }
            },
            "oauth2-bad": {
                "oauth2": {**oauth2, "client_secret_file": self.secret_file("oauth2_file")}
            },
            "oauth2-html": {
                "oauth2": {
                    **oauth2,
                    "client_secret": SECRETS["oauth2"],
                    "token_url": f"{self.where}/html?{SECRETS['token_query']}",
                    "endpoint_params": {"password": SECRETS["parameter"]},
                }
            },
        }

    def sources(self, profiles: dict[str, Any]) -> list[dict[str, Any]]:
        nobody = free_port()
        paths = ("metrics", "malformed", "nothing", "chunks", "redirect", "length")
        groups = [
            {
                "targets": [f"{HOST}:{self.parrot.server_port}"],
                "labels": {"__metrics_path__": f"/{path}", "__param_key": "x"},
            }
            for path in paths
        ]
        for scheme, port in (("http", nobody), ("https", self.parrot.server_port)):
            labels = {"__scheme__": scheme}
            groups.append({"targets": [f"{HOST}:{port}"], "labels": labels})
        groups.append({"targets": ["nowhere.invalid:1"], "labels": {}})
        self.target_file.write_text(json.dumps(groups))
        found: list[dict[str, Any]] = [
            {"name": name, "outbound": name, "files": {"paths": [self.target_file.name]}}
            for name in profiles
        ]
        query = quote(SECRETS["sd_query"], safe="")
        for kind in ("html", "groups", "oauth", "redirect", "malformed"):
            auth = {"username": "u", "password": SECRETS["http_sd"]}
            http_sd = {"url": f"{self.where}/{kind}?key={query}", "basic_auth": auth}
            found.append({"name": f"sd-{kind}", "http_sd": http_sd})
        foundation = {"api_url": self.where, "select": [{}]}
        user = {"username": "scraper", "password": SECRETS["cf_user"]}
        client = {"client_id": "monitor", "client_secret": SECRETS["cf_client"]}
        found.append({"name": "cf-user", "cloud_foundry": {**foundation, **user}})
        found.append({"name": "cf-client", "cloud_foundry": {**foundation, **client}})
        return found

    def roles(self) -> list[dict[str, Any]]:
        permissions = ["scrape", "admin"]
        tokens = [
            {"name": "inline", "token": SECRETS["caller_token"]},
            {"name": "file", "token_file": self.secret_file("caller_token_file")},
        ]
        return [{"users": ["alice"], "tokens": tokens, "permissions": permissions}]

    def write_configuration(self) -> Path:
        self.port = free_port()
        profiles = self.profiles()
        self.configuration = {
            "listen": [f"tcp:{self.port}:interface={HOST}"],
            "discovery": {"startup_grace": "1s"},
            "state_dir": "state",
            "file_sd": {"path": "out/targets.json"},
            "outbound": profiles,
            "sources": self.sources(profiles),
            "roles": self.roles(),
        }
        for name in ("state", "out"):
            (self.folder / name).mkdir()
        self.configuration["discovery"]["address"] = f"{HOST}:{self.port}"
        file = self.folder / "promproxy.yml"
        file.write_text(json.dumps(self.configuration))
        hashed = bcrypt.hashpw(SECRETS["caller"].encode(), bcrypt.gensalt(4)).decode()
        SECRETS["hash"] = hashed
        (self.folder / "web.yml").write_text(json.dumps({"basic_auth_users": {"alice": hashed}}))
        return file

    def ask(self, path: str, method: str = "GET", password: str = "", token: str = "") -> Answer:
        """Ask as alice, or by a token; what comes back is an output."""
        shown = f"alice:{password or SECRETS['caller']}".encode()
        connection = HTTPConnection(HOST, self.port, timeout=20)
        try:
            basic = base64.b64encode(shown).decode()
            authorization = f"Bearer {token}" if token else f"Basic {basic}"
            connection.request(method, path, headers={"Authorization": authorization})
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        key = f"{method} {path} {len(self.outputs)}"
        self.outputs[key] = f"{response.reason}\n{response.headers}".encode() + body
        return Answer(response.status, response.headers, body)

    def run_command(self, *arguments: str) -> None:
        """What a command prints is an output."""
        done = subprocess.run(
            [*PROMPROXY, *arguments],
            env={**os.environ, **ENVIRONMENT, **self.environment},
            cwd=self.folder,
            capture_output=True,
            timeout=60,
        )
        self.outputs[f"{' '.join(arguments)} {len(self.outputs)}"] = done.stdout + done.stderr

    def run_daemon(self, file: Path) -> Peer:
        command = [*twistd(), "--nodaemon", "--pidfile=", "promproxy"]
        daemon = Peer(
            command=[*command, "--config", str(file), "--web-config-file", "web.yml"],
            port=self.port,
            folder=self.folder,
            environment={
                "PYTHONPATH": str(CHECKOUT),
                "PYTHONFAULTHANDLER": "1",
                **self.environment,
            },
        )
        self.start(daemon)
        return daemon

    def scrape_everything(self) -> None:
        document = json.loads(self.ask("/discovery").body)
        ids = [group["labels"]["__metrics_path__"] for group in document]
        self.assertGreater(len(ids), 60)
        for path in ids:
            try:
                self.ask(path)
            except (OSError, ValueError):  # cut short
                continue

    def break_in_every_way(self) -> Iterator[str]:
        """Configurations with a mistake beside, or in, each secret."""
        good = json.dumps(self.configuration)
        for name, secret in SECRETS.items():
            quoted = json.dumps(secret)
            if quoted not in good:
                continue
            plain = (f"*{secret}", f"!{secret}", f"{secret}: x")
            for mistake in (f"[{quoted}]", f"{{a: {quoted}}}", *plain):
                yield good.replace(quoted, mistake, 1)
            yield good.replace(quoted, f"{quoted}, nonsense: {quoted}", 1)
            yield good.replace(quoted, json.dumps(f"${{{name}-{secret}}}"), 1)

    def test_nothing_shows(self) -> None:
        """Pages, answers, metrics, logs of any level, commands, saved files, a crash."""
        file = self.write_configuration()
        daemon = self.run_daemon(file)
        page = lambda: self.ask("/").body.decode()  # noqa: E731
        eventually(lambda: self.assertEqual(self.ask("/discovery").status, 200))
        eventually(lambda: self.assertGreaterEqual(page().count("UAA does not accept"), 2))
        self.scrape_everything()
        for path in ("/", "/metrics", "/-/ready", "/-/healthy", "/api/v1/targets", "/nothing"):
            self.ask(path)
        self.ask("/", password=f"wrong {SECRETS['caller']}")
        for name in ("caller_token", "caller_token_file"):
            self.assertEqual(self.ask("/", token=SECRETS[name]).status, 200)
            self.assertEqual(self.ask("/", token=f"{SECRETS[name]}x").status, 401)
        self.ask("/-/refresh", "POST")
        useless = f"{SECRETS['basic']}\n{SECRETS['bearer']}\0"
        for name in ("basic_file", "bearer_file", "caller_token_file", "key"):
            (self.folder / f"secret-{name}").write_text(useless)
        self.assertEqual(self.ask("/-/reload", "POST").status, 500)
        broken = list(self.break_in_every_way())
        self.assertGreater(len(broken), 50)
        for number, text in enumerate(broken):
            file.write_text(text)
            self.assertEqual(self.ask("/-/reload", "POST").status, 500, text)
            if number % 20 == 0:
                self.run_command("check", "promproxy.yml")
        self.profiles()
        self.roles()
        file.write_text(json.dumps(self.configuration))
        self.assertEqual(self.ask("/-/reload", "POST").status, 200)
        self.run_command("check", "promproxy.yml", "--web-config-file", "web.yml")
        for name in ("sd-html", "sd-groups", "cf-user", "oauth2"):
            self.run_command("discover", "promproxy.yml", "--source", name, "--explain")
        self.outputs["command line"] = Path(f"/proc/{daemon.pid}/cmdline").read_bytes()
        limits = Path(f"/proc/{daemon.pid}/limits").read_text()
        self.assertRegex(limits, "Max core file size +0 ")
        os.kill(daemon.pid, signal.SIGABRT)
        self.assertEqual(daemon.stop(), -signal.SIGABRT)
        self.assertIn("Fatal Python error: Aborted", daemon.output)
        self.outputs["log"] = daemon.output.encode()
        for path in (*self.folder.glob("state/*"), *self.folder.glob("out/*")):
            self.outputs[path.name] = path.read_bytes()
        self.check_run()
        self.check_outputs()

    def check_run(self) -> None:
        """That it was as full as it was meant to be."""
        log = self.outputs["log"].decode()
        for part in (
            "malformed",
            "redirects",
            "connection refused",
            "name not found",
            "TLS handshake failed",
            "HTTP proxy asks for other credentials",
            "no token from",
            "UAA does not accept",
            "every user of this host may read it",
            "reload failed",
            "expected application/json",
        ):
            assert part in log, f"{part}: {log}"
        sent = "\n".join(Parrot.sent)
        for name, secret in SECRETS.items():
            if name != "hash" and not name.startswith("caller"):
                assert any(form in sent for form in forms_of(secret)), f"{name} was not used"
        self.assertGreater(len(list(self.folder.glob("state/*"))), 5)
        self.assertEqual(list(self.folder.glob("core*")), [])

    def check_outputs(self) -> None:
        """That no form of any secret is in any of them."""
        key = self.key.decode().splitlines()[1]
        secrets = {**SECRETS, "key": key}
        for name, secret in secrets.items():
            for form in forms_of(secret):
                for output, content in self.outputs.items():
                    place = content.lower().find(form.lower().encode())
                    around = content[max(0, place - 200) : place + 200]
                    assert place < 0, f"{name} in {output}: {around!r}"
