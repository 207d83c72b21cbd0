"""The settings of files that we write."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from promproxy.settings.readers import (
    path,
    setting,
)


@frozen(kw_only=True)
class FileSd:
    """The discovery document as a file."""

    path: Path = setting(path, doc="the file, for file_sd_configs; its name ends in .json")

    def __attrs_post_init__(self) -> None:
        if self.path.suffix != ".json":
            raise ValueError("path: must end in .json, which tells Prometheus what is in it")
