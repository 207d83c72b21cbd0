"""Tests of promproxy.settings.readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import ConfigError
from promproxy.secret import Secret
from promproxy.settings import readers as read
from tests.settings.support import FILE, node_of


@frozen(kw_only=True)
class Colour:
    """A schema class as small as can be."""

    name: str = read.setting(read.text, doc="")
    parts: tuple[int, ...] = read.setting(read.list_of(read.integer), default=(1,), doc="")
    key: Secret | None = read.setting(read.secret, default=None, doc="")

    def __attrs_post_init__(self) -> None:
        if self.name == "black":
            raise ValueError("name: no colour")
        if self.name == "white":
            raise ValueError("all colours")


class ReaderTests(SynchronousTestCase):
    def check(self, reader: read.Reader[Any], good: dict[str, Any], bad: dict[str, str]) -> None:
        """The values that good texts are read as, and what is said to be expected for bad ones."""
        for text, value in good.items():
            self.assertEqual(reader(node_of(text, X="5")), value, text)
        for text, expected in bad.items():
            error = self.assertRaises(ConfigError, reader, node_of(text, X="5"))
            self.assertEqual(str(error), f"{FILE}:1: expected {expected}", text)

    def test_text(self) -> None:
        """Any string; what YAML reads as something else must be quoted."""
        quoted = "a string; put it in quotes"
        self.check(
            read.text,
            {"a": "a", "''": "", "'5'": "5", "${X}": "5", "'no'": "no", '"\\0"': "\0"},
            {
                **dict.fromkeys(("5", "no", "1.5", "2024-01-01", "!x a"), quoted),
                **dict.fromkeys(("[a]", "{a: b}", "~"), "a string"),
                '"\\ud800"': "a string that UTF-8 can write",
            },
        )

    def test_text_from_a_variable_that_is_no_text(self) -> None:
        """As Python hands out a byte that is no UTF-8."""
        with self.assertRaises(ConfigError):
            read.text(node_of("${X}", X="\udcff"))

    def test_matching(self) -> None:
        """The whole string must match."""
        reader = read.matching("[a-z]+", "small letters")
        bad = dict.fromkeys(("A", "a1", "''", '"a\\n"'), "small letters")
        self.check(reader, {"abc": "abc"}, bad)

    def test_integer(self) -> None:
        """Digits, quoted or not, so that they may come from the environment."""
        bad = ("-1", "1.5", "a", "''", "1_000", "0x10", "+1", "٣", "[1]", "1" * 5000)
        self.check(
            read.integer,
            {"0": 0, "12": 12, "'12'": 12, "${X}": 5},
            dict.fromkeys(bad, "a whole number"),
        )

    def test_positive(self) -> None:
        """Not 0."""
        self.check(
            read.positive,
            {"1": 1},
            {"0": "a whole number of at least 1", "-1": "a whole number"},
        )

    def test_port(self) -> None:
        bad = dict.fromkeys(("0", "65536"), "a port from 1 to 65535")
        self.check(read.port, {"1": 1, "65535": 65535}, bad)

    def test_boolean(self) -> None:
        """Not yes and no, of which YAML has too many forms."""
        bad = dict.fromkeys(("yes", "off", "1", "''", "~", "[true]"), "true or false")
        self.check(read.boolean, {"true": True, "False": False, "'true'": True}, bad)

    def test_durations(self) -> None:
        """Seconds; positive ones must not be 0."""
        bad = {"5": "a duration such as 30s, 500ms or 1h30m", "[5s]": "a value"}
        self.check(read.duration, {"1m": 60.0, "0": 0.0, "${X}s": 5.0}, bad)
        zero = {"0s": "a duration of more than 0"}
        self.check(read.positive_duration, {"1ms": 0.001}, {**bad, **zero})

    def test_size(self) -> None:
        self.check(read.size, {"1KB": 1024, "0": 0}, {"1": "a size such as 512KB or 10MB"})

    def test_path(self) -> None:
        """A relative one starts where the file is."""
        good = {"/a": Path("/a"), "a/*.yml": FILE.parent / "a/*.yml", "${X}": FILE.parent / "5"}
        self.check(read.path, good, {"5": "a string; put it in quotes", '"a\\0"': "a path"})

    def test_one_of(self) -> None:
        """Exactly one of the words."""
        bad = dict.fromkeys(("c", "A", "''"), "one of a, b")
        self.check(read.one_of("a", "b"), {"b": "b"}, bad)

    def test_list_of_and_mapping_of(self) -> None:
        """Each item is read, and an error names the item."""
        self.check(read.list_of(read.integer), {"[]": (), "[1, 2]": (1, 2)}, {"1": "a list"})
        self.check(
            read.mapping_of(read.integer), {"{}": {}, "{a: 1}": {"a": 1}}, {"1": "a mapping"}
        )
        error = self.assertRaises(
            ConfigError, read.mapping_of(read.list_of(read.integer)), node_of("a: [1,\n x]")
        )
        self.assertEqual(str(error), f"{FILE}:2: a[1]: expected a whole number")

    def test_regex(self) -> None:
        """Compiled; what does not compile is an error, also where Python's own limits are met."""
        assert read.regex(node_of("'a.*'")).fullmatch("Abc")
        for bad in ("'('", "'a{99999999999999999999}'", f"'{'(' * 50_000}{')' * 50_000}'", "'*'"):
            error = self.assertRaises(ConfigError, read.regex, node_of(bad))
            assert str(error).startswith(f"{FILE}:1: invalid regular expression: "), error


class SecretTests(SynchronousTestCase):
    def write(self, content: bytes) -> Path:
        path = Path(self.mktemp()).absolute()
        path.write_bytes(content)
        return path

    def test_inline(self) -> None:
        """From the file itself, or the environment."""
        self.assertEqual(read.secret(node_of("a b ")).reveal(), "a b")
        self.assertEqual(read.secret(node_of("${X}", X="a b ")).reveal(), "a b ")

    def test_file(self) -> None:
        """It is read at once, so that a mistake shows before the start."""
        path = self.write(b"hunter2\n")
        self.assertEqual(read.secret_file(node_of(str(path))).reveal(), "hunter2")
        path.unlink()
        error = self.assertRaises(ConfigError, read.secret_file, node_of(str(path)))
        self.assertEqual(str(error), f"{FILE}:1: cannot read {path}: No such file or directory")


class SectionTests(SynchronousTestCase):
    def read(self, text: str) -> Colour:
        return read.section(Colour)(node_of(text))

    def failing(self, text: str) -> str:
        error = self.assertRaises(ConfigError, self.read, text)
        return str(error).removeprefix(f"{FILE}:")

    def test_all_keys(self) -> None:
        """Each is read by its own reader."""
        self.assertEqual(
            self.read("{name: red, parts: [1, 2], key: hunter2}"),
            Colour(name="red", parts=(1, 2), key=Secret("hunter2")),
        )

    def test_defaults(self) -> None:
        """A missing key takes its default."""
        self.assertEqual(self.read("name: red"), Colour(name="red", parts=(1,), key=None))

    def test_missing_key(self) -> None:
        """One without a default must be there."""
        self.assertEqual(self.failing("parts: []"), "1: 'name' is missing")

    def test_unknown_key(self) -> None:
        """The twin of a secret is a known one."""
        self.assertEqual(
            self.failing("name: red\nkey_fil: x"),
            "2: key_fil: unknown key; did you mean 'key_file'?",
        )

    def test_secret_twice(self) -> None:
        """Inline or in a file, whichever comes first."""
        for text in ("name: red\nkey: a\nkey_file: b", f"name: red\nkey_file: {__file__}\nkey: a"):
            self.assertIn("give either 'key' or 'key_file'", self.failing(text))

    def test_what_the_class_refuses(self) -> None:
        """Its own words, at the key they begin with, else at the section."""
        self.assertEqual(self.failing("\nparts: []\nname: black"), "3: name: no colour")
        self.assertEqual(self.failing("\nparts: []\nname: white"), "2: all colours")

    def test_secrets_do_not_show(self) -> None:
        """Not even that there is one."""
        self.assertEqual(repr(self.read("{name: red, key: a}")), "Colour(name='red', parts=(1,))")
