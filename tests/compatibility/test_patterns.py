"""Patterns of target files: ``paths`` of a source against ``files`` of ``file_sd_configs``."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from promproxy.config.load import config_from_text
from promproxy.errors import ConfigError
from tests.compatibility.configs import good_configs
from tests.compatibility.oracle import by_prometheus, by_promproxy

PATTERNS = [
    *("/t/a.yml", "/t/a.yaml", "/t/a.json", "/t/*.yml", "/t/*.JSON", "/t/a.YML", "/t/a.YAML"),
    *("t/a*b.yml", "a.yml", "./a.yml", "../a.yml", "*.yml", "/t/[ab].yml", "/t/a.b.yml"),
    *("/t/a", "/t/*", "/t/a.txt", "/t/a.yml.bak", "/t/*.yml~", "/t/a.y?ml", "/t/*.y*ml", "yml"),
    *("/t/*.{yml,json}", "/t/a.ymll", "/t/a.xyml", "/t/*/a.yml", "/t/**/a.yml", "/t/*/*.yml"),
    *("/t/.yml", "/t/.a.yml", ".yml", "/t/a.Json"),
]

#: Prometheus refuses these, which have one meaning all the same.
TAKES_MORE = {
    *("/t/*/a.yml", "/t/**/a.yml", "/t/*/*.yml"),  # several folders
    "/t/a.Json",  # letters of both cases
}
#: To Prometheus these are endings without a name before them.
REFUSED = {"/t/.yml", ".yml"}


def is_taken(pattern: str) -> bool:
    config = {"sources": [{"name": "s", "files": {"paths": [pattern]}}]}
    try:
        config_from_text(json.dumps(config), Path("/promproxy.yml"), {})
    except ConfigError:
        return False
    return True


class PatternsTests(SynchronousTestCase):
    def make_folder(self) -> Path:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        return folder

    def test_hidden_files(self) -> None:
        """To Prometheus they are files too; here they are left to editors."""
        folder = self.make_folder()
        content = b'[{"targets": ["a:1"]}]'
        theirs = by_prometheus({".a.json": content, "b.json": content}, folder)
        self.assertEqual(theirs[".a.json"].targets, theirs["b.json"].targets)
        self.assertEqual(by_promproxy(folder / "*.json").targets, theirs["b.json"].targets)
        (folder / "b.json").unlink()
        self.assertEqual(by_promproxy(folder / "*.json").targets, frozenset())

    def test_patterns(self) -> None:
        """Both take a pattern or both refuse it, but for the differences that are meant."""
        folder = self.make_folder()
        files = {}
        for number, pattern in enumerate(PATTERNS):
            job = {"job_name": "j", "file_sd_configs": [{"files": [pattern]}]}
            files[f"{number}.conf"] = json.dumps({"scrape_configs": [job]})
        good = good_configs(files, folder)
        theirs = {PATTERNS[int(name.removesuffix(".conf"))] for name in good}
        ours = {pattern for pattern in PATTERNS if is_taken(pattern)}
        self.assertEqual((ours - theirs, theirs - ours), (TAKES_MORE, REFUSED))
