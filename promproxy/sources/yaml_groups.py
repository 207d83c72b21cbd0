"""Target groups in YAML, read as Prometheus reads them.

Its fields are strings, so ``shard: 1`` is a label with the value "1" and ``on: yes`` is one called
"on"; only the merge key and null mean more than they spell (YAML 1.1).
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_MERGE, _NULL = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:null"
_BINARY = "tag:yaml.org,2002:binary"


# libyaml reads 10 000 groups in 0.3 s, PyYAML's own parser takes 1.7 s.
class _Loader(getattr(yaml, "CBaseLoader", yaml.BaseLoader)):  # type: ignore[misc]
    """Tells the merge key and null from other plain text."""


_resolve: Any = _Loader.add_implicit_resolver
_resolve(_MERGE, re.compile(r"<<\Z"), ["<"])
_resolve(_NULL, re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])


def yaml_document(text: str) -> Any:
    """The first document, of strings, lists, mappings and None; None where it is empty.

    Raises yaml.YAMLError, RecursionError.
    """
    loader = _Loader(text)
    return _build(loader.get_node(), {}) if loader.check_node() else None


def _build(node: Node, built: dict[Node, Any]) -> Any:
    """What a node stands for; each is ``built`` once, however many aliases it has."""
    if isinstance(node, ScalarNode):
        return _text(node)
    if node in built:
        return built[node]
    if isinstance(node, SequenceNode):
        built[node] = [_build(item, built) for item in node.value]
        return built[node]
    own: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key, value in node.value:
        if key.tag == _MERGE:
            for source in value.value if isinstance(value, SequenceNode) else [value]:
                if not isinstance(source, MappingNode):
                    raise _error("only mappings can be merged", source)
                merged = {**_build(source, built), **merged}  # the first one counts
        elif not isinstance(key, ScalarNode):
            raise _error("a key is not a string", key)
        elif key.value in own:
            raise _error(f"the key {key.value[:80]!r} is there twice", key)
        else:
            own[key.value] = _build(value, built)
    built[node] = {**merged, **own}
    return built[node]


def _text(node: ScalarNode) -> str | None:
    if node.tag == _NULL:
        return None
    if node.tag == _BINARY:
        try:
            return b64decode("".join(node.value.split()), validate=True).decode(errors="replace")
        except ValueError as error:
            raise _error("not base64", node) from error
    return str(node.value)


def _error(problem: str, node: Node) -> ConstructorError:
    return ConstructorError(None, None, problem, node.start_mark)
