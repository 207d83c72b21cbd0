"""Where the manual's pages are, for messages that send an operator there."""

from __future__ import annotations

from pathlib import Path

#: Where Debian's package has them, and where a checkout has them.
FOLDERS = (Path("/usr/share/doc/promproxy/docs"), Path(__file__).parent.parent.parent / "docs")


def manual_page(name: str, folders: tuple[Path, ...] = FOLDERS) -> str:
    """The path of a page, such as ``web-config.md``; where no manual is installed, its name."""
    for folder in folders:
        if (folder / name).is_file():
            return str(folder / name)
    return f"the manual's page {name}"
