"""What several tests of the configuration need."""

from __future__ import annotations

from pathlib import Path

import yaml

from promproxy.settings.node import ConfigNode

FILE = Path("/etc/promproxy/promproxy.yml")


def node_of(text: str, **environ: str) -> ConfigNode:
    """The place of a YAML text as a whole."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return ConfigNode(
        content=node, file=FILE, line=node.start_mark.line + 1, path="", environ=environ
    )
