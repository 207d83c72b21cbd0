"""Which of many configuration files Debian's promtool calls good, asked in one go."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.integration.peers import need


def good_configs(files: Mapping[str, str], folder: Path) -> set[str]:
    """The names of those that ``promtool check config`` takes; they are written to the folder."""
    return _good("config", files, folder)


def good_web_configs(files: Mapping[str, str], folder: Path) -> set[str]:
    """The names of those that ``promtool check web-config`` takes."""
    return _good("web-config", files, folder)


def _good(kind: str, files: Mapping[str, str], folder: Path) -> set[str]:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [need("promtool", "prometheus"), "check", kind, *(str(folder / name) for name in files)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
    )
    told = f"{done.stdout}\n{done.stderr}"
    good = re.findall(r"SUCCESS: (\S+) is valid|^(\S+) SUCCESS", told, re.MULTILINE)
    bad = told.count("FAILED")
    if len(good) + bad != len(files):
        raise AssertionError(f"{len(files)} files: {len(good)} good, {bad} bad\n{told}")
    return {Path(one or other).name for one, other in good}
