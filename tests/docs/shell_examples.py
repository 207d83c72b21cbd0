"""Whether an example of shell commands is right, without running them.

Our own commands are parsed as they would be; of others is checked what can be told from here.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from twisted.internet.testing import MemoryReactorClock
from twisted.python.usage import UsageError

from promproxy.cli import make_parser
from promproxy.config.schema import Config
from promproxy.daemon.service import make_daemon
from promproxy.tap import Options
from tests.docs.pages import CHECKOUT

_OPERATORS = {"|", "||", "&&", ";", "&", "(", ")"}


def check_shell(text: str, _folder: Path) -> None:
    """A script. Raises AssertionError."""
    done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in commands_of(text):
        name = Path(command[0]).name
        if name in _CHECKS:
            _CHECKS[name](command[1:])


def commands_of(text: str) -> list[list[str]]:
    """The commands as words, without variables in front and what is in pipes around them."""
    found = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in _OPERATORS:
                words.append(word)
            elif words:
                found.append(_bare(words))
                words = []
    return [words for words in found if words]


def _bare(words: list[str]) -> list[str]:
    """Without `sudo`, variables that are set for it, and where its output goes."""
    while words and (words[0] == "sudo" or re.fullmatch(r"\w+=.*", words[0])):
        words = words[1:]
    redirected = next((i for i, word in enumerate(words) if re.match("[0-9]*[<>]", word)), None)
    return words[:redirected]


def _promproxy(arguments: list[str]) -> None:
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
            make_parser().parse_args(arguments)
    except SystemExit as error:
        assert error.code == 0, f"promproxy {shlex.join(arguments)}: {output.getvalue()}"


class _OptionsAlone(Options):
    def postOptions(self) -> None:
        """The file need not be there."""


def _twistd(arguments: list[str]) -> None:
    assert "promproxy" in arguments, f"twistd runs something else: {arguments}"
    try:
        _OptionsAlone().parseOptions(arguments[arguments.index("promproxy") + 1 :])
    except UsageError as error:
        raise AssertionError(f"twistd {shlex.join(arguments)}: {error}") from error


def _make(arguments: list[str]) -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    for word in arguments:
        if "=" not in word and not word.startswith("-"):
            assert re.search(rf"^{re.escape(word)}:", makefile, re.MULTILINE), f"no target {word}"


def _python(arguments: list[str]) -> None:
    if arguments[:1] == ["-m"] and arguments[1].partition(".")[0] in ("bench", "docs", "promproxy"):
        assert find_spec(arguments[1]) is not None, f"there is no module {arguments[1]}"


def _curl(arguments: list[str]) -> None:
    for word in arguments:
        parts = urlsplit(word)
        if parts.scheme in ("http", "https") and _is_ours(parts.hostname or "", parts.port):
            first = parts.path.strip("/").partition("/")[0]
            assert first in _our_paths(), f"{word}: we have nothing at /{first}"


def _is_ours(host: str, port: int | None) -> bool:
    return "promproxy" in host or (host in ("localhost", "127.0.0.1") and port == 8080)


def _our_paths() -> set[str]:
    daemon = make_daemon(Config(), MemoryReactorClock())
    return {name.decode() for name in daemon.site.resource.listStaticNames()}


_CHECKS = {
    "promproxy": _promproxy,
    "twistd": _twistd,
    "twistd3": _twistd,
    "make": _make,
    "python": _python,
    "python3": _python,
    "curl": _curl,
}
