"""Tests of promproxy.daemon.runtime and generation: what a reload swaps."""

from __future__ import annotations

import base64
import json
import os
import signal

from twisted.internet.error import ConnectionDone
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure

from promproxy.daemon.service import Daemon
from promproxy.disk.file_watch import LOOK_SECONDS
from promproxy.sources.files import FilesSource
from tests.daemon.test_service import SCRAPE, ServiceTestCase
from tests.fakes import Answer, Caller, settle

VMS = "{name: vms, files: {paths: ['targets.json']}}"
SOURCES = f"sources: [{VMS}]"
OTHERS = "{name: others, files: {paths: ['others.json']}}"
UP = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup"


class ReloadTestCase(ServiceTestCase):
    """A daemon with the source `vms`, and what is asked of it."""

    text_before = SOURCES

    def setUp(self) -> None:
        self.daemon = self.start(self.text_before)

    def make(self, text: str = "", *taken: int) -> Daemon:
        daemon = super().make(text, *taken)
        self.list_targets("others", "192.0.2.9:1")
        return daemon

    def ask(self, path: str, method: str = "GET") -> Answer:
        caller = self.caller()
        caller.send(method, path)
        settle(self.reactor)
        return caller.answer()

    def reload(self, text: str) -> Answer:
        """Let the configuration be this, and read it."""
        self.text = text
        answer = self.ask("/-/reload", "POST")
        settle(self.reactor)
        return answer

    def assert_reloads(self, text: str, *warnings: str) -> None:
        answer = self.reload(text)
        expected = "\n".join(["reloaded", *warnings, ""]).encode()
        self.assertEqual((answer.status, answer.body), (200, expected))

    def listed(self, query: str = "") -> list[str]:
        """The instances that the document lists."""
        answer = self.ask(f"/discovery{query}")
        self.assertEqual(answer.status, 200, answer.body)
        return [group["labels"]["instance"] for group in json.loads(answer.body)]

    def list_targets(self, name: str, *addresses: str) -> None:
        (self.folder / f"{name}.json").write_text(json.dumps([{"targets": addresses}]))

    def metric(self, name: str) -> str:
        """The value of a metric."""
        lines = self.ask("/metrics").body.decode().splitlines()
        (value,) = (line.split()[1] for line in lines if line.startswith(f"promproxy_{name} "))
        return value

    def begin_scrape(self, path: str = SCRAPE) -> Caller:
        caller = self.caller()
        caller.send("GET", path, X_Prometheus_Scrape_Timeout_Seconds="60")
        return caller


class AskingTests(ReloadTestCase):
    """Ways to ask for a reload, and what one is told."""

    def test_post(self) -> None:
        """200 as soon as it is in force."""
        self.assert_reloads(f"sources: [{VMS}, {OTHERS}]")
        self.assertEqual(self.listed()[:2], ["192.0.2.1:9100", "192.0.2.9:1"])

    def test_other_methods(self) -> None:
        """A link that someone follows does nothing."""
        self.text = f"sources: [{OTHERS}]"
        for method in ("GET", "HEAD"):
            self.assertEqual(self.ask("/-/reload", method).status, 405)
        self.assertEqual(self.listed()[0], "192.0.2.1:9100")

    def test_signal(self) -> None:
        """SIGHUP, which is what it was before once the daemon has stopped."""
        self.text = f"sources: [{OTHERS}]"
        os.kill(os.getpid(), signal.SIGHUP)
        settle(self.reactor)
        self.assertEqual(self.listed()[0], "192.0.2.9:1")
        self.text = "nonsense"
        with capturedLogs() as events:
            os.kill(os.getpid(), signal.SIGHUP)
            settle(self.reactor)
        (event,) = [event for event in events if event["log_level"] is LogLevel.error]
        self.assertIn("promproxy.yml:1: expected a mapping", event["error"])
        handler = signal.getsignal(signal.SIGHUP)
        self.successResultOf(self.daemon.stopService())
        self.assertNotEqual(signal.getsignal(signal.SIGHUP), handler)

    def test_whoever_supervises_is_told(self) -> None:
        """When it begins, and when it is over, however it ends."""
        self.reload(SOURCES)
        self.reload("nonsense")
        self.successResultOf(self.daemon.stopService())
        reload = ["reloading", "ready"]
        self.assertEqual(self.states, ["ready", *reload, *reload, "stopping"])

    def test_metrics(self) -> None:
        """Whether the last one succeeded, and when one last did; the start counts."""
        names = ("config_last_reload_successful", "config_last_reload_success_timestamp_seconds")
        self.assertEqual([self.metric(name) for name in names], ["1.0", "0.0"])
        self.reactor.advance(5)
        self.reload("nonsense")
        self.assertEqual([self.metric(name) for name in names], ["0.0", "0.0"])
        self.reactor.advance(5)
        self.reload(SOURCES)
        self.assertEqual([self.metric(name) for name in names], ["1.0", "10.0"])


class BadFileTests(ReloadTestCase):
    """A configuration that cannot be used."""

    def refused(self, text: str) -> str:
        with capturedLogs() as events:
            answer = self.reload(text)
        self.assertEqual(answer.status, 500)
        told = answer.body.decode()
        (event,) = [event for event in events if event["log_level"] is LogLevel.error]
        self.assertEqual(
            told, f"reload failed, keeping the running configuration: {event['error']}\n"
        )
        self.assertEqual(self.metric("config_last_reload_successful"), "0.0")
        self.assertEqual(self.listed()[0], "192.0.2.1:9100")
        return told

    def test_mistake_in_the_file(self) -> None:
        """Told with file, line and place; nothing has changed."""
        told = self.refused("scrape:\n  max_concurrent: 0\n" + SOURCES)
        place = f"{self.folder}/promproxy.yml:2: scrape.max_concurrent: "
        self.assertIn(f"{place}expected a whole number of at least 1", told)

    def test_mistake_that_only_building_shows(self) -> None:
        """A certificate, an endpoint; what was right beside it is not taken either."""
        more = f"sources: [{OTHERS}]"
        (self.folder / "ca.pem").write_text("nothing")
        told = self.refused(f"outbound: {{a: {{tls_config: {{ca_file: ca.pem}}}}}}\n{more}")
        self.assertIn(f"outbound.a: {self.folder.absolute()}/ca.pem: holds no certificate", told)
        self.assertIn("'tcp' is not an endpoint", self.refused(f"listen: [tcp]\n{more}"))

    def test_secret_is_not_told(self) -> None:
        """Neither in the answer nor in the log."""
        basic = "{basic_auth: {username: u, password: hunter2, passwort: hunter3}}"
        told = self.refused(f"outbound: {{a: {basic}}}\n{SOURCES}")
        self.assertIn("outbound.a.basic_auth.passwort: unknown key", told)
        self.assertNotIn("hunter", told)

    def test_bug_of_ours(self) -> None:
        """Its text, which may hold anything, is in the log alone."""

        def load() -> None:
            raise ZeroDivisionError("secret")

        self.daemon._runtime._load = load  # type: ignore[assignment]
        answer = self.ask("/-/reload", "POST")
        self.assertEqual(answer.status, 500)
        self.assertIn(b"an unexpected error, see the log", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class SourceTests(ReloadTestCase):
    """What becomes of sources."""

    text_before = f"sources: [{VMS}, {OTHERS}]"

    def test_unchanged_one_is_the_same(self) -> None:
        """The object that holds targets and tokens; nothing is rendered again."""
        snapshot = self.daemon.registry.snapshot
        sources = dict(self.daemon.registry._sources)
        self.assert_reloads(f"sources: [{VMS}, {OTHERS}]\nscrape: {{default_timeout: 3s}}")
        self.assertEqual(dict(self.daemon.registry._sources), sources)
        self.assertIs(self.daemon.registry.snapshot, snapshot)

    def test_unchanged_one_is_asked_at_once(self) -> None:
        """An operator who reloads wants to see what comes of it."""
        self.list_targets("others", "192.0.2.9:2")
        self.assert_reloads(self.text_before)
        self.assertIn("192.0.2.9:2", self.listed())

    def test_removed_one(self) -> None:
        """Its targets go at once, a scrape of them that is under way ends as it began."""
        caller = self.begin_scrape()
        upstream, _ = self.upstream()
        self.assert_reloads(f"sources: [{OTHERS}]")
        self.assertEqual(self.listed()[0], "192.0.2.9:1")
        self.assertEqual(self.ask(SCRAPE).status, 404)
        self.assertEqual(self.ask("/discovery?source=vms").status, 404)
        upstream.dataReceived(UP)
        self.assertEqual(caller.answer().body, b"up")

    def test_changed_one_keeps_its_targets_until_it_delivers(self) -> None:
        """It is asked at once; failures leave the targets."""
        caller = self.begin_scrape()
        changed = VMS.replace("targets.json", "missing.json")
        (self.folder / "missing.json").write_text("no list")
        self.assert_reloads(f"sources: [{changed}, {OTHERS}]")
        self.assertEqual(self.listed()[:2], ["192.0.2.1:9100", "192.0.2.9:1"])
        self.assertIn("missing.json", self.daemon.registry.states["vms"].last_error)
        upstream, _ = self.upstream()
        upstream.dataReceived(UP)
        self.assertEqual(caller.answer().body, b"up")
        self.list_targets("missing", "192.0.2.2:1")
        self.reactor.advance(5)
        settle(self.reactor)
        self.assertEqual(self.listed()[:2], ["192.0.2.2:1", "192.0.2.9:1"])

    def test_new_one_is_not_waited_for(self) -> None:
        """Except by whoever asks for it alone."""
        new = "{name: new, files: {paths: ['new.json']}}"
        (self.folder / "new.json").write_text("no list")
        self.assert_reloads(f"sources: [{VMS}, {OTHERS}, {new}]")
        self.assertEqual(len(self.listed()), 3)
        self.assertEqual(self.ask("/-/ready").status, 200)
        self.assertEqual(self.ask("/discovery?source=new").status, 503)
        self.list_targets("new", "192.0.2.3:1")
        self.reactor.advance(5)
        settle(self.reactor)
        self.assertEqual(self.listed("?source=new"), ["192.0.2.3:1"])

    def test_new_one_is_waited_for_where_others_still_are(self) -> None:
        """Prometheus has no list from us yet that could stay."""
        (self.folder / "new.json").write_text("no list")
        new = "{name: new, files: {paths: ['new.json']}}"
        # A daemon that is not ready: the disk of its only source is gone.
        self.patch(FilesSource, "_look", lambda source: [].pop())
        self.daemon = self.start(SOURCES)
        self.flushLoggedErrors(IndexError)
        self.assertEqual(self.ask("/discovery").status, 503)
        self.assert_reloads(f"sources: [{new}]")
        self.flushLoggedErrors(IndexError)
        answer = self.ask("/discovery")
        self.assertEqual(answer.status, 503)
        self.assertIn(b"waiting for the first targets of new", answer.body)

    def test_order_is_that_of_the_configuration(self) -> None:
        """In the document too."""
        self.assert_reloads(f"sources: [{OTHERS}, {VMS}]")
        self.assertEqual(self.listed()[:2], ["192.0.2.9:1", "192.0.2.1:9100"])

    def test_what_changed_is_logged(self) -> None:
        """By the names of the sources."""
        with capturedLogs() as events:
            self.reload(f"sources: [{VMS}, {{name: new, files: {{paths: []}}}}]")
        (event,) = [event for event in events if "changes" in event]
        self.assertEqual(event["changes"], "sources new new; removed others")


class CredentialsTests(ReloadTestCase):
    """Which credentials targets get."""

    profile = "outbound: {p: {basic_auth: {username: u, password: old}}}\n"
    with_profile = SOURCES.replace("files:", "outbound: p, files:")
    text_before = profile + with_profile

    def sent(self) -> str:
        """The password that a scrape sends to the target."""
        caller = self.begin_scrape()
        upstream, wire = self.upstream()
        (line,) = [x for x in wire.value().split(b"\r\n") if x.startswith(b"Authorization: ")]
        upstream.dataReceived(UP)
        self.assertEqual(caller.answer().body, b"up")
        upstream.connectionLost(Failure(ConnectionDone()))
        return base64.b64decode(line.split()[-1]).decode().partition(":")[2]

    def test_new_password_counts_at_once(self) -> None:
        """For a source that is itself as it was, and is not asked again."""
        self.assertEqual(self.sent(), "old")
        sources = dict(self.daemon.registry._sources)
        self.assert_reloads(self.text.replace("old", "new"))
        self.assertEqual(self.sent(), "new")
        self.assertEqual(dict(self.daemon.registry._sources), sources)

    def test_new_content_of_a_password_file(self) -> None:
        """The configuration itself is the same."""
        text = self.text.replace("password: old", "password_file: pw")
        (self.folder / "pw").write_text("one\n")
        self.assert_reloads(text)
        self.assertEqual(self.sent(), "one")
        (self.folder / "pw").write_text("two\n")
        self.assert_reloads(text)
        self.assertEqual(self.sent(), "two")

    def test_targets_found_under_former_settings_keep_the_former_profile(self) -> None:
        """New credentials go only to targets that were chosen by the settings beside them."""
        (self.folder / "no.json").write_text("no list")
        new = self.text.replace("old", "new").replace("targets.json", "no.json")
        for _ in range(2):  # also where the next reload comes before a refresh succeeds
            self.assert_reloads(new)
            self.assertEqual(self.sent(), "old")
            new += "\nopen_admin: true"
        self.list_targets("no", "192.0.2.1:9100")
        self.reactor.advance(60)
        settle(self.reactor)
        self.assertEqual(self.sent(), "new")

    def test_profile_that_is_gone(self) -> None:
        """As long as there are targets that have it."""
        (self.folder / "no.json").write_text("no list")
        self.assert_reloads(SOURCES.replace("targets.json", "no.json"))
        self.assertEqual(self.sent(), "old")
        self.assertEqual(self.sent(), "old")


class RenewedFileTests(ReloadTestCase):
    """Files with credentials are taken up when they change, without a reload."""

    text_before = (
        "outbound: {acme: {basic_auth: {username: a, password_file: password}}}\n"
        "sources: [{name: vms, outbound: acme, files: {paths: ['targets.json']}}]"
    )

    def make_folder(self) -> None:
        super().make_folder()
        self.write("old")

    def write(self, password: str) -> None:
        (self.folder / "password").write_text(password)
        (self.folder / "password").chmod(0o600)

    def shown(self) -> str:
        """The password that a scrape shows."""
        self.begin_scrape()
        _, wire = self.upstream()
        header = wire.value().decode().partition("Authorization: Basic ")[2]
        return base64.b64decode(header.partition("\r\n")[0]).decode().partition(":")[2]

    def pass_time(self, seconds: float = LOOK_SECONDS) -> None:
        self.reactor.advance(seconds)
        settle(self.reactor)

    def test_new_password(self) -> None:
        """Within seconds, and with a line in the log."""
        self.assertEqual(self.shown(), "old")
        self.write("new")
        with capturedLogs() as events:
            self.pass_time()
            self.pass_time()
        self.assertEqual(self.shown(), "new")
        told = [event["renewed"] for event in events if "renewed" in event]
        self.assertEqual(told, ["profile 'acme'"])

    def test_unchanged(self) -> None:
        """The profile and its connections are the same."""
        self.assertEqual(self.shown(), "old")
        before = self.daemon._runtime.generation
        self.pass_time(10 * LOOK_SECONDS)
        self.assertIs(self.daemon._runtime.generation, before)

    def test_broken(self) -> None:
        """The old one stays, and the error is told once."""
        self.write("")
        with capturedLogs() as events:
            self.pass_time()
            self.pass_time()
        errors = [event["error"] for event in events if event["log_level"] is LogLevel.error]
        place = self.folder.absolute() / "password"
        self.assertEqual(errors, [f"outbound.acme: {place} is empty"])
        self.assertEqual(self.shown(), "old")
        self.write("new")
        self.pass_time()
        self.assertEqual(self.shown(), "new")

    def test_a_file_that_everyone_may_read(self) -> None:
        """Is worth a warning, at the start and when it comes with a reload."""
        (self.folder / "password").chmod(0o644)
        (self.folder / "other").write_text("x")
        (self.folder / "other").chmod(0o644)
        with capturedLogs() as events:
            self.reload(self.text_before)
            self.reload(self.text_before.replace("password_file: password", "password_file: other"))
            self.reload(self.text_before.replace("password_file: password", "password_file: other"))
        told = [event["text"] for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(len(told), 2, told)
        for name, text in zip(("password", "other"), told, strict=True):
            assert text.startswith(f"{self.folder.absolute() / name} holds a secret"), text

    def test_nothing_is_looked_at_after_the_stop(self) -> None:
        self.successResultOf(self.daemon.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class OtherSettingsTests(ReloadTestCase):
    """Everything beside the sources."""

    def test_listen_takes_a_restart(self) -> None:
        """Which is said; all else in the file counts."""
        more = "\nscrape: {default_timeout: 3s}"
        self.assert_reloads(
            f"listen: ['tcp:8081']\n{SOURCES}{more}", "listen has changed: that takes a restart"
        )
        self.assertEqual([server[0] for server in self.reactor.tcpServers], [8080])
        caller = self.caller()
        caller.send("GET", SCRAPE)
        self.reactor.advance(3)
        self.assertEqual(caller.answer().status, 504)
        self.assert_reloads(SOURCES)

    def test_style_of_the_document(self) -> None:
        """Also of the targets that were there before; former paths go on working."""
        self.assert_reloads(f"discovery: {{path_prefix: /x, scheme: https}}\n{SOURCES}")
        first, own = json.loads(self.ask("/discovery").body)
        self.assertEqual(first["labels"]["__metrics_path__"], f"/x{SCRAPE}")
        self.assertEqual(own["labels"]["__scheme__"], "https")
        self.assert_reloads(f"discovery: {{path_prefix: /y}}\n{SOURCES}")
        for prefix in ("", "/x", "/y"):
            self.assertEqual(self.ask(f"{prefix}/discovery").status, 200)
        self.assertEqual(
            json.loads(self.ask("/discovery").body)[0]["labels"]["__metrics_path__"],
            f"/y{SCRAPE}",
        )

    def test_limits_hold_for_scrapes_that_begin_later(self) -> None:
        """One under way goes on with those that it began with."""
        caller = self.begin_scrape()
        upstream, _ = self.upstream()
        self.assert_reloads(f"scrape: {{body_size_limit: 1B}}\n{SOURCES}")
        upstream.dataReceived(UP)
        self.assertEqual(caller.answer().body, b"up")
        caller.send("GET", SCRAPE)
        upstream.dataReceived(UP)
        self.assertEqual(caller.answer().status, 502)

    def test_connections_of_unchanged_profiles_stay(self) -> None:
        """Those of others are closed when they have nothing to do."""
        caller = self.begin_scrape()
        upstream, wire = self.upstream()
        upstream.dataReceived(UP)
        self.assertEqual(caller.answer().body, b"up")
        self.assert_reloads(f"{SOURCES}\noutbound: {{p: {{}}}}")
        self.assertFalse(wire.disconnecting)
        caller = self.begin_scrape()
        self.assertEqual(len(self.reactor.tcpClients), 1)
        upstream.dataReceived(UP)
        self.assertEqual(caller.answer().body, b"up")

    def test_connections_of_former_profiles_are_closed(self) -> None:
        """After the scrape that is under way."""
        for number in range(3):
            profile = f"outbound: {{p: {{basic_auth: {{username: u, password: 'x{number}'}}}}}}\n"
            self.assert_reloads(profile + SOURCES.replace("files:", "outbound: p, files:"))
            caller = self.begin_scrape()
            upstream, wire = self.upstream()
            if number < 2:
                self.assert_reloads(SOURCES)
            upstream.dataReceived(UP)
            self.assertEqual(caller.answer().body, b"up")
            caller.leave()
            self.assertEqual(wire.disconnecting, number < 2)
            upstream.connectionLost(Failure(ConnectionDone()))
        self.assert_reloads(SOURCES)
        self.successResultOf(self.daemon.stopService())

    def test_reload_during_the_stop(self) -> None:
        """Changes nothing any more."""
        self.successResultOf(self.daemon.stopService())
        caller = self.caller()
        self.text = f"sources: [{OTHERS}]"
        caller.send("POST", "/-/reload")
        self.assertEqual(caller.answer().status, 500)
        caller.leave()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
