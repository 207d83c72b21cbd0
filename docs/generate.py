"""Writes those parts of the manual that follow from the code. Run by ``make docs``.

A page holds a generated part between two comments, ``<!-- generated: NAME -->`` and
``<!-- end of NAME -->``. A test fails where a page is not up to date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from docs.costs import costs
from docs.reference import SectionReference, Setting, kinds, sections
from promproxy.config.schema import Config
from promproxy.migration.promregator_options import OPTIONS
from promproxy.server.settings import WebFile

HERE = Path(__file__).absolute().parent


def reference_of(whole: type) -> Iterator[str]:
    """The reference of a file, by its schema class."""
    for section in sections(whole):
        yield f"### {_heading(section.places[0])}"
        yield ""
        yield from _introduction(section)
        yield "| setting | value | default | what it does |"
        yield "|---|---|---|---|"
        yield from (_row(setting) for setting in section.settings)
        yield ""
    yield "### Kinds of values"
    yield ""
    yield "| kind | what may be written |"
    yield "|---|---|"
    for name, doc in kinds(whole).items():
        yield f"| {_cell(f'<{name}>')} | {_cell(doc.rstrip('.'))} |"


def promregator_options() -> Iterator[str]:
    """What the import makes of each option of Promregator."""
    yield "| option | in promproxy.yml |"
    yield "|---|---|"
    for option in OPTIONS:
        becomes = f"`{option.becomes}`" if option.becomes else f"none: {option.why}"
        yield f"| `{option.name}` | {becomes} |"


def _heading(place: str) -> str:
    return f"`{place}`" if place else "The file as a whole"


def _introduction(section: SectionReference) -> Iterator[str]:
    if section.places != ("",):
        yield _code(section.doc)
        yield ""
    if len(section.places) > 1:
        yield f"Also at {', '.join(f'`{place}`' for place in section.places[1:])}."
        yield ""


def _row(setting: Setting) -> str:
    name = f"`{setting.name}`" + (f", `{setting.name}_file`" if setting.has_file else "")
    kind = _cell(setting.kind)
    if setting.section:
        link = f"[section](#{slug(_heading(setting.section))})"
        kind = kind.replace("section", link)
    default = "must be given" if setting.default is None else ""
    if setting.default:
        default = f"`{_cell(setting.default)}`"
    return f"| {name} | {kind} | {default} | {_cell(setting.doc)} |"


def _cell(text: str) -> str:
    """Text of a docstring for a cell of a table."""
    text = _code(text).replace("|", "\\|")
    return re.sub("<([a-z_]+)>", r"`<\1>`", text) if "`<" not in text else text


def _code(text: str) -> str:
    return text.replace("``", "`")


def slug(heading: str) -> str:
    """The anchor that a forge gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


PARTS: Mapping[str, tuple[Path, Callable[[], Iterator[str]]]] = {
    "configuration": (HERE / "configuration.md", partial(reference_of, Config)),
    "web-config": (HERE / "web-config.md", partial(reference_of, WebFile)),
    "promregator-options": (HERE / "migrating.md", promregator_options),
    "costs": (HERE / "capacity.md", costs),
}


def renewed(page: str, name: str, lines: Iterator[str]) -> str:
    """A page with its generated part made anew."""
    begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return "\n".join([before + begin, *lines, end + after])


def main() -> None:
    """Renew all pages."""
    for name, (file, lines) in PARTS.items():
        page = file.read_text(encoding="utf-8")
        file.write_text(renewed(page, name, lines()), encoding="utf-8")


if __name__ == "__main__":
    main()
