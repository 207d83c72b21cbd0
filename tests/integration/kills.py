"""A daemon that writes its files all the time, and is killed while it does."""

from __future__ import annotations

import json
import os
import random
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

from attrs import define, field

from promproxy.disk.atomic_file import temporary_path
from promproxy.disk.saved_state import decode
from tests.integration.peers import CHECKOUT, HOST, Peer, eventually, free_port, twistd

TARGETS = 3000
ADDRESS = "127.0.0.1:9"  # where nobody listens


@define(eq=False)
class Victim:
    """Its targets change every few milliseconds; all of a version have a label that says which."""

    folder: Path
    count: int = TARGETS
    daemon: Peer = field(init=False)
    kills: int = 0
    while_writing: int = 0
    _version: int = field(default=0, init=False)
    _over: Event = field(factory=Event, init=False)

    def __attrs_post_init__(self) -> None:
        port = free_port()
        config = {
            "listen": [f"tcp:{port}:interface={HOST}"],
            "discovery": {"address": ADDRESS, "own_metrics": False},
            "state_dir": "state",
            "file_sd": {"path": "sd.json"},
            "sources": [
                {"name": "vms", "refresh_interval": "20ms", "files": {"paths": ["targets.json"]}}
            ],
        }
        (self.folder / "promproxy.yml").write_text(json.dumps(config))
        command = [*twistd(), "--nodaemon", "--pidfile=", "promproxy", "--config", "promproxy.yml"]
        environment = {"PYTHONPATH": str(CHECKOUT)}
        self.daemon = Peer(command=command, port=port, folder=self.folder, environment=environment)

    @property
    def state(self) -> Path:
        return self.folder / "state/vms.state.json"

    @property
    def file_sd(self) -> Path:
        return self.folder / "sd.json"

    def kill_at_random(self, count: int) -> None:
        """Start it and kill it so many times; each time the files must be whole."""
        changing = Thread(target=self._change_on)
        changing.start()
        try:
            for number in range(count):
                # From the first moment of the start to a while after it; now and then on purpose
                # where a file is half written, which chance would rarely find.
                self._kill(on_purpose=number % 3 == 2)
                self.check()
        finally:
            self._over.set()
            changing.join()

    def _kill(self, *, on_purpose: bool) -> None:
        self.daemon.launch()
        if on_purpose:
            eventually(lambda: self._see(temporary_path(random.choice((self.state, self.file_sd)))))
        else:
            time.sleep(random.uniform(0, 2.5))
        self.daemon.kill()
        self.kills += 1
        leftovers = [temporary_path(path) for path in (self.state, self.file_sd)]
        self.while_writing += any(path.exists() for path in leftovers)

    def _see(self, path: Path) -> None:
        end = time.monotonic() + 0.05
        while not path.exists():
            assert time.monotonic() < end

    def check(self) -> None:
        """Raises AssertionError or another error where a file is not whole."""
        if self.state.exists():
            targets = decode(self.state.read_bytes()).targets
            assert len(targets) == self.count, len(targets)
            assert len({target.labels["version"] for target in targets}) == 1
        if self.file_sd.exists():
            groups = json.loads(self.file_sd.read_bytes())
            assert len(groups) == self.count, len(groups)
            assert len({group["labels"]["version"] for group in groups}) == 1
        names = {path.name for folder in (self.folder, self.state.parent) for path in ls(folder)}
        assert not any("set-aside" in name for name in names), names

    def _change_on(self) -> None:
        while not self._over.wait(0.02):
            self.change()

    def change(self) -> None:
        """Other targets than before, all at once."""
        self._version += 1
        groups = [{"targets": self._addresses(), "labels": {"version": str(self._version)}}]
        new = self.folder / "targets.new"
        new.write_text(json.dumps(groups))
        os.replace(new, self.folder / "targets.json")

    def _addresses(self) -> list[str]:
        return [f"10.0.{number >> 8}.{number & 255}:9100" for number in range(self.count)]


def ls(folder: Path) -> list[Path]:
    """What is in a folder, if it is there."""
    with suppress(FileNotFoundError):
        return list(folder.iterdir())
    return []
