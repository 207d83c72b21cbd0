"""Files of a hundred thousand targets, written while the reactor has other things to do."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from promproxy.disk.output_files import OutputFiles, OutputSettings, StateKey
from promproxy.disk.saved_state import decode
from promproxy.registry import Registry
from promproxy.targets.document import EntryStyle
from promproxy.targets.target import Delivery
from tests.fakes import ScriptedSource, make_registry, make_target

reactor: Any = _reactor

TARGETS = 100_000
# Of the whole time that the files take: some 3 % in a thread, and half or more outside of one.
LONGEST_STALL = 0.25


class ManyTargetsTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        labels = {"env": "prod", "region": "eu-1"}
        targets = tuple(make_target(f"host-{n}:9100", labels=labels) for n in range(TARGETS))
        self.registry: Registry = make_registry(reactor, ScriptedSource([]))
        self.registry.restore("vms", Delivery(targets), 0.0)
        self.targets = targets

    def test_reactor_keeps_going(self) -> Deferred[None]:
        """While both files are made and written."""
        settings = OutputSettings(
            state_dir=self.folder / "state",
            sources={"vms": StateKey("f00")},
            file_sd=self.folder / "sd.json",
            address="promproxy:8080",
            own_entries=EntryStyle().own_entries(),
        )
        written: list[bool] = []
        files = OutputFiles(
            self.registry, deferToThread, reactor, lambda name, ok: written.append(ok), settings
        )

        async def case() -> None:
            stalls: list[float] = []
            last = time.perf_counter()

            def tick() -> None:
                nonlocal last
                now = time.perf_counter()
                stalls.append(now - last)
                last = now

            ticking = LoopingCall(tick)
            ticking.start(0.001)
            began = time.perf_counter()
            files.update()
            await files.close()
            ticking.stop()
            self.assertEqual(written, [True, True])
            self.assertLess(max(stalls), LONGEST_STALL * (last - began))
            self.assertGreater(len(stalls), 10)
            self.assertEqual(len(json.loads((self.folder / "sd.json").read_bytes())), TARGETS + 1)
            saved = decode((self.folder / "state/vms.state.json").read_bytes())
            self.assertEqual(saved.targets, self.targets)

        return Deferred.fromCoroutine(case())
