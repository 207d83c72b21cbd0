"""Tests of promproxy.sources.files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import SourceError
from promproxy.sources.files import FilesSource
from promproxy.sources.groups import GroupRules
from promproxy.targets.target import Delivery
from tests.fakes import ManualThread, at_once, settle

GROUPS = [{"targets": ["a.example:9100", "b.example:9100"], "labels": {"zone": "x"}}]


class FilesTestCase(SynchronousTestCase):
    """A folder, and a source that reads it."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.clock = Clock()

    def source(self, *globs: str, in_thread: Any = at_once) -> FilesSource:
        paths = tuple(self.folder / one for one in globs)
        return FilesSource("vms", 5.0, paths, GroupRules(source="vms"), self.clock, in_thread)

    def write(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.write_text(content)
        return path

    def write_targets(self, name: str, *addresses: str) -> Path:
        return self.write(name, json.dumps([{"targets": addresses}]))

    def ask(self, source: FilesSource) -> Deferred[Delivery]:
        asked = Deferred.fromCoroutine(source.targets())
        settle(self.clock)
        return asked

    def deliver(self, source: FilesSource) -> Delivery:
        return self.successResultOf(self.ask(source))

    def instances(self, source: FilesSource) -> list[str]:
        return [target.instance for target in self.deliver(source).targets]

    def error(self, source: FilesSource) -> str:
        """The message of the refresh that fails, without the folder's name."""
        failure = self.failureResultOf(self.ask(source))
        failure.trap(SourceError)
        return str(failure.value).replace(f"{self.folder}/", "")


class ReadTests(FilesTestCase):
    """What is in the files."""

    def test_json_and_yaml_say_the_same(self) -> None:
        """Both are file_sd groups."""
        self.write("a.json", json.dumps(GROUPS))
        self.write(
            "b.yml",
            "- targets:\n  - a.example:9100\n  - b.example:9100\n  labels: {zone: x}\n",
        )
        self.write("c.yaml", (self.folder / "b.yml").read_text())
        for name in ("a.json", "b.yml", "c.yaml"):
            first, second = self.deliver(self.source(name)).targets
            self.assertEqual(first.id, "vms/a.example:9100")
            self.assertEqual(second.url, "http://b.example:9100/metrics")
            path = str(self.folder / name)
            self.assertEqual(first.labels, {"zone": "x", "__meta_filepath": path})

    def test_globs_are_read_in_the_order_of_the_paths_and_each_file_once(self) -> None:
        """Whichever glob found it."""
        self.write_targets("b.json", "b:1")
        self.write_targets("a.json", "a:1")
        self.write_targets("c.txt", "c:1")
        self.assertEqual(self.instances(self.source("*.json", "b.json")), ["a:1", "b:1"])

    def test_glob_without_a_match_is_an_empty_delivery(self) -> None:
        """Files may come later; a folder may be missing as well. Each is remarked on."""
        source = self.source("*.json", "nowhere/*.yml", "missing.yml")
        delivery = self.deliver(source)
        self.assertEqual(delivery.targets, ())
        self.assertEqual(
            [(r.kind, r.what.replace(f"{self.folder}/", ""), r.why) for r in delivery.remarks],
            [
                ("selects_nothing", "paths: *.json", "no file matches"),
                (
                    "selects_nothing",
                    "paths: nowhere/*.yml",
                    f"no such folder: {self.folder}/nowhere",
                ),
                ("selects_nothing", "paths: missing.yml", "no file matches"),
            ],
        )
        self.assertIs(self.deliver(source), delivery)

    def test_empty_files_hold_no_targets(self) -> None:
        """An empty YAML file, or one of comments, as a tool may leave it behind."""
        self.write("a.yml", "")
        self.write("b.yml", "# nothing yet\n")
        self.write("c.json", "[]")
        self.assertEqual(self.deliver(self.source("*")), Delivery(()))

    def test_what_is_left_out_is_named(self) -> None:
        """The rest is delivered."""
        self.write("a.yml", "- {targets: ['a:1', 'no host'], labels: {'a-b': x}}")
        delivery = self.deliver(self.source("a.yml"))
        self.assertEqual([target.instance for target in delivery.targets], ["a:1"])
        reasons = [dropped.reason for dropped in delivery.dropped]
        self.assertEqual(reasons, ["label_name", "target_address"])

    def test_what_is_no_file(self) -> None:
        """A pipe would keep the thread that opens it for ever, and the process from stopping."""
        os.mkfifo(self.folder / "a.yml")
        (self.folder / "b.yml").symlink_to("/dev/zero")
        for name in ("a.yml", "b.yml"):
            error = self.error(self.source(name))
            self.assertEqual(error, f"cannot read {name}: it is not a regular file")


class ChangeTests(FilesTestCase):
    """When files are read again."""

    def setUp(self) -> None:
        super().setUp()
        self.path = self.write_targets("a.json", "a:1")
        self.thread = ManualThread()
        self.files = self.source("*.json", in_thread=self.thread)
        self.first = self.refresh()

    def refresh(self) -> Delivery:
        """Ask; `self.steps` are then the number of times that a thread was needed."""
        asked = Deferred.fromCoroutine(self.files.targets())
        self.steps = 0
        while self.thread.waiting:
            self.steps += 1
            self.thread.run()
            settle(self.clock)
        return self.successResultOf(asked)

    def touch(self, mtime_ns: int) -> None:
        os.utime(self.path, ns=(mtime_ns, mtime_ns))

    def test_all_disk_access_is_in_the_thread(self) -> None:
        """Once to look, once to read."""
        asked = Deferred.fromCoroutine(self.source("*", in_thread=self.thread).targets())
        self.assertNoResult(asked)
        self.assertEqual(self.steps, 2)
        self.assertEqual(len(self.thread.waiting), 1)

    def test_unchanged_files_are_not_read_and_the_delivery_is_the_same_object(self) -> None:
        """Looking is all that it costs."""
        self.assertIs(self.refresh(), self.first)
        self.assertEqual(self.steps, 1)

    def test_new_mtime(self) -> None:
        """Of the same size, written in place."""
        self.path.write_text(self.path.read_text().replace("a:1", "b:1"))
        self.touch(10**18)
        self.assertEqual([t.instance for t in self.refresh().targets], ["b:1"])

    def test_new_inode_with_the_old_mtime_and_size(self) -> None:
        """Replaced by a rename within one tick of the clock, or by a copy that keeps times."""
        before = self.path.stat()
        new = self.write_targets("new", "b:1")
        new.replace(self.path)
        self.touch(before.st_mtime_ns)
        self.assertEqual(self.path.stat().st_size, before.st_size)
        self.assertEqual([t.instance for t in self.refresh().targets], ["b:1"])

    def test_new_size_with_the_old_mtime(self) -> None:
        """Appended to within one tick of the clock."""
        before = self.path.stat()
        self.write_targets("a.json", "a:1", "b:1")
        self.touch(before.st_mtime_ns)
        self.assertEqual([t.instance for t in self.refresh().targets], ["a:1", "b:1"])

    def test_file_that_comes_and_goes(self) -> None:
        """The set of files counts too."""
        other = self.write_targets("b.json", "b:1")
        self.assertEqual(len(self.refresh().targets), 2)
        other.unlink()
        self.assertEqual(len(self.refresh().targets), 1)
        self.path.unlink()
        self.assertEqual(self.refresh().targets, ())

    def test_broken_file_is_read_again_until_it_is_whole(self) -> None:
        """The last good delivery comes back when the old file does."""
        content = self.path.read_text()
        before = self.path.stat()
        for _ in "12":
            self.path.write_text("[{")
            asked = Deferred.fromCoroutine(self.files.targets())
            self.thread.run()
            self.thread.run()
            settle(self.clock)
            self.failureResultOf(asked).trap(SourceError)
        self.path.write_text(content)
        self.touch(before.st_mtime_ns)
        self.assertEqual(self.refresh(), self.first)


class ErrorTests(FilesTestCase):
    """Files that cannot be used: one message that names the file."""

    def check(self, name: str, content: str, message: str) -> None:
        self.write(name, content)
        self.assertEqual(self.error(self.source(name)), message)

    def test_no_json(self) -> None:
        self.check(
            "a.json",
            '[{"targets": ["a:1"}]',
            "a.json: invalid JSON: Expecting ',' delimiter: line 1 column 20 (char 19)",
        )

    def test_no_yaml(self) -> None:
        self.check(
            "a.yml",
            "- targets: [a:1]\n- targets: ]\n",
            "a.yml:2: invalid YAML: did not find expected node content",
        )

    def test_yaml_scalars_are_strings(self) -> None:
        """As for Prometheus; and so no tag can make anything else of them."""
        labels = "{shard: 1, on: yes, day: 2020-13-45, tagged: !!timestamp x}"
        self.write("a.yml", f"- {{targets: ['a:1'], labels: {labels}}}\n")
        (target,) = self.deliver(self.source("a.yml")).targets
        expected = {"shard": "1", "on": "yes", "day": "2020-13-45", "tagged": "x"}
        labels_found = dict(target.labels)
        self.assertEqual(labels_found.pop("__meta_filepath"), str(self.folder / "a.yml"))
        self.assertEqual(labels_found, expected)

    def test_yaml_null_is_no_label(self) -> None:
        """However it is spelled, but for a quoted one."""
        self.write("a.yml", "- {targets: ['a:1'], labels: {a: ~, b: null, c: , d: 'null'}}\n")
        (target,) = self.deliver(self.source("a.yml")).targets
        self.assertEqual({k: v for k, v in target.labels.items() if len(k) == 1}, {"d": "null"})

    def test_yaml_merge_keys(self) -> None:
        """In labels and in groups; what a mapping says itself counts more, the first merge next."""
        self.write(
            "a.yml",
            "- &base {targets: ['a:1'], labels: &labels {env: prod, zone: x}}\n"
            "- <<: *base\n  targets: ['b:1']\n"
            "- targets: ['c:1']\n  labels: {<<: [{zone: z}, *labels], env: test}\n",
        )
        found = {
            t.instance: (t.labels["env"], t.labels["zone"])
            for t in self.deliver(self.source("a.yml")).targets
        }
        expected = {"a:1": ("prod", "x"), "b:1": ("prod", "x"), "c:1": ("test", "z")}
        self.assertEqual(found, expected)

    def test_yaml_merges_that_would_grow_without_end(self) -> None:
        """Each doubles the one before; and one that merges itself."""
        lines = ["- &a0 {targets: [], labels: {a: b}}"]
        lines += [f"- &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 60)]
        self.write("a.yml", "\n".join(lines))
        self.assertEqual(self.deliver(self.source("a.yml")).targets, ())
        self.check("b.yml", "- &a\n  <<: *a\n", "b.yml: invalid YAML: RecursionError")

    def test_yaml_key_that_is_there_twice(self) -> None:
        """Prometheus refuses it too."""
        message = "a.yml:2: invalid YAML: the key 'targets' is there twice"
        self.check("a.yml", "- targets: []\n  targets: []\n", message)

    def test_second_yaml_document(self) -> None:
        self.write("a.yml", "- targets: ['a:1']\n---\n- targets: ['b:1']\n")
        self.assertEqual(self.instances(self.source("a.yml")), ["a:1"])

    def test_documents_without_groups(self) -> None:
        for name, content in (("a.json", "null"), ("a.yml", "---\n"), ("b.yml", "~\n")):
            self.write(name, content)
        for name, content in (("c.json", '[{"targets": null}]'), ("d.yml", "- labels: {a: b}\n")):
            self.write(name, content)
        self.assertEqual(self.deliver(self.source("*")), Delivery(()))

    def test_json_as_go_reads_it(self) -> None:
        """Members in any case, and what is no UTF-8 replaced."""
        path = self.folder / "a.json"
        path.write_bytes(b'[{"Targets": ["a:1"], "LABELS": {"a": "\xff"}}]')
        (target,) = self.deliver(self.source("a.json")).targets
        self.assertEqual(target.labels["a"], "\ufffd")

    def test_endings_in_capitals(self) -> None:
        """As Prometheus takes them; what is in the file goes by them."""
        self.write("a.JSON", json.dumps(GROUPS))
        self.write("b.YML", "- targets: [c:1]")
        self.assertEqual(len(self.instances(self.source("a.JSON", "b.YML"))), 3)
        self.write("b.JSON", "- targets: [c:1]")
        self.assertIn("invalid JSON", self.error(self.source("b.JSON")))

    def test_half_a_character(self) -> None:
        """Is replaced in JSON, as Go does."""
        self.write(
            "a.json", r'[{"targets": ["a:1"], "labels": {"a": "x\ud800y", "b": "\ud83d\ude00"}}]'
        )
        (target,) = self.deliver(self.source("*")).targets
        self.assertEqual((target.labels["a"], target.labels["b"]), ("x\ufffdy", "\U0001f600"))

    def test_yaml_in_utf_16(self) -> None:
        """As PowerShell writes it."""
        for encoding in ("utf-16-le", "utf-16-be"):
            text = "\ufeff- targets: ['a:1']\n"
            (self.folder / f"{encoding}.yml").write_bytes(text.encode(encoding))
            self.assertEqual(self.instances(self.source(f"{encoding}.yml")), ["a:1"])

    def test_yaml_binary(self) -> None:
        """What the tag says; base64 that is wrong is a mistake of the file."""
        self.write("a.yml", "- {targets: ['a:1'], labels: {a: !!binary aGVs bG8=}}\n")
        (target,) = self.deliver(self.source("*")).targets
        self.assertEqual(target.labels["a"], "hello")
        self.write("b.yml", "- {targets: ['a:1'], labels: {a: !!binary aGVsb}}\n")
        self.assertIn("b.yml:1: invalid YAML: not base64", self.error(self.source("b.yml")))

    def test_yaml_makes_no_objects(self) -> None:
        """Whatever a tag asks for."""
        self.write("a.yml", "- !!python/object/apply:os.getcwd []\n")
        self.assertIn("group 1 is not a mapping", self.error(self.source("*")))

    def test_other_shapes(self) -> None:
        """The group is named by its number."""
        self.check("a.yml", "targets: [a:1]\n", "a.yml: no list of target groups")
        self.check("a.json", "{}", "a.json: invalid JSON: Expecting '[': line 1 column 1 (char 0)")
        message = "a.json: group 1 is not a mapping with 'targets' and 'labels'"
        self.check("a.json", "[7]", message)

    def test_bad_group_beside_a_good_one(self) -> None:
        """It is left out and named."""
        self.write("a.json", '[{"targets": ["a:1"]}, 7]')
        delivery = self.deliver(self.source("*"))
        self.assertEqual([target.instance for target in delivery.targets], ["a:1"])
        self.assertEqual([dropped.reason for dropped in delivery.dropped], ["group"])

    def test_no_utf_8(self) -> None:
        """The position in bytes."""
        (self.folder / "a.yml").write_bytes(b"- targets: [\xff]")
        self.assertEqual(self.error(self.source("a.yml")), "a.yml: not UTF-8 at byte 12")

    def test_unreadable(self) -> None:
        """A link to nowhere, a folder."""
        (self.folder / "a.yml").symlink_to("nowhere")
        self.assertEqual(
            self.error(self.source("*.yml")), "cannot read a.yml: No such file or directory"
        )
        (self.folder / "b.json").mkdir()
        self.assertEqual(
            self.error(self.source("b.json")), "cannot read b.json: it is not a regular file"
        )

    def test_one_bad_file_keeps_its_last_good_targets(self) -> None:
        """The others go on, and a remark names it until it is good again."""
        self.write_targets("a.json", "a:1")
        self.write_targets("b.json", "b:1")
        source = self.source("*.json")
        self.deliver(source)
        self.write("b.json", "")
        self.write_targets("a.json", "a:1", "a:2")
        self.assertEqual(self.instances(source), ["a:1", "a:2", "b:1"])
        (remark,) = self.deliver(source).remarks
        self.assertEqual((remark.kind, remark.what), ("unreadable", str(self.folder / "b.json")))
        self.assertIn("invalid JSON: ", remark.why)
        self.assertIn("its last good targets stay", remark.why)
        self.assertIs(self.deliver(source), self.deliver(source))
        self.write_targets("b.json", "b:2")
        self.assertEqual(self.instances(source), ["a:1", "a:2", "b:2"])
        self.assertEqual(self.deliver(source).remarks, ())

    def test_one_bad_file_after_a_restart(self) -> None:
        """It has the targets that were saved, as far as its own."""
        self.write_targets("a.json", "a:1")
        self.write_targets("b.json", "b:1")
        saved = self.deliver(self.source("*.json"))
        (self.folder / "b.json").unlink()
        (self.folder / "b.json").symlink_to("nowhere")
        self.write_targets("a.json", "a:2")
        source = self.source("*.json")
        source.restore(saved)
        self.assertEqual(self.instances(source), ["a:2", "b:1"])

    def test_one_bad_file_from_the_start(self) -> None:
        self.write_targets("a.json", "a:1")
        self.write("b.json", "")
        delivery = self.deliver(self.source("*.json"))
        self.assertEqual([t.instance for t in delivery.targets], ["a:1"])
        self.assertIn("it has no targets yet", delivery.remarks[0].why)
