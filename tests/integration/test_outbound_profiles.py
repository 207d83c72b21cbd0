"""Outbound profiles against what is out there: nginx, a proxy of Debian's, a token server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.integration.certificates import Authority
from tests.integration.foundation import CloudFoundryTestCase, Foundation
from tests.integration.peers import HOST, Answer, Peer, eventually, free_port, need, promproxy

AUTHORITY = Authority()
# monitor:secret, by which nginx tells the simulated UAA whose certificate it has seen.
MONITOR = "Basic bW9uaXRvcjpzZWNyZXQ="


def nginx(folder: Path, locations: str, protocols: str = "TLSv1.2 TLSv1.3") -> Peer:
    """Debian's nginx, with TLS, for callers with a certificate of the test's authority.

    Its own is for its address and for ``nginx.example``.

    Whoever comes without is answered too, since nginx says so by a status of its own: 400.
    """
    port = free_port()
    (folder / "ca.pem").write_bytes(AUTHORITY.pem)
    (folder / "nginx.pem").write_bytes(AUTHORITY.issue(HOST, "nginx.example"))
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"""daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
        events {{}}
        http {{
          {temporary} access_log off;
          server {{
            listen {HOST}:{port} ssl;
            ssl_certificate {folder}/nginx.pem; ssl_certificate_key {folder}/nginx.pem;
            ssl_protocols {protocols};
            ssl_client_certificate {folder}/ca.pem; ssl_verify_client on;
            {locations}
          }}
        }}"""
    )
    command = [need("nginx", "nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    return Peer(command=command, port=port, folder=folder)


def tinyproxy(folder: Path) -> Peer:
    """A proxy for user ``u`` with password ``pass-word``, which logs what it is asked."""
    port = free_port()
    (folder / "tinyproxy.conf").write_text(
        f"Port {port}\nListen {HOST}\nTimeout 60\nAllow {HOST}\nLogLevel Connect\n"
        "BasicAuth u pass-word\nMaxClients 20\n"
    )
    command = [need("tinyproxy", "tinyproxy"), "-d", "-c", str(folder / "tinyproxy.conf")]
    return Peer(command=command, port=port, folder=folder)


class ProfilesTestCase(CloudFoundryTestCase):
    """A daemon whose targets are files, each in a source with a profile of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.own = self.folder / "own.pem"
        self.own.write_bytes(AUTHORITY.issue("promproxy"))

    @property
    def tls(self) -> dict[str, str]:
        return {"ca_file": "ca.pem", "cert_file": "own.pem", "key_file": "own.pem"}

    def start_with(self, profiles: dict[str, Any], **targets: tuple[str, dict[str, str]]) -> Peer:
        """The daemon; each target, an address with labels, has the profile of its name."""
        sources = []
        for name, (address, labels) in targets.items():
            groups = [{"targets": [address], "labels": labels}]
            (self.folder / f"{name}.json").write_text(json.dumps(groups))
            files = {"paths": [f"{name}.json"]}
            sources.append({"name": name, "outbound": name, "files": files})
        self.daemon = promproxy(self.folder, json.dumps(sources))
        with (self.folder / "promproxy.yml").open("a") as config:
            config.write(f"outbound: {json.dumps(profiles)}\n")
        self.start(self.daemon)
        self.await_ready(self.daemon)
        return self.daemon

    def scrape(self, name: str, peer: Peer, path: str = "") -> Answer:
        return self.daemon.get(f"/singleTargetMetrics/{name}/{peer.address}{path}")

    def assert_up(self, name: str, peer: Peer, path: str = "") -> None:
        answer = self.scrape(name, peer, path)
        self.assertEqual((answer.status, answer.body[:2]), (200, b"up"), answer.body)


class CertificateTests(ProfilesTestCase):
    def test_client_certificate(self) -> None:
        """nginx takes us with it, and not without; its own must be of the authority we name."""
        server = nginx(self.folder, "location = /metrics { return 200 'up 1\\n'; }")
        self.start(server)
        target = (server.address, {"__scheme__": "https"})
        own = {"cert_file": "own.pem", "key_file": "own.pem"}
        profiles = {
            "with": self.tls,
            "newest": {**self.tls, "min_version": "TLS13"},
            "named": {**self.tls, "server_name": "nginx.example"},
            "trusting": {**own, "insecure_skip_verify": True},
            "misnamed": {**self.tls, "server_name": "other.example"},
            "system": own,
            "without": {"ca_file": "ca.pem"},
        }
        self.start_with(
            {name: {"tls_config": tls} for name, tls in profiles.items()},
            **dict.fromkeys(profiles, target),
        )
        for _ in range(3):  # the first handshake, and sessions resumed
            for name in ("with", "newest", "named", "trusting"):
                self.assert_up(name, server)
        for name in ("misnamed", "system"):
            answer = self.scrape(name, server)
            self.assertEqual(answer.status, 502)
            self.assertIn(b"TLS certificate not accepted", answer.body)
        answer = self.scrape("without", server)
        self.assertEqual(answer.status, 400, answer.body)
        self.assertIn(b"No required SSL certificate", answer.body)

    def test_oldest_version(self) -> None:
        """A server that speaks nothing newer is not spoken to."""
        server = nginx(self.folder, "location = /metrics { return 200 'up 1\\n'; }", "TLSv1.2")
        self.start(server)
        target = (server.address, {"__scheme__": "https"})
        self.start_with(
            {
                "usual": {"tls_config": self.tls},
                "newest": {"tls_config": {**self.tls, "min_version": "TLS13"}},
            },
            usual=target,
            newest=target,
        )
        self.assert_up("usual", server)
        answer = self.scrape("newest", server)
        self.assertEqual(answer.status, 502)
        self.assertIn(b"TLS handshake failed", answer.body)

    def test_renewed_certificate(self) -> None:
        """It is taken up within seconds, though nobody asked for a reload."""
        server = nginx(self.folder, "location = /metrics { return 200 'up 1\\n'; }")
        self.start(server)
        self.own.write_bytes(Authority().issue("promproxy"))
        self.start_with(
            {"own": {"tls_config": self.tls}}, own=(server.address, {"__scheme__": "https"})
        )
        self.assertEqual(self.scrape("own", server).status, 400)
        self.own.write_bytes(AUTHORITY.issue("promproxy"))
        eventually(lambda: self.assert_up("own", server))


class ProxyTests(ProfilesTestCase):
    def test_proxy_with_credentials(self) -> None:
        """Plain targets are asked through it, and those with TLS in a tunnel that it opens."""
        server = nginx(self.folder, "location = /metrics { return 200 'up 1\\n'; }")
        (self.folder / "password").write_text("pass-word\n")
        proxy = tinyproxy(self.folder)
        for peer in (server, proxy):
            self.start(peer)
        (exporter,) = self.start_exporters(1)
        plain, secure = (exporter.address, {}), (server.address, {"__scheme__": "https"})
        right = {
            "proxy_url": f"http://{proxy.address}",
            "proxy_basic_auth": {"username": "u", "password_file": "password"},
        }
        none = {"proxy_url": f"http://{proxy.address}"}
        wrong = {**right, "proxy_basic_auth": {"username": "u", "password": "wrong"}}
        tls = {"tls_config": self.tls}
        self.start_with(
            {
                "plain": right,
                "tls": {**right, **tls},
                "none": none,
                "none-tls": {**none, **tls},
                "wrong-tls": {**wrong, **tls},
                "past": {**wrong, "no_proxy": f"example.org,{HOST}"},
            },
            **dict.fromkeys(("plain", "none", "past"), plain),
            **dict.fromkeys(("tls", "none-tls", "wrong-tls"), secure),
        )
        for name in ("plain", "past"):
            self.assertIn(b"which_exporter", self.scrape(name, exporter).body)
        self.assert_up("tls", server)
        self.assert_up("tls", server)
        for name, peer, why in (
            ("none", exporter, b"HTTP proxy asks for other credentials"),
            ("none-tls", server, b"HTTP proxy asks for other credentials"),
            ("wrong-tls", server, b"HTTP proxy refused the connection"),  # tinyproxy's 401
        ):
            answer = self.scrape(name, peer)
            self.assertEqual(answer.status, 502)
            self.assertIn(why, answer.body)
        asked = proxy.output
        assert f"GET http://{exporter.address}/metrics HTTP/1.1" in asked, asked
        self.assertEqual(asked.count(f"CONNECT {server.address} HTTP/1.1"), 3)  # one was kept


class TokenTests(ProfilesTestCase):
    """The simulated UAA gives tokens, and the simulated API is a target that takes only those."""

    PATH = "/v3/apps"

    def start_uaa(self) -> Foundation:
        return self.start_foundation(orgs=1, spaces=1, apps=1, instances=1)

    def oauth2(self, token_url: str, **more: Any) -> dict[str, Any]:
        return {"oauth2": {"client_id": "monitor", "token_url": token_url, **more}}

    def grants(self, uaa: Foundation) -> dict[str, int]:
        found: dict[str, int] = uaa.state()["grants"]
        return found

    def test_client_secret(self) -> None:
        """One token serves many scrapes; one that the target no longer takes is renewed."""
        uaa = self.start_uaa()
        target = (uaa.address, {"__metrics_path__": self.PATH})
        url = f"http://{uaa.address}/oauth/token"
        self.start_with(
            {"good": self.oauth2(url, client_secret="secret"), "bare": {}},
            good=target,
            bare=target,
        )
        self.assertEqual(self.scrape("bare", uaa, self.PATH).status, 401)
        for _ in range(5):
            answer = self.scrape("good", uaa, self.PATH)
            self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(self.grants(uaa), {"client_credentials 200": 1})
        uaa.set_faults(token_calls=5)  # that one is used up
        self.assertEqual(self.scrape("good", uaa, self.PATH).status, 200)
        self.assertEqual(self.grants(uaa), {"client_credentials 200": 2})

    def test_target_that_refuses_every_token(self) -> None:
        """Its 401 is passed on, and the token server is asked for one more token, not for many."""
        uaa = self.start_uaa()
        uaa.inject("invalid_token", where="api", path=self.PATH)
        url = f"http://{uaa.address}/oauth/token"
        self.start_with(
            {"good": self.oauth2(url, client_secret="secret")},
            good=(uaa.address, {"__metrics_path__": self.PATH}),
        )
        for _ in range(5):
            self.assertEqual(self.scrape("good", uaa, self.PATH).status, 401)
        self.assertEqual(self.grants(uaa), {"client_credentials 200": 2})

    def test_client_certificate(self) -> None:
        """As XSUAA has it: the certificate stands for the secret, and the form has our name."""
        uaa = self.start_uaa()
        token_server = nginx(
            self.folder,
            f"""location = /oauth/token {{
                if ($request_method != POST) {{ return 405; }}
                proxy_set_header Authorization "{MONITOR}";
                proxy_pass http://{uaa.address};
            }}""",
        )
        self.start(token_server)
        url = f"https://{token_server.address}/oauth/token"
        target = (uaa.address, {"__metrics_path__": self.PATH})
        self.start_with(
            {
                "good": self.oauth2(url, tls_config=self.tls),
                "bad": self.oauth2(url, client_secret="x", tls_config={"ca_file": "ca.pem"}),
            },
            good=target,
            bad=target,
        )
        answer = self.scrape("good", uaa, self.PATH)
        self.assertEqual(answer.status, 200, answer.body)
        answer = self.scrape("bad", uaa, self.PATH)
        self.assertEqual(answer.status, 502)
        expected = f"http://{uaa.address}{self.PATH}: no token from {url}: status 400"
        self.assertIn(expected.encode(), answer.body)

    def test_token_server_that_fails(self) -> None:
        """Each scrape is a 502 that says so, and the server is asked once in a while.

        Sources ask for their document with tokens too, and say the same.
        """
        uaa = self.start_uaa()
        uaa.inject("unavailable", where="uaa")
        url = f"http://{uaa.address}/oauth/token"
        profile = self.oauth2(url, client_secret="secret")
        (self.folder / "bad.json").write_text(json.dumps([{"targets": [uaa.address]}]))
        files = {"name": "bad", "outbound": "bad", "files": {"paths": ["bad.json"]}}
        other = {"url": f"http://{uaa.address}/v3/apps", **profile}
        branch = {"name": "branch", "refresh_interval": "100ms", "http_sd": other}
        self.daemon = promproxy(self.folder, json.dumps([files, branch]))
        with (self.folder / "promproxy.yml").open("a") as config:
            config.write(f"outbound: {json.dumps({'bad': profile})}\n")
        self.start(self.daemon)
        eventually(lambda: self.assertEqual(self.scrape("bad", uaa).status, 502))
        for _ in range(20):
            answer = self.scrape("bad", uaa)
            self.assertEqual(answer.status, 502)
            self.assertIn(f": no token from {url}: status 503\n".encode(), answer.body)
        page = self.daemon.get("/").body.decode()
        self.assertIn(f"no token from {url}: status 503", page)
        asked = uaa.state()["requests"]["uaa"]["/oauth/token"]
        self.assertLessEqual(asked, 4)  # one for each of both, and perhaps one after 5 s
        metrics = self.daemon.get("/metrics").body.decode()
        self.assertIn('promproxy_scrapes_total{outcome="no_token",source="bad"}', metrics)
        self.assertEqual(uaa.asked("/metrics"), 0)
