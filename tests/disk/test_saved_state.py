"""Tests of promproxy.disk.saved_state."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from promproxy.disk.saved_state import SavedState, decode, encode, read_state, state_path
from promproxy.errors import StateError
from promproxy.targets.target import Target
from tests.fakes import make_target
from tests.targets.test_document import TARGETS

FULL = Target(
    id="guid/0/x",
    source="vms",
    scheme="https",
    host="app.example.org",
    port=8443,
    path="/x",
    query="a=b&c=%C3%A9",
    instance="guid:0\n\u2028é",
    labels={"env": 'p"rod\n', "__meta_cf_app_name": "é\ud800"},
    headers=(("X-CF-APP-INSTANCE", "guid:0"), ("X-Other", "y")),
    outbound="acme",
    router="https://10.0.0.5:443",
    is_tunnelled=True,
)
STATE = SavedState("vms", "f00", (FULL, make_target("b:2")))


def with_targets(*lines: str) -> bytes:
    """A file that is whole, with these in place of its targets."""
    first = encode(STATE).partition(b"\n")[0]
    head = json.loads(first + b"]}")
    del head["targets"]
    body = ",\n".join(lines).encode() + b"\n]}\n"
    head["sha256"] = sha256(body).hexdigest()
    return json.dumps(head)[:-1].encode() + b', "targets": [\n' + body


class EncodeTests(SynchronousTestCase):
    def test_what_is_saved_is_what_is_loaded(self) -> None:
        """Every field of a target."""
        for field in attrs.fields(Target):
            self.assertTrue(getattr(FULL, field.name), field.name)
        self.assertEqual(decode(encode(STATE)), STATE)

    def test_no_targets(self) -> None:
        """A source that found nothing has found that."""
        state = SavedState("vms", "f00", ())
        self.assertEqual(decode(encode(state)), state)

    @given(st.lists(TARGETS, max_size=4))
    def test_any_targets(self, targets: list[Target]) -> None:
        """The same bytes each time, so that nothing need be written where nothing changed."""
        state = SavedState("vms", "f00", tuple(targets))
        self.assertEqual(decode(encode(state)), state)
        self.assertEqual(encode(state), encode(state))

    def test_it_is_one_json_document(self) -> None:
        """With a line for each target, and a version."""
        content = encode(STATE)
        document = json.loads(content)
        self.assertEqual(document["promproxy_state"], 1)
        self.assertEqual(document["source"], "vms")
        self.assertEqual([target["id"] for target in document["targets"]], ["guid/0/x", "vms/b:2"])
        self.assertEqual(len(content.splitlines()), 4)

    def test_it_rests(self) -> None:
        """After every hundredth target."""
        rests: list[None] = []
        targets = tuple(make_target(f"h:{n}") for n in range(1, 251))
        encode(SavedState("vms", "f00", targets), yield_cpu=lambda: rests.append(None))
        self.assertEqual(len(rests), 2)


class DecodeTests(SynchronousTestCase):
    """What else a file may hold."""

    def refused(self, content: bytes) -> str:
        return str(self.assertRaises(StateError, decode, content))

    def test_foreign_file(self) -> None:
        """It says that it is no state."""
        for content in (b"", b"{}", b"[]", b"\0", b'{"a": 1, "targets": [\n]}\n', b"[" * 100_000):
            self.assertEqual(
                self.refused(content), "it is not a saved state of promproxy", content[:20]
            )

    def test_other_version(self) -> None:
        content = encode(STATE).replace(b'"promproxy_state": 1', b'"promproxy_state": 2')
        self.assertEqual(self.refused(content), "it is of version 2, and this promproxy reads 1")

    def test_cut_short_anywhere(self) -> None:
        """It is noticed wherever that is."""
        content = encode(STATE)
        for length in range(len(content)):
            self.refused(content[:length])

    @given(st.integers(0), st.integers(1, 255))
    def test_damage_anywhere(self, position: int, change: int) -> None:
        """Other targets than were saved are never loaded."""
        content = bytearray(encode(STATE))
        content[position % len(content)] ^= change
        try:
            targets = decode(bytes(content)).targets
        except StateError:
            return
        # What stands on the first line beside the hash is compared by whoever loads it.
        self.assertEqual([evolved(t) for t in targets], [evolved(t) for t in STATE.targets])

    def test_something_else_than_targets(self) -> None:
        """By whoever wrote a hash to it."""
        good: dict[str, Any] = json.loads(encode(STATE))["targets"][0]
        self.assertEqual(decode(with_targets(json.dumps(good))).targets, (FULL,))
        without_id = {key: value for key, value in good.items() if key != "id"}
        for bad in (
            *({**good, "port": port} for port in ("80", 0, 65536, 1.5, True, None)),
            *({**good, "path": path} for path in (None, "/\r\nX: y", "/é", "/\0", 5)),
            *({**good, "labels": labels} for labels in ([], {"a": 1}, {"a": None}, "x")),
            *({**good, "headers": h} for h in ({}, [["a"]], [["a", "b\n"]], [["a", 1]], ["abc"])),
            *({**good, "scheme": "ftp"}, {**good, "id": ".."}, {**good, "instance": 5}),
            *({**good, "color": "red"}, {**good, "source": "other"}, without_id, [], "x", None),
        ):
            told = self.refused(with_targets(json.dumps(bad)))
            self.assertEqual(told, "it holds something else than targets", bad)
        self.refused(with_targets("[" * 100_000))

    @given(st.binary(max_size=60))
    def test_any_bytes(self, content: bytes) -> None:
        """Refused, without another error."""
        self.refused(content)


def evolved(target: Target) -> Target:
    """Of one source, whatever the file's first line says."""
    return attrs.evolve(target, source="vms")


SMALL_STATE = SavedState("vms", "f00", (make_target("a:1"),))


class ReadStateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = state_path(self.folder, "vms")

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def refused(self) -> str:
        """What is said of the file."""
        with capturedLogs() as events:
            self.assertIsNone(read_state(self.folder, "vms"))
        (event,) = events
        self.assertEqual(event["path"], str(self.path))
        return str(event["why"])

    def test_good_file(self) -> None:
        """With the moment at which it was written."""
        self.path.write_bytes(encode(SMALL_STATE))
        os.utime(self.path, (5, 7))
        saved = read_state(self.folder, "vms")
        assert saved is not None
        self.assertEqual((saved.state, saved.moment), (SMALL_STATE, 7.0))
        self.assertEqual(self.names(), ["vms.state.json"])

    def test_no_file(self) -> None:
        """Nothing to say: that is how it is at the first start."""
        with capturedLogs() as events:
            self.assertIsNone(read_state(self.folder, "vms"))
            self.assertIsNone(read_state(self.folder / "no", "vms"))
        self.assertEqual(events, [])

    def test_damaged_file(self) -> None:
        """Set aside, in place of one that was set aside before, and reported."""
        for content in (encode(SMALL_STATE)[:-9], b"[]"):
            self.path.write_bytes(content)
            self.refused()
            self.assertEqual(self.names(), ["vms.state.json.set-aside"])
            aside = self.folder / "vms.state.json.set-aside"
            self.assertEqual(aside.read_bytes(), content)

    def test_file_of_another_source(self) -> None:
        """Copied by someone: its targets have other ids."""
        state_path(self.folder, "vms").write_bytes(encode(SavedState("other", "f00", ())))
        self.assertEqual(self.refused(), "it is that of the source 'other'")
        self.assertEqual(self.names(), ["vms.state.json.set-aside"])

    def test_no_regular_file(self) -> None:
        """A pipe, which nobody may ever write to, or a folder."""
        os.mkfifo(self.path)
        self.assertEqual(self.refused(), "it is not a regular file")
        (self.folder / "vms.state.json.set-aside").unlink()
        self.path.mkdir()
        self.assertEqual(self.refused(), "it is not a regular file")

    def test_file_that_cannot_be_read(self) -> None:
        """It stays where it is."""
        self.path.write_bytes(encode(SMALL_STATE))

        def fail(_path: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        self.patch(Path, "read_bytes", fail)
        self.assertEqual(self.refused(), "Permission denied")
        self.assertEqual(self.names(), ["vms.state.json"])

    def test_file_that_cannot_be_set_aside(self) -> None:
        """Both are said; the start goes on."""
        self.path.write_bytes(b"[]")

        def fail(*_paths: Path) -> None:
            raise PermissionError(13, "Permission denied")

        self.patch(os, "replace", fail)
        with capturedLogs() as events:
            self.assertIsNone(read_state(self.folder, "vms"))
        self.assertEqual(
            [event["why"] for event in events],
            ["it is not a saved state of promproxy", "Permission denied"],
        )
