"""Tests of saved state and file_sd: a whole daemon in memory, and its files."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.logger import LogLevel, capturedLogs

from promproxy.disk.atomic_file import temporary_path
from promproxy.disk.saved_state import decode, encode
from promproxy.sources.files import FilesSource
from tests.daemon.test_runtime import OTHERS, VMS, ReloadTestCase
from tests.daemon.test_service import SCRAPE
from tests.fakes import settle

STATE_DIR = "state_dir: state\n"
FILE_SD = "discovery: {address: 'p:8080'}\nfile_sd: {path: sd.json}\n"


class OutputTestCase(ReloadTestCase):
    """A daemon that may be stopped, and started again in the same folder."""

    def make_folder(self) -> None:
        if not hasattr(self, "folder"):
            super().make_folder()

    def stop(self) -> None:
        stopping = self.daemon.stopService()
        settle(self.reactor)
        self.successResultOf(stopping)

    def restart(self, text: str = "") -> None:
        self.stop()
        self.daemon = self.start(text or self.text)

    def break_sources(self) -> None:
        """No source can be asked any more: the disk of the target files is on fire."""

        def fail(_source: FilesSource) -> Any:
            raise ZeroDivisionError

        self.patch(FilesSource, "_look", fail)
        self.addCleanup(self.flushLoggedErrors, ZeroDivisionError)

    def state_file(self, source: str = "vms") -> Path:
        return self.folder / "state" / f"{source}.state.json"

    def advance(self, seconds: float) -> None:
        for _ in range(10):
            self.reactor.advance(seconds / 10)

    def list_and_refresh(self, *addresses: str) -> None:
        self.list_targets("targets", *addresses)
        self.advance(5)


class SavedStateTests(OutputTestCase):
    """What is kept over a restart."""

    text_before = f"{STATE_DIR}sources: [{VMS}, {OTHERS}]"

    def test_restart_while_no_source_answers(self) -> None:
        """No target is lost, and the first request already gets them."""
        before = self.listed()
        self.break_sources()
        self.restart()
        self.assertEqual(self.listed(), before)
        self.assertEqual(self.listed("?source=vms"), before[:1])
        self.assertEqual(self.ask("/-/ready").status, 200)
        caller = self.begin_scrape()
        upstream, _ = self.upstream()
        upstream.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup")
        self.assertEqual(caller.answer().body, b"up")

    def test_it_is_loaded_before_anything_is_served(self) -> None:
        """Whoever connects as soon as there is a port finds the targets."""
        self.stop()
        self.daemon = self.make(self.text)
        self.daemon.privilegedStartService()
        self.assertEqual(len(self.daemon.registry.snapshot.by_id), 2)
        self.assertEqual(len(self.reactor.tcpServers), 1)

    def test_sources_that_deliver_again(self) -> None:
        """What they say counts from then on."""
        self.list_targets("targets", "192.0.2.7:1")
        self.restart()
        self.assertEqual(self.listed()[0], "192.0.2.7:1")
        self.assertEqual(self.metric('source_restored{source="vms"}'), "0.0")

    def test_age_is_told(self) -> None:
        """That the targets are old ones, and when they were last found to be there."""
        self.advance(12)
        before = self.metric('source_last_success_timestamp_seconds{source="vms"}')
        self.stop()
        self.assertAlmostEqual(self.state_file().stat().st_mtime, float(before))
        os.utime(self.state_file(), (5, 7))
        self.break_sources()
        self.daemon = self.start(self.text)
        self.assertEqual(self.metric('source_restored{source="vms"}'), "1.0")
        self.assertEqual(self.metric('source_last_success_timestamp_seconds{source="vms"}'), "7.0")
        self.assertEqual(self.metric('source_last_refresh_successful{source="vms"}'), "0.0")

    def test_every_change_is_saved(self) -> None:
        """Nothing else: not what a refresh finds unchanged, nor at a restart."""
        self.list_and_refresh("192.0.2.7:1")
        self.assertIn(b"192.0.2.7:1", self.state_file().read_bytes())
        inode = self.state_file().stat().st_ino
        self.list_and_refresh("192.0.2.7:1")  # a new file of the same content
        self.restart()
        self.assertEqual(self.state_file().stat().st_ino, inode)
        self.list_and_refresh("192.0.2.8:1")
        self.assertNotEqual(self.state_file().stat().st_ino, inode)

    def test_only_we_can_read_it(self) -> None:
        """The folder too, where it is we who make it."""
        modes = [stat.S_IMODE(p.stat().st_mode) for p in (self.state_file(), self.folder / "state")]
        self.assertEqual(modes, [0o600, 0o700])

    def test_damaged_state_of_one_source(self) -> None:
        """Reported; the other's counts, and /discovery waits for the one."""
        content = self.state_file().read_bytes()
        self.state_file().write_bytes(content[:-20])
        self.break_sources()
        with capturedLogs() as events:
            self.restart()
        (event,) = [e for e in events if e["log_level"] is LogLevel.error and "aside" in e]
        self.assertEqual(event["why"], "it is damaged")
        self.assertEqual(len(self.listed("?source=others")), 1)
        answer = self.ask("/discovery")
        self.assertEqual(answer.status, 503)
        self.assertIn(b"waiting for the first targets of vms", answer.body)

    def test_source_that_is_gone(self) -> None:
        """Its state is not loaded."""
        self.break_sources()
        self.restart(f"{STATE_DIR}sources: [{OTHERS}]")
        self.assertEqual(self.listed()[:-1], ["192.0.2.9:1"])
        self.assertEqual(self.ask(SCRAPE).status, 404)

    def test_source_of_other_settings(self) -> None:
        """Its saved targets may be none of its own now: they are not used, and that is said."""
        self.break_sources()
        with capturedLogs() as events:
            self.restart(self.text.replace("targets.json", "other.json"))
        (event,) = [e for e in events if "saved targets are not used" in e["log_format"]]
        self.assertEqual(event["source"], "vms")
        self.assertEqual(self.ask("/discovery?source=vms").status, 503)
        self.assertTrue(self.state_file().exists())

    def test_settings_that_do_not_matter(self) -> None:
        """Those that say only how it is asked."""
        self.break_sources()
        self.restart(self.text.replace("files:", "refresh_interval: 7s, files:"))
        self.assertEqual(self.listed()[0], "192.0.2.1:9100")

    def test_profile_that_got_credentials(self) -> None:
        """They do not go to targets that were found when it had none."""
        profile = "outbound: {p: {}}\n"
        text = f"{profile}{STATE_DIR}sources: [{VMS.replace('files:', 'outbound: p, files:')}]"
        self.restart(text)
        self.break_sources()
        self.restart()
        self.assertEqual(self.listed()[0], "192.0.2.1:9100")
        self.restart(text.replace("p: {}", "p: {authorization: {credentials: hunter2}}"))
        self.assertEqual(self.ask("/discovery").status, 503)

    def test_profile_that_no_rule_names(self) -> None:
        """A state that names one is none of ours."""
        state = decode(self.state_file().read_bytes())
        targets = tuple(evolve(target, outbound="p") for target in state.targets)
        self.state_file().write_bytes(encode(evolve(state, targets=targets)))
        self.break_sources()
        with capturedLogs() as events:
            self.restart(f"outbound: {{p: {{}}}}\n{self.text}")
        (event,) = [e for e in events if "saved targets are not used" in e["log_format"]]
        self.assertEqual(event["why"], "they name outbound profiles that none of its rules does")
        self.assertEqual(self.ask("/discovery?source=vms").status, 503)

    def test_no_secret_is_in_it(self) -> None:
        """Targets name their profile."""
        profile = "outbound: {p: {basic_auth: {username: u, password: hunter2}}}\n"
        source = VMS.replace("files:", "outbound: p, files:")
        self.restart(f"{profile}{STATE_DIR}sources: [{source}]")
        content = self.state_file().read_bytes()
        self.assertIn(b'"outbound":"p"', content)
        self.assertNotIn(b"hunter2", content)

    def test_targets_of_former_settings_are_not_saved_as_those_of_the_new(self) -> None:
        """After a reload they stay until the source delivers; the file stays as it was too."""
        (self.folder / "no.json").write_text("no list")
        before = self.state_file().read_bytes()
        self.assert_reloads(self.text.replace("targets.json", "no.json"))
        self.assertEqual(self.listed()[0], "192.0.2.1:9100")
        self.assertEqual(self.state_file().read_bytes(), before)
        self.assert_reloads(self.text.replace("state_dir: state", "state_dir: elsewhere"))
        self.assertEqual(
            [p.name for p in (self.folder / "elsewhere").iterdir()], ["others.state.json"]
        )
        self.list_targets("no", "192.0.2.7:1")
        self.advance(60)
        self.assertTrue((self.folder / "elsewhere/vms.state.json").exists())

    def test_full_disk(self) -> None:
        """All goes on; the log and the metrics tell, until it can be written again."""
        self.state_file().unlink()
        self.state_file().mkdir()
        (self.state_file() / "x").touch()
        with capturedLogs() as events:
            self.list_and_refresh("192.0.2.7:1")
        self.assertEqual(self.listed()[0], "192.0.2.7:1")
        (event,) = [event for event in events if event["log_level"] is LogLevel.error]
        self.assertEqual(event["path"], str(self.state_file().absolute()))
        name = 'file_last_write_successful{file="vms.state.json"}'
        self.assertEqual(self.metric(name), "0.0")
        (self.state_file() / "x").unlink()
        self.state_file().rmdir()
        self.advance(20)
        self.assertEqual(self.metric(name), "1.0")
        self.assertIn(b"192.0.2.7:1", self.state_file().read_bytes())


class NoStateTests(OutputTestCase):
    def test_without_state_dir(self) -> None:
        """Nothing is written, and a restart waits for the sources."""
        self.break_sources()
        self.restart()
        self.assertEqual(self.ask("/discovery").status, 503)
        names = sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(names, ["others.json", "targets.json"])


class FileSdTests(OutputTestCase):
    """The discovery document as a file."""

    text_before = f"{FILE_SD}{STATE_DIR}sources: [{VMS}, {OTHERS}]"

    def content(self, name: str = "sd.json") -> bytes:
        return (self.folder / name).read_bytes()

    def test_it_is_the_document(self) -> None:
        """To the byte, for every user to read."""
        self.assertEqual(self.content(), self.ask("/discovery").body)
        self.assertEqual(stat.S_IMODE((self.folder / "sd.json").stat().st_mode), 0o644)

    def test_every_change(self) -> None:
        """Of the targets and of the configuration; without one it stays the same file."""
        self.list_and_refresh("192.0.2.7:1")
        self.assertEqual(self.content(), self.ask("/discovery").body)
        inode = (self.folder / "sd.json").stat().st_ino
        self.list_and_refresh("192.0.2.7:1")
        self.assert_reloads(self.text)
        self.assertEqual((self.folder / "sd.json").stat().st_ino, inode)
        for change in (("p:8080", "q:8080"), ("address:", "scheme: https, address:")):
            self.assert_reloads(self.text.replace(*change))
            self.assertIn(change[1].partition(":")[0].encode()[:5], self.content())
            self.assertEqual(self.content(), self.ask("/discovery").body)
        self.assert_reloads(self.text.replace(f", {OTHERS}", ""))
        self.assertEqual(len(json.loads(self.content())), 2)

    def test_not_before_every_source_has_delivered(self) -> None:
        """What Prometheus knows from before the restart must not shrink meanwhile."""
        before = self.content()
        self.break_sources()
        self.restart(self.text.replace(STATE_DIR, ""))
        self.advance(60)
        self.assertEqual(self.content(), before)

    def test_saved_state_is_enough(self) -> None:
        """As for /discovery: another address is written although no source answers."""
        self.break_sources()
        self.restart(self.text.replace("p:8080", "q:8080"))
        self.assertIn(b"q:8080", self.content())
        self.assertEqual(self.content(), self.ask("/discovery").body)

    def test_other_path_and_none(self) -> None:
        """After a reload the new file is written; what is no longer configured stays."""
        self.assert_reloads(self.text.replace("sd.json", "other.json"))
        self.assertEqual(self.content("other.json"), self.content())
        self.assert_reloads(self.text.replace("file_sd: {path: other.json}", ""))
        before = self.content("other.json")
        self.list_and_refresh("192.0.2.7:1")
        self.assertEqual(self.content("other.json"), before)

    def test_metrics(self) -> None:
        """By the file's name."""
        self.assertEqual(self.metric('file_last_write_successful{file="sd.json"}'), "1.0")
        name = 'file_writes_total{file="sd.json",outcome="success"}'
        self.assertEqual(self.metric(name), "1.0")

    def test_stop_waits_for_what_is_to_be_written(self) -> None:
        """The last change is in the file, and no temporary one is left."""
        self.list_targets("targets", "192.0.2.7:1")
        self.advance(5)
        self.stop()
        self.assertIn(b"192.0.2.7:1", self.content())
        self.assertFalse(temporary_path(self.folder / "sd.json").exists())
