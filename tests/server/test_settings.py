"""Tests of promproxy.server.settings; ``bad_web/`` has one small file per mistake."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from promproxy.config.load import load_web_file
from promproxy.errors import ConfigError
from promproxy.secret import Secret
from promproxy.server.access import Access
from promproxy.server.settings import HttpServer, Role, TlsServer, Token, WebFile
from promproxy.settings.files import files_in, world_readable_secrets
from promproxy.settings.load import section_from_text

HERE = Path(__file__).absolute().parent
BAD = HERE / "bad_web"
GOOD = HERE / "good_web.yml"
HASH = "$2y$04$5rdACMvvyGetEHjb6lq/Ve5nrL2AoTYAph6/DHO7T7uzeOmGgIGbS"


class BadFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        lines = (BAD / "messages.txt").read_text(encoding="utf-8").splitlines()
        self.messages = [line for line in lines if not line.startswith("#")]

    def test_each_has_its_message(self) -> None:
        """One message: the file, the line, the keys that lead there, what was expected."""
        for expected in self.messages:
            file = BAD / expected.partition(":")[0]
            message = str(self.assertRaises(ConfigError, load_web_file, file))
            self.assertEqual(message.removeprefix(f"{BAD}/"), expected)
            assert "hunter2" not in message, message

    def test_the_list_is_complete(self) -> None:
        """No file is forgotten."""
        listed = [message.partition(":")[0] for message in self.messages]
        self.assertEqual(sorted(listed), sorted(file.name for file in BAD.glob("*.yml")))

    def test_no_file(self) -> None:
        """The message names it."""
        error = self.assertRaises(ConfigError, load_web_file, BAD / "none.yml")
        self.assertEqual(str(error), f"cannot read {BAD}/none.yml: No such file or directory")


class GoodFileTests(SynchronousTestCase):
    def test_everything(self) -> None:
        """All that can be said, as it is understood; no $ is a variable."""
        tls = TlsServer(
            cert_file=HERE / "server.pem",
            key_file=Path("/etc/ssl/server.key"),
            client_auth_type="RequireAndVerifyClientCert",
            client_ca_file=HERE / "ca.pem",
            client_allowed_sans=("prometheus.example.org", "10.0.0.1"),
            max_version="TLS12",
            cipher_suites=True,
            prefer_server_cipher_suites=True,
            curve_preferences=True,
        )
        headers = {
            "Strict-Transport-Security": "max-age=31536000",
            "X-Frame-Options": "Deny",
            "Content-Security-Policy": "default-src $self",
        }
        users = {"alice": Secret(HASH), "bob": Secret(HASH.replace("2y", "2b", 1))}
        expected = WebFile(
            tls_server_config=tls,
            http_server_config=HttpServer(http2=True, headers=headers),
            basic_auth_users=users,
        )
        found = load_web_file(GOOD)
        self.assertEqual(found, expected)
        files = {HERE / "server.pem", Path("/etc/ssl/server.key"), HERE / "ca.pem"}
        self.assertEqual(set(files_in(found)), files)
        assert found.needs_certificate

    def test_keys_without_a_meaning(self) -> None:
        """Those that stand there are named."""
        tls = [f"tls_server_config.{key}" for key in ("cipher_suites", "curve_preferences")]
        expected = {*tls, "tls_server_config.prefer_server_cipher_suites"}
        self.assertEqual(set(load_web_file(GOOD).ignored), expected | {"http_server_config.http2"})
        self.assertEqual(WebFile().ignored, ())

    def test_hashes_do_not_show(self) -> None:
        """Where a configuration is shown."""
        self.assertNotIn(HASH[7:], repr(load_web_file(GOOD)))

    def test_file_that_everyone_may_read(self) -> None:
        """Gets a warning for its hashes, as a key does."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        for name in ("web.yml", "server.key"):
            (folder / name).write_text(
                f"basic_auth_users: {{alice: {HASH}}}\n"
                "tls_server_config: {cert_file: server.pem, key_file: server.key}"
            )
        for mode, expected in ((0o640, []), (0o644, ["server.key", "web.yml"])):
            for name in ("web.yml", "server.key"):
                (folder / name).chmod(mode)
            found = world_readable_secrets(load_web_file(folder / "web.yml"))
            self.assertEqual(sorted(Path(one.split()[0]).name for one in found), expected)

    def test_example(self) -> None:
        """Changes nothing as it stands; each of its settings can be used."""
        text = (HERE.parent.parent / "conf" / "web.yml").read_text(encoding="utf-8")
        self.assertEqual(section_from_text(WebFile, text, GOOD, None), WebFile())
        used = "\n".join(
            line.removeprefix("# ")
            for line in text.replace("$2b$10$…", HASH).splitlines()
            if line.startswith(("#   ", "# tls", "# basic", "# http"))
        )
        web = section_from_text(WebFile, used, GOOD, None)
        assert web.tls_server_config is not None
        self.assertEqual(list(web.basic_auth_users), ["prometheus"])
        self.assertEqual(len(web.http_server_config.headers), 1)

    def test_as_the_toolkit_takes_it(self) -> None:
        """Of its own examples: numbers as header values, rate limits, old names, slow hashes."""
        text = f"""
            tls_server_config:
              cert_file: server.crt
              key_file: server.key
              client_auth_type: RequireClientCert
              min_version: TLS10
            http_server_config: {{headers: {{X-XSS-Protection: 1, X-Frame-Options: deny}}}}
            basic_auth_users: {{bob: {HASH.replace("$04$", "$18$")}, eve: {HASH}}}
            rate_limit: {{interval: 1s, burst: 20}}
        """
        web = section_from_text(WebFile, text, GOOD, None)
        self.assertEqual(web.http_server_config.headers["X-XSS-Protection"], "1")
        expected = (
            "the web configuration file's rate_limit has no meaning here and is ignored",
            "tls_server_config.min_version: TLS12 is the oldest that is spoken",
            "basic_auth_users: the hash of 'bob' has cost 18, so that a check of the password "
            "takes seconds; promproxy hash-password makes a new one",
        )
        self.assertEqual(tuple(web.warnings), expected)

    def test_inline_key_that_everyone_may_read(self) -> None:
        """Gets a warning as a file with a key does."""
        file = Path(self.mktemp()).absolute()
        file.write_text("tls_server_config: {cert: x, key: y}")
        for mode, count in ((0o640, 0), (0o644, 1)):
            file.chmod(mode)
            self.assertEqual(len(world_readable_secrets(load_web_file(file))), count)

    def test_inline_certificate(self) -> None:
        """It is not shown, nor is the key; a file counts before it."""
        text = "tls_server_config: {cert: hunter2, key: hunter3, key_file: '', client_ca: null}"
        tls = section_from_text(WebFile, text, GOOD, None).tls_server_config
        assert tls is not None
        self.assertEqual((tls.cert, tls.key.reveal(), tls.key_file), ("hunter2", "hunter3", None))
        self.assertNotIn("hunter", repr(tls))
        self.assertEqual(tls.key.stands_in, GOOD)

    def test_an_empty_file(self) -> None:
        nothing = "{tls_server_config: {}, http_server_config: , basic_auth_users: null}"
        for text in ("", "# nothing", "{}", "basic_auth_users: {}", nothing):
            self.assertEqual(section_from_text(WebFile, text, GOOD, None), WebFile(), text)

    @given(st.text(alphabet="ab:-?[]{},&*!|>'\"%@#~$\\ \n\t0", max_size=20))
    def test_any_text(self, text: str) -> None:
        """Raises nothing but ConfigError."""
        for before in ("", "basic_auth_users: ", "tls_server_config: ", "http_server_config: "):
            with contextlib.suppress(ConfigError):
                section_from_text(WebFile, before + text, GOOD, None)


class RoleTests(SynchronousTestCase):
    def test_role_as_it_is_applied(self) -> None:
        """The patterns are those of allowed_hosts: * is any text, dots too, and case is nothing."""
        role = Role(
            users=("a",), client_sans=("b",), permissions=("tunnel",), fqdns=("*.Example.org",)
        )
        caller = Access(roles=(role,)).caller("a")
        for name in ("x.example.org", "x.y.EXAMPLE.org"):
            assert caller.may_claim(name), name
        for name in ("example.org", "xexample.org", "x.example-org", "x.example.org\n"):
            assert not caller.may_claim(name), name

    def test_role_of_tokens(self) -> None:
        """They go by their names, and do not show."""
        token = Token(name="branch", token=Secret("hunter2"))
        role = Role(tokens=(token,), permissions=("tunnel",), fqdns=("web-*",))
        self.assertNotIn("hunter2", f"{role} {token}")
        caller = Access(roles=(role,)).caller(token="branch")
        assert caller.may_claim("web-1") and not caller.may_claim("db-1")


class TokenTests(SynchronousTestCase):
    def test_file_that_changes(self) -> None:
        """Counts as it is now, and must hold a token."""
        file = Path(self.mktemp())
        file.write_text("hunter2\n")
        token = Token(name="branch", token=Secret(path=file))
        self.assertEqual(token.reveal(), "hunter2")
        file.write_text("hunter3")
        self.assertEqual(token.reveal(), "hunter3")
        for text in ("hunter\x002", "hunter 2", "hunter2\nhunter3", "hünter2"):
            file.write_text(text)
            error = self.assertRaises(ConfigError, token.reveal)
            self.assertEqual(str(error), f"{file}: a token is visible ASCII without spaces")
