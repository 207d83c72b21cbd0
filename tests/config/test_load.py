"""Tests of promproxy.config.load: one small file per mistake in ``bad/``, and a good one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.config.load import config_from_text, load_config
from promproxy.config.schema import Config
from promproxy.disk.settings import FileSd
from promproxy.errors import ConfigError
from promproxy.outbound.settings import Authorization, BasicAuth, HttpClient, TlsConfig
from promproxy.scrape.settings import ScrapeSettings
from promproxy.secret import Secret
from promproxy.server.settings import Role, Token
from promproxy.sources.pushprox.settings import AllowRule, PushProx, TargetRule
from promproxy.sources.settings import Files, HttpSd, SourceSettings
from promproxy.targets.settings import Discovery

HERE = Path(__file__).absolute().parent
BAD = HERE / "bad"
GOOD = HERE / "good.yml"
ENVIRON = {"PORT": "8080", "PER_HOST": "64", "PASSWORD": "hunter2"}


def outcome(text: str) -> str:
    """Whatever can be seen of a configuration: its error, or how it shows."""
    try:
        return repr(config_from_text(text, GOOD, ENVIRON))
    except ConfigError as error:
        return str(error)


class BadFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        lines = (BAD / "messages.txt").read_text(encoding="utf-8").splitlines()
        self.messages = [line for line in lines if not line.startswith("#")]

    def test_each_has_its_message(self) -> None:
        """One message: the file, the line, the keys that lead there, what was expected."""
        for expected in self.messages:
            file = BAD / expected.partition(":")[0]
            message = str(self.assertRaises(ConfigError, load_config, file, ENVIRON))
            message = message.removeprefix(f"{BAD}/").replace(str(BAD), "FOLDER")
            if expected.endswith("…"):
                message = f"{message[: len(expected) - 1]}…"
            self.assertEqual(message, expected)

    def test_the_list_is_complete(self) -> None:
        """No file is forgotten."""
        listed = [message.partition(":")[0] for message in self.messages]
        self.assertEqual(sorted(listed), sorted(file.name for file in BAD.glob("*.yml")))

    def test_no_message_shows_the_secret(self) -> None:
        """Whatever is wrong with the file that it stands in."""
        for file in BAD.glob("*.yml"):
            message = str(self.assertRaises(ConfigError, load_config, file, ENVIRON))
            assert "hunter2" not in message, message

    def test_no_file(self) -> None:
        """The message names it."""
        error = self.assertRaises(ConfigError, load_config, BAD / "none.yml", {})
        self.assertEqual(str(error), f"cannot read {BAD}/none.yml: No such file or directory")

    def test_nested_too_deeply(self) -> None:
        """An error like any other."""
        self.assertEqual(outcome("[" * 50_000), f"{GOOD}: nested too deeply")


class GoodFileTests(SynchronousTestCase):
    def test_everything(self) -> None:
        """All that can be said, as it is understood."""
        acme = HttpClient(
            basic_auth=BasicAuth(username="scraper", password=Secret("hunter2")),
            tls_config=TlsConfig(
                ca_file=HERE / "ca.pem",
                cert_file=Path("/etc/ssl/client.pem"),
                key_file=HERE / "client.key",
                server_name="db.example.org",
                insecure_skip_verify=True,
                min_version="TLS13",
            ),
            proxy_url="http://proxy:3128",
        )
        secret_file = Secret(path=HERE / "a-secret")
        token = HttpClient(authorization=Authorization(type="Token", credentials=secret_file))
        vms = SourceSettings(
            name="vms",
            refresh_interval=10.0,
            outbound="token",
            honor_job=True,
            files=Files(paths=(HERE / "targets/*.yml", Path("/etc/targets.json"))),
        )
        branch_office = SourceSettings(
            name="branch-office",
            http_sd=HttpSd(
                url="http://other:8080/discovery?all=1",
                timeout=3.0,
                max_size=1024**2,
                authorization=Authorization(credentials=Secret("$hunter2")),
            ),
        )
        partner = SourceSettings(
            name="partner",
            outbound="acme",
            http_sd=HttpSd(
                url="https://[2001:db8::1]/", allowed_hosts=("*.example.org", "10.0.0.7")
            ),
        )
        nat = SourceSettings(
            name="nat",
            pushprox=PushProx(
                targets=(
                    TargetRule(port=9100),
                    TargetRule(
                        port=8443,
                        path="/app?x=y",
                        scheme="https",
                        fqdn_regex=re.compile("web-(?P<number>[0-9]+)", re.IGNORECASE),
                        labels={"shard": "{number} of {host}"},
                    ),
                ),
                allow=(AllowRule(port=9100, path_regex=re.compile("/metrics", re.IGNORECASE)),),
                registration_timeout=600.0,
                startup_hold=0.0,
                poll_max_age=50.0,
                max_clients=20,
                max_waiting=3,
            ),
        )
        expected = Config(
            listen=("tcp:8080", r"tcp:8443:interface=\:\:1"),
            discovery=Discovery(
                address="promproxy.example.org:8080",
                scheme="https",
                own_metrics=("promproxy-1:8080", "promproxy-2:8080"),
                startup_grace=120.0,
                path_prefix="/promproxy",
            ),
            scrape=ScrapeSettings(
                default_timeout=5.0,
                max_timeout=90.0,
                timeout_offset=0.5,
                body_size_limit=10 * 1024**2,
                max_concurrent=512,
                max_concurrent_per_host=64,
                max_concurrent_per_target=2,
            ),
            open_admin=True,
            open_pages=("healthy", "discovery"),
            roles=(
                Role(users=("alice", "bob"), permissions=("scrape", "admin")),
                Role(
                    client_sans=("agent.example.org",),
                    permissions=("tunnel",),
                    fqdns=("*.example.org",),
                ),
                Role(tokens=(Token(name="branch", token=secret_file),), permissions=("scrape",)),
            ),
            state_dir=HERE / "state",
            file_sd=FileSd(path=Path("/var/lib/promproxy/targets.json")),
            outbound={"plain": HttpClient(), "acme": acme, "token": token},
            sources=(vms, branch_office, partner, nat),
        )
        found = load_config(GOOD, ENVIRON)
        self.assertEqual(found, expected)
        self.assertEqual(secret_file.reveal(), "hunter2")

    def test_the_secret_does_not_show(self) -> None:
        """Not in what a traceback or a log could print of a configuration."""
        shown = repr(load_config(GOOD, ENVIRON))
        assert "hunter2" not in shown and "scraper" in shown

    def test_parameters_of_urls_do_not_show(self) -> None:
        """One of them may be a token."""
        text = """
        outbound:
          a: {oauth2: {client_id: c, client_secret: x, token_url: "https://uaa/t?key=hunter2"}}
        sources: [{name: a, http_sd: {url: "https://sd/x?key=hunter2"}}]
        """
        config = config_from_text(text, GOOD, {})
        self.assertEqual(config.outbound["a"].oauth2.token_url, "https://uaa/t?key=hunter2")
        shown = repr(config)
        assert "hunter2" not in shown and "https://uaa/t" in shown, shown

    def test_an_empty_file(self) -> None:
        """Everything has a default."""
        for text in ("", "\n", "# listen: [tcp:80]\n", "\ufeff", "{}"):
            self.assertEqual(config_from_text(text, GOOD, {}), Config(), repr(text))


LEAVES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.text(max_size=9)),
    st.sampled_from(["${PORT}", "${", "http://[", "http://a:b", "5s", "1MB", "vms", "a.yml", "\0"]),
)
NODES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LEAVES, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def nearly_good_files(draw: st.DrawFn) -> str:
    """The good file with something else at a place anywhere in it."""
    top = yaml.safe_load(GOOD.read_text(encoding="utf-8"))
    node: Any = top
    while True:
        key = draw(st.sampled_from(range(len(node)) if isinstance(node, list) else list(node)))
        if not node[key] or not isinstance(node[key], list | dict) or draw(st.booleans()):
            break
        node = node[key]
    node[key] = draw(NODES)
    return yaml.safe_dump(top)


class AnyTextTests(SynchronousTestCase):
    """`outcome` lets no other error through than ConfigError."""

    @given(st.text("ab:-?[]{},&*!|>'\"%@`#~$<\\Ux0f \n\t\r\0\x85\ufeff\ud800é", max_size=20))
    def test_signs(self, text: str) -> None:
        """Any heap of the signs that mean something in YAML."""
        outcome(text)

    @given(nearly_good_files())
    def test_one_odd_thing_in_a_good_file(self, text: str) -> None:
        """Anything at any place of a file that is good otherwise."""
        assert "hunter2" not in outcome(text.replace("$$hunter2", "")), text

    @given(st.text("ab:-?[]{},&*!|>'\"%@`#~<\\ ", max_size=4), st.text("ab:'\"]}!& #", max_size=4))
    def test_a_secret_among_signs(self, before: str, behind: str) -> None:
        """A password that is not quoted as YAML wants it shows in no message."""
        password = f"{before}hunter2{behind}"
        text = f"outbound: \n  acme:\n    authorization:\n      credentials: {password}\n"
        assert "hunter2" not in outcome(text), text
