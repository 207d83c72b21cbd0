"""Answer heads against what was recorded of each: what httptools 0.9 made of it, but where Go's
client, and so Prometheus, takes more.

`heads.json` holds the heads of `test_framing`'s tables and damaged ones that hypothesis made, each
with what came of it, and with what came of it for an answer to HEAD where that differs.
"""

from __future__ import annotations

import json
from pathlib import Path

from attrs import astuple
from twisted.trial.unittest import SynchronousTestCase

from promproxy.errors import BadUpstream
from promproxy.http.head import parse_head

CORPUS = Path(__file__).with_name("heads.json")


def read(text: str, *, head_only: bool) -> object:
    """The fields of a head, or why it was refused, as JSON has them."""
    try:
        head = parse_head(text.encode("latin-1"), head_only=head_only)
    except BadUpstream as error:
        return str(error)
    minor, code, phrase, headers, length, keep_alive = astuple(head)
    fields = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]
    return [minor, code, phrase.decode("latin-1"), fields, length, keep_alive]


class DifferentialTests(SynchronousTestCase):
    def test_every_head_is_read_as_recorded(self) -> None:
        for text, expected, to_head in json.loads(CORPUS.read_text()):
            self.assertEqual(read(text, head_only=False), expected, text)
            self.assertEqual(read(text, head_only=True), to_head or expected, text)
