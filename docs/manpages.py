"""Writes the manual pages promproxy(1) and promproxy.yml(5), from the command line and the schema.

``python3 -m docs.manpages FOLDER``; the Debian package is built with it.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from docs.reference import SectionReference, Setting, kinds, sections
from promproxy import __version__
from promproxy.cli import make_parser
from promproxy.tap import Options

ABOUT = "service discovery and single-target scraping for Prometheus"


def command_page() -> Iterator[str]:
    """promproxy(1), line by line."""
    yield from _title("promproxy", 1)
    yield from ("promproxy \\- " + ABOUT, ".SH SYNOPSIS")
    yield from (".B twistd3", "\\-\\-nodaemon \\-\\-pidfile= promproxy [\\fIOPTION\\fR]...", ".br")
    yield from (".B promproxy", "\\fICOMMAND\\fR [\\fIARGUMENT\\fR]...")
    yield ".SH DESCRIPTION"
    yield from _paragraph(
        "promproxy gives Prometheus a discovery document, /discovery, that lists targets which "
        "Prometheus cannot reach by itself, and one URL for each target, below "
        "/singleTargetMetrics/, which is passed on to exactly that target. The daemon is a plugin "
        "of Twisted's twistd, which is called twistd3 on Debian; there it runs as the service "
        "promproxy. The command promproxy is for what goes with it."
    )
    yield ".SH OPTIONS OF THE DAEMON"
    for name, short, default, text in Options.optParameters:
        options = f"-{short}, --{name}" if short else f"--{name}"
        yield from _item(
            f"``{options}`` <{name}>", f"{text} Default: {default}" if default else text
        )
    yield ".SH COMMANDS"
    for command, summary, parser in _commands():
        yield f".SS promproxy {_escape(command)}"
        yield from _paragraph(_sentence(summary))
        for action in parser._actions:
            if action.dest != "help":
                yield from _item(_invocation(action), _sentence(action.help or ""))
    yield ".SH SIGNALS"
    yield from _item(
        "SIGHUP", "The daemon reads its configuration again; a bad one changes nothing."
    )
    yield from _item("``SIGTERM``", "It answers what is under way for some seconds, and ends.")
    yield ".SH EXIT STATUS"
    yield from _paragraph("0 where it worked; 1, and a line on stderr, where not; 2 for bad usage.")
    yield ".SH FILES"
    yield from _item("``/etc/promproxy/promproxy.yml``", "The configuration: promproxy.yml(5).")
    yield from _item(
        "/etc/promproxy/targets/", "Target files, as the installed configuration has it."
    )
    yield from _item("``/etc/default/promproxy``", "Options and variables of the service.")
    yield from _item("``/var/lib/promproxy/``", "What the service saves.")
    yield from (".SH SEE ALSO", ".BR promproxy.yml (5),", ".BR twistd3 (1),", ".BR prometheus (1)")


def configuration_page() -> Iterator[str]:
    """promproxy.yml(5), line by line."""
    yield from _title("promproxy.yml", 5)
    yield from ("promproxy.yml \\- configuration of promproxy", ".SH DESCRIPTION")
    yield from _paragraph(
        "A YAML file. Keys that are not described here are errors. Durations and sizes are written "
        "as Prometheus writes them, such as 1m30s and 10MB. In every string ${NAME} is replaced "
        "by that variable of the environment, and $$ by a dollar sign. Relative paths are relative "
        "to the file. Where a setting NAME is a secret, NAME_file may name a file that holds it."
    )
    yield from _paragraph("promproxy check FILE tells whether a file can be used.")
    for section in sections():
        yield from _section(section)
    yield ".SH KINDS OF VALUES"
    for name, doc in kinds().items():
        yield from _item(f"<{name}>", doc)
    yield from (".SH SEE ALSO", ".BR promproxy (1)")


def _title(name: str, section: int) -> Iterator[str]:
    yield f'.TH "{name.upper()}" "{section}" "" "promproxy {__version__}" ""'
    yield ".SH NAME"


def _section(section: SectionReference) -> Iterator[str]:
    first, *others = section.places
    yield f".SH {_escape(first)}" if first else ".SH THE FILE AS A WHOLE"
    if first:
        yield from _paragraph(section.doc)
    if others:
        yield from _paragraph(f"Also at {', '.join(others)}.")
    for setting in section.settings:
        yield from _setting(setting)


def _setting(setting: Setting) -> Iterator[str]:
    names = f"{setting.name}, {setting.name}_file" if setting.has_file else setting.name
    default = ""
    if setting.default is None:
        default = " It must be given."
    elif setting.default:
        default = f" Default: {setting.default}"
    yield from _item(f"``{names}``: {setting.kind}", _sentence(setting.doc) + default)


def _commands() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Name, summary and parser of each."""
    for action in make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                yield choice.dest, choice.help or "", action.choices[choice.dest]


def _invocation(action: argparse.Action) -> str:
    value = action.metavar or action.dest.upper()
    if not action.option_strings:
        return str(value)
    options = ", ".join(action.option_strings)
    return f"``{options}``" if action.nargs == 0 else f"``{options}`` {value}"


def _item(term: str, text: str) -> Iterator[str]:
    yield from (".TP", _escape(term), _escape(text))


def _paragraph(text: str) -> Iterator[str]:
    yield ".PP"
    yield _escape(text)


def _sentence(text: str) -> str:
    """A text that goes without a capital and a full stop elsewhere."""
    if not text:
        return ""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _escape(text: str) -> str:
    """Text as roff has it; what stands between double backquotes becomes bold."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    text = re.sub("``(.*?)``", r"\\fB\1\\fR", text)
    return f"\\&{text}" if text.startswith(".") else text


def main() -> None:
    """Write both into the folder that the command line names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"promproxy.1": command_page(), "promproxy.yml.5": configuration_page()}
    for name, lines in pages.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
