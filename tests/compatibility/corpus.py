"""Target-group documents: good, odd and bad ones, as people and generators write them."""

from __future__ import annotations

from collections.abc import Iterator

#: Texts that are JSON, and YAML as well: each is asked about as both.
JSON = r"""
[]
null
{}
0
"text"
true
[null]
[[]]
[1]
["a:1"]
[{}]
{"targets": ["a:1"]}
[{"targets": null}]
[{"targets": []}]
[{"targets": [], "labels": {"x": "1"}}]
[{"labels": {"x": "1"}}]
[{"targets": ["a:1"]}]
[{"targets": ["a:1"], "labels": null}]
[{"targets": ["a:1"], "labels": {}}]
[{"targets": ["a:1"], "labels": []}]
[{"targets": ["a:1"], "labels": "x"}]
[{"targets": ["a:1"], "labels": {"x": "1"}}]
[{"targets": ["a:1"], "labels": {"x": ""}}]
[{"targets": ["a:1"], "labels": {"x": null}}]
[{"targets": ["a:1"], "labels": {"x": ["1"]}}]
[{"targets": ["a:1"], "labels": {"x": {"y": "1"}}}]
[{"targets": ["a:1"], "labels": {"a-b": "1"}}]
[{"targets": ["a:1"], "labels": {"a.b": "1"}}]
[{"targets": ["a:1"], "labels": {"": "1"}}]
[{"targets": ["a:1"], "labels": {"1a": "1"}}]
[{"targets": ["a:1"], "labels": {"_": "1", "A9": "2"}}]
[{"targets": ["a:1"], "labels": {"é": "1"}}]
[{"targets": ["a:1"], "labels": {"x": "é ✓ \n\t\" \\"}}]
[{"targets": ["a:1"], "labels": {"x": " a "}}]
[{"targets": ["a:1", "b:1"], "labels": {"x": "1"}}, {"targets": ["c:1"]}]
[{"targets": ["a:1", "a:1"]}, {"targets": ["a:1"]}]
[{"targets": ["a:1"]}, {"targets": ["a:1"], "labels": {"x": "2"}}]
[{"targets": ["a:1"]}, null]
[{"targets": ["a:1"]}, "text"]
[{"targets": ["a:1"]}, {"targets": "b:1"}]
[{"targets": ["a:1"]}, {"targets": ["b:1"], "labels": ["x"]}]
[{"targets": ["a:1"]}, {"target": ["b:1"]}]
[{"targets": "a:1"}]
[{"targets": {"a": 1}}]
[{"targets": 7}]
[{"targets": [null, "a:1"]}]
[{"targets": [["b:1"], "a:1"]}]
[{"targets": [{"b": "1"}, "a:1"]}]
[{"targets": ["a:1"], "label": {"x": "1"}}]
[{"targets": ["a:1"], "labels": {"x": "1"}, "source": "y"}]
[{"targets": ["a:1"], "comment": "mine"}]
[{"targets": [""]}]
[{"targets": ["a"]}]
[{"targets": ["my.domain"]}]
[{"targets": ["a:0"]}]
[{"targets": ["a:65535"]}]
[{"targets": ["a:65536"]}]
[{"targets": ["a:-1"]}]
[{"targets": ["a:0080"]}]
[{"targets": ["a:http"]}]
[{"targets": ["a:"]}]
[{"targets": [":9100"]}]
[{"targets": ["node_exporter:9100", "ab--cd.example:1", "a-.b:1", "xn--zz:1", "-a:1", "a..b:1"]}]
[{"targets": ["A.Example.ORG:9100"]}]
[{"targets": ["a.example.:9100"]}]
[{"targets": ["10.0.0.1:9100", "10.0.0.1", "[::1]:9100", "[::1]", "[fe80::1]:1"]}]
[{"targets": ["::1", "::1:9100", "[::1", "::1]:9100"]}]
[{"targets": ["[fe80::1%eth0]:9100"]}]
[{"targets": ["http://a:9100", "a:9100/metrics", "a/b"]}]
[{"targets": ["a b:1", " a:1", "a:1 ", "user@a:1", "a:1?x=y", "a#b:1"]}]
[{"targets": ["é.example:1"]}]
[{"targets": ["a:1:2"]}]
[{"targets": ["a:1"], "labels": {"__scheme__": "https"}}]
[{"targets": ["a"], "labels": {"__scheme__": "https"}}]
[{"targets": ["a:1"], "labels": {"__scheme__": ""}}]
[{"targets": ["a:1"], "labels": {"__scheme__": "ftp"}}]
[{"targets": ["a"], "labels": {"__scheme__": "ftp"}}]
[{"targets": ["a:1"], "labels": {"__scheme__": "HTTPS"}}]
[{"targets": ["a:1"], "labels": {"__scheme__": null}}]
[{"targets": ["a:1"], "labels": {"__metrics_path__": "/m"}}]
[{"targets": ["a:1"], "labels": {"__metrics_path__": ""}}]
[{"targets": ["a:1"], "labels": {"__metrics_path__": "m"}}]
[{"targets": ["a:1"], "labels": {"__metrics_path__": "/"}}]
[{"targets": ["a:1"], "labels": {"__metrics_path__": "/a b/é/%41?x=1#f"}}]
[{"targets": ["a:1"], "labels": {"__metrics_path__": "//a/../b"}}]
[{"targets": ["a:1"], "labels": {"__param_module": "http_2xx", "__param_target": "https://b/?q=1&r=2"}}]
[{"targets": ["a:1"], "labels": {"__param_x": ""}}]
[{"targets": ["a:1"], "labels": {"__param_": "1"}}]
[{"targets": ["a:1"], "labels": {"__address__": "b:1"}}]
[{"targets": ["a:1"], "labels": {"instance": "mine"}}]
[{"targets": ["a:1"], "labels": {"instance": ""}}]
[{"targets": ["a:1"], "labels": {"job": "mine"}}]
[{"targets": ["a:1"], "labels": {"job": ""}}]
[{"targets": ["a:1"], "labels": {"__meta_x": "1", "__tmp": "2", "x": "3"}}]
[{"targets": ["a:1"], "labels": {"__scrape_interval__": "30s", "__scrape_timeout__": "5s"}}]
[{"targets": ["a:1"], "labels": {"le": "1", "quantile": "2", "env": "prod"}}]
[{"targets": ["a:1"], "labels": {"x": "1"}}
[{"targets": ["a:1",]}]
""".strip().splitlines()

#: Texts as only JSON files have them.
ONLY_JSON = [
    "",
    " \n",
    "[] []",
    "[]\n",
    "// none\n[]",
    '[{"targets": [5, "a:1"]}]',
    '[{"targets": [true, "a:1"]}]',
    '[{"targets": ["a:1"], "labels": {"x": 1}}]',
    '[{"targets": ["a:1"], "labels": {"x": true}}]',
    '[{"Targets": ["a:1"], "LABELS": {"x": "1"}}]',
    '[{"targets": ["a:1"], "targets": ["b:1"]}]',
    '[{"targets": ["a:1"], "labels": {"x": "1", "x": "2"}}]',
    '[{"targets": ["a:1"], "labels": {"x": "1"}, "labels": {"y": "2"}}]',
    r'[{"targets": ["a:1"], "labels": {"x": "\u00e9\ud83d\ude00"}}]',
    r'[{"targets": ["a:1"], "labels": {"x": "\ud800"}}]',
    r'[{"targets": ["\u0061:1"]}]',
    '[{"targets": ["a:1"], "labels": {"x": "a\tb"}}]',
    "[{'targets': ['a:1']}]",
    '[{"targets": ["a:1"], "labels": {"x": NaN}}]',
    '\ufeff[{"targets": ["a:1"]}]',
]

#: Texts as only YAML files have them.
ONLY_YAML = [
    "",
    "---\n",
    "---\n...\n",
    "# nothing\n",
    "~",
    "- ",
    "- targets:\n",
    "- targets: [a:1]\n",
    "- targets:\n  - a:1\n  - b:1\n  labels:\n    x: y\n",
    "- targets:\n  - 'a:1'\n  labels:\n    x: 1\n    y: 1.50\n    z: 0x10\n    o: 017\n",
    "- targets: ['a:1']\n  labels: {a: yes, b: No, c: on, d: true, e: ~, f: null, g: Null}\n",
    "- targets: ['a:1']\n  labels: {on: x, yes: y, 'null': z}\n",
    "- targets: ['a:1']\n  labels: {d: 2001-12-14, t: 12:30:45, e: 1e3, i: .inf, n: .NaN}\n",
    "- targets: ['a:1']\n  labels: {s: !!str 5, i: !!int '5'}\n",
    "- targets: ['a:1']\n  labels: {x: !custom y}\n",
    "- targets: ['a:1']\n  labels: {x: !!binary aGVsbG8=}\n",
    "- targets: [9100, a:1]\n",
    "- targets: [~, a:1]\n",
    "- targets: [a:1, yes, 1.5]\n",
    "- targets: ['a:1']\n  labels: {5: x}\n",
    "- targets: ['a:1']\n  labels: {x: |\n    text\n    more\n  }\n",
    "- targets: ['a:1']\n  labels:\n    x: |\n      text\n      more\n",
    "- targets: ['a:1']\n  labels:\n    y: >-\n      one\n      two\n",
    "- &base\n  targets: ['a:1']\n  labels: {x: y}\n- *base\n",
    "- targets: ['a:1']\n  labels: &l {x: y}\n- targets: ['b:1']\n  labels: *l\n",
    "- targets: ['a:1']\n  labels: &l {x: y, z: 1}\n"
    "- targets: ['b:1']\n  labels: {<<: *l, z: '2'}\n",
    "- targets: ['a:1']\n  labels: &l {x: y}\n"
    "- targets: ['b:1']\n  labels: {z: '2', <<: [*l, {q: r}]}\n",
    "- &b {targets: ['a:1'], labels: {x: y}}\n- {<<: *b, targets: ['b:1']}\n",
    "- targets: ['a:1']\n  labels: {<<: 5}\n",
    "- targets: ['a:1']\n  labels: {'<<': x}\n",
    "- targets: *nothing\n",
    "- targets: ['a:1']\n  targets: ['b:1']\n",
    "- targets: ['a:1']\n  labels: {x: y, x: z}\n",
    "- targets: ['a:1']\n  Labels: {x: y}\n",
    "- targets: ['a:1']\n---\n- targets: ['b:1']\n",
    "- targets: ['a:1']\n  labels: {x: 'it''s', y: \"a\\tb\\u00e9\"}\n",
    "- targets: ['a:1']\n\tlabels: {x: y}\n",
    "- targets: ['a:1'\n",
    "- targets: ['a:1']\n  labels: {x: @y}\n",
    "- targets: ['a:1']\n  labels: {? [a, b] : c}\n",
    "- targets: a:1\n",
    "targets: ['a:1']\n",
    "- ['a:1']\n",
    "%YAML 1.1\n---\n- targets: ['a:1']\n",
    "%YAML 1.2\n---\n- targets: ['a:1']\n",
    "\ufeff- targets: ['a:1']\n",
    "- targets: ['a:1'] # here\n  labels: {x: 'y'} # there\n",
    "- targets:\n  - a.example:9100 # one\n  -\n",
    "- {targets: [a:1, b:1], labels: {x: y,},}\n",
    "- targets: ['a:1']\r\n  labels:\r\n    x: y\r\n",
]

#: Bytes that are no UTF-8, by the names of their files.
BYTES = {
    "latin-1.json": b'[{"targets": ["a:1"], "labels": {"x": "\xe9"}}]',
    "latin-1.yml": b"- targets: ['a:1']\n  labels: {x: \xe9}\n",
    "utf-16.yml": "- targets: ['a:1']\n".encode("utf-16"),
    "nul.json": b'[{"targets": ["a:1"], "labels": {"x": "\x00"}}]',
    "nul.yml": b"- targets: ['a:1']\n  labels: {x: \x00}\n",
    "long.json": b'[{"targets": ["a:1"], "labels": {"x": "%b"}}]' % (b"y" * 5000),
    "deep.json": b"[" * 20000,
    "long-name.json": b'[{"targets": ["a:1"], "labels": {"%b": "x"}}]' % (b"y" * 1500),
}


def documents() -> Iterator[tuple[str, bytes]]:
    """Each document, with the name of a file that it could stand in."""
    for number, text in enumerate(JSON):
        yield f"both-{number:03}.json", text.encode()
        yield f"both-{number:03}.yml", text.encode()
    for number, text in enumerate(ONLY_JSON):
        yield f"only-{number:03}.json", text.encode()
    for number, text in enumerate(ONLY_YAML):
        yield f"only-{number:03}.yml", text.encode()
    yield from BYTES.items()
