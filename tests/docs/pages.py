"""The manual as data: the pages, and what is in one of them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from attrs import field, frozen
from markdown_it import MarkdownIt
from markdown_it.token import Token

from docs.generate import slug

CHECKOUT = Path(__file__).absolute().parent.parent.parent


@frozen
class Example:
    """A fenced block of code. ``language`` is the word behind the fence."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.page}:{self.line}"


@frozen
class Page:
    """A page in Markdown; ``name`` is its path in the checkout."""

    name: str
    text: str = field(repr=False)
    tokens: list[Token] = field(repr=False)

    @classmethod
    def of(cls, name: str, text: str) -> Page:
        """The page with this text."""
        return cls(name, text, MarkdownIt("commonmark").enable("table").parse(text))

    def headings(self) -> list[tuple[int, str]]:
        """Level and text, in order."""
        pairs = zip(self.tokens, self.tokens[1:], strict=False)
        return [
            (int(opening.tag[1:]), _text_of(inline))
            for opening, inline in pairs
            if opening.type == "heading_open"
        ]

    def anchors(self) -> set[str]:
        """Where a link into the page may lead; a heading that is there again has a number."""
        seen: Counter[str] = Counter()
        found = set()
        for _, text in self.headings():
            anchor = slug(text)
            found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
            seen[anchor] += 1
        return found

    def links(self) -> list[str]:
        """Where all links and pictures lead."""
        return [
            str(token.attrs.get("href", token.attrs.get("src")))
            for token in self._inline()
            if token.type in ("link_open", "image")
        ]

    def prose(self) -> str:
        """The text outside of code."""
        return "\n".join(token.content for token in self._inline() if token.type == "text")

    def code(self) -> list[str]:
        """All that stands between backquotes, and each fenced block."""
        spans = [token.content for token in self._inline() if token.type == "code_inline"]
        return spans + [example.text for example in self.examples()]

    def examples(self) -> list[Example]:
        """The fenced blocks."""
        return [
            Example(self.name, (token.map or [0])[0] + 1, token.info.strip(), token.content)
            for token in self.tokens
            if token.type == "fence"
        ]

    def tables(self) -> list[list[str]]:
        """The lines of each table, as they were written."""
        lines = self.text.splitlines()
        return [
            [line for line in lines[slice(*token.map)] if line.strip()]
            for token in self.tokens
            if token.type == "table_open" and token.map
        ]

    def _inline(self) -> list[Token]:
        return [child for token in self.tokens for child in token.children or []]


def _text_of(inline: Token) -> str:
    children = inline.children or []
    return "".join(child.content for child in children if child.type in ("text", "code_inline"))


def cells_of(line: str) -> int:
    """How many cells a line of a table has; a pipe in a cell is written with a backslash."""
    return len(re.findall(r"(?<!\\)\|", line.strip().strip("|")))


def all_pages() -> dict[str, Page]:
    """Every page for people that the project has, by its path in the checkout."""
    files = [
        *CHECKOUT.glob("*.md"),
        *CHECKOUT.glob("docs/**/*.md"),
        *CHECKOUT.glob("conf/**/*.md"),
    ]
    names = sorted(str(file.relative_to(CHECKOUT)) for file in files)
    return {name: Page.of(name, (CHECKOUT / name).read_text(encoding="utf-8")) for name in names}
