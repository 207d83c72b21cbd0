"""Every parser of outside data: it reads what it is given, or refuses it as it promises to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from attrs import frozen
from twisted.web.http_headers import Headers

from promproxy.config.load import config_from_text
from promproxy.disk.saved_state import decode
from promproxy.errors import BadUpstream, ConfigError, SourceError, StateError
from promproxy.exposition.openmetrics import to_text
from promproxy.exposition.text import BadExposition
from promproxy.http.head import parse_head
from promproxy.migration.promregator import import_promregator
from promproxy.migration.secrets import Secrets
from promproxy.migration.spring_files import settings_from
from promproxy.outbound.fetch import Answer
from promproxy.outbound.networks import network
from promproxy.outbound.no_proxy import NoProxy
from promproxy.outbound.oauth2 import token_from
from promproxy.server.absolute import is_own, read_absolute, split_absolute
from promproxy.server.answers import accepts_gzip
from promproxy.server.head import (
    AUTHORIZATION,
    RequestRefused,
    parse_request_head,
    read_fields,
    split_head,
    take_credentials,
)
from promproxy.server.passwords import credentials_in
from promproxy.server.settings import WebFile
from promproxy.settings.load import section_from_text
from promproxy.settings.units import duration_from_text, size_from_text
from promproxy.sources.cloud_foundry import lists
from promproxy.sources.cloud_foundry.label_selector import parse_label_selector
from promproxy.sources.cloud_foundry.resources import (
    app_from_json,
    domain_from_json,
    organization_from_json,
    process_from_json,
    route_from_json,
    space_from_json,
)
from promproxy.sources.cloud_foundry.verdict import classify
from promproxy.sources.files import _yaml_groups
from promproxy.sources.groups import GroupRules, targets_from_groups
from promproxy.sources.json_array import JsonReader, json_array_elements
from promproxy.sync.groups import target_counts
from promproxy.targets.document import EntryStyle, document_for, valid_address
from promproxy.targets.target import Target
from promproxy.tunnel.exchange import is_host_name
from tests.disk.test_saved_state import STATE, encode
from tests.exposition.support import exactly, meaning, result_of, rewritten
from tests.fuzz.mutation import mutated

TESTS = Path(__file__).parent.parent
FILE = Path("/nowhere/file.yml")

GROUPS = json.dumps(
    [
        {
            "targets": ["10.0.0.1:9100", "[::1]:80", "host.example.org:443"],
            "labels": {
                "__metrics_path__": "/m",
                "__param_a": "b",
                "env": "é",
                "__scheme__": "https",
            },
        },
        {"targets": [], "labels": None},
    ]
).encode()
HEAD = (
    b"GET /singleTargetMetrics/vms/a:1?x=y HTTP/1.1\r\nHost: p:8080\r\nAccept: text/plain\r\n"
    b"Authorization: Basic dTpw\r\nContent-Length: 5\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
)
RULES = GroupRules(source="vms", allowed_hosts=("*.example.org", "10.*"))
READERS: Mapping[str, Callable[[Any], Any]] = {
    "organizations": organization_from_json,
    "spaces": space_from_json,
    "apps": app_from_json,
    "processes": process_from_json,
    "routes": route_from_json,
    "domains": domain_from_json,
}


@frozen
class Parser:
    """What it is given is like the samples. It may raise nothing but ``refusals``."""

    samples: tuple[bytes, ...]
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = ()


def text(data: bytes) -> str:
    """As whoever reads a file or an answer has it."""
    return data.decode("utf-8", "replace")


def render(groups: Iterable[object]) -> None:
    """Targets of groups, and the document that they become, which Prometheus must accept."""
    found = [t for t in targets_from_groups(groups, RULES) if isinstance(t, Target)]
    document = document_for([EntryStyle().target_entry(target) for target in found], "p:1").body
    assert sum(target_counts(document)) == len(found)


def recorded(*names: str) -> tuple[bytes, ...]:
    """Answers of a real API."""
    files = (TESTS / "data/cf" / f"{name}.json" for name in names)
    return tuple(file.read_bytes() for file in files)


def answer(data: bytes) -> Answer:
    """An answer of a status that the data decides too."""
    status = (200, 400, 401, 403, 429, 503)[len(data) % 6]
    fields = {"Retry-After": [text(data[:9])], "Content-Type": ["application/json"]}
    return Answer(status, Headers(fields), data)


def read_page(data: bytes) -> None:
    """A page of a list of the API, for every kind of resource."""
    for reader in READERS.values():
        parsers = {"resources": reader, **READERS}
        found: Any = {kind: {} for kind in parsers}
        try:
            for _ in lists._read_page(JsonReader(text(data)), lists._Page(), parsers, found):
                pass
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # see Lists._take
            str(error)


def read_request(data: bytes) -> None:
    """A request head; what is accepted has none of its lines run into another."""
    first, lines = split_head(data.partition(b"\r\n\r\n")[0])
    lines, _ = take_credentials(lines, AUTHORIZATION)
    head = parse_request_head(first, read_fields(lines), lambda path: True)
    for name, values in head.fields.by_name.items():
        assert not set(b"\r\n\0") & set(name + b"".join(values)), head
    read_absolute(head.uri)
    is_own(*split_absolute(head.uri)[:1], "p:1", "h", 80)


def relabelled(data: bytes) -> None:
    """By the fast way and by the exact one: both refuse it, or both make the same of it."""
    if not data.endswith(b"\n"):  # which the fast way adds first
        data += b"\n"
    found: list[object] = []
    for read in (rewritten, exactly):
        try:
            found.append(meaning(read(data).text))
        except BadExposition:
            found.append(None)
    assert found[0] == found[1], data


def migrate(data: bytes) -> None:
    """A configuration of Promregator's."""
    settings = settings_from(text(data), FILE)
    import_promregator(settings, Secrets())


CF_LISTS = recorded(
    "apps_include", "spaces_include", "routes_include", "processes", "organizations"
)
CONFIGS = tuple((TESTS / "config" / name).read_bytes() for name in ("good.yml",))
PARSERS: Mapping[str, Parser] = {
    "json groups": Parser(
        (GROUPS,),
        lambda data: render(json_array_elements(text(data))),
        (ValueError, SourceError),
    ),
    "yaml groups": Parser(
        (GROUPS, b"- targets: [a:1]\n  labels: {a: b, c: 1, d: 2024-01-01}\n"),
        lambda data: render(_yaml_groups(text(data), FILE)),
        (SourceError,),
    ),
    "sync": Parser((GROUPS,), lambda data: list(target_counts(data)), (SourceError,)),
    "cf lists": Parser(CF_LISTS, read_page),
    "cf answers": Parser(
        recorded("error_400", "error_401", "error_429", "error_500", "info", "error_400_per_page"),
        lambda data: classify(answer(data), 0.0),
    ),
    "tokens": Parser(
        recorded("token", "token_refresh", "token_error"),
        lambda data: token_from(answer(data)),
        (ValueError,),
    ),
    "label selectors": Parser(
        (b"a=b,c!=d", b"a in (b, c),!d,e notin (f)", b"example.org/a==b"),
        lambda data: parse_label_selector(text(data)),
        (ValueError,),
    ),
    "configuration": Parser(
        CONFIGS, lambda data: repr(config_from_text(text(data), FILE, {})), (ConfigError,)
    ),
    "web configuration": Parser(
        (
            b"basic_auth_users: {a: $2y$05$" + b"a" * 53 + b"}\n"
            b"http_server_config: {http2: true, headers: {X-Frame-Options: deny}}\n",
            b"tls_server_config: {cert_file: a, key_file: b, min_version: TLS12}\n",
        ),
        lambda data: repr(section_from_text(WebFile, text(data), FILE, None)),
        (ConfigError,),
    ),
    "promregator": Parser(
        ((TESTS / "migration/promregator.yml").read_bytes(),), migrate, (ConfigError,)
    ),
    "saved state": Parser((encode(STATE),), decode, (StateError,)),
    "request heads": Parser(
        (HEAD, HEAD.replace(b"GET /", b"POST http://h/")), read_request, (RequestRefused,)
    ),
    "answer heads": Parser(
        (ANSWER,), lambda data: parse_head(data, head_only=False), (BadUpstream,)
    ),
    "expositions": Parser(
        (
            b'# HELP m it\n# TYPE m counter\nm{a="b",c="d\\"} x"} 1 1700000000000\nm 2\n',
            b'h_bucket{le="+Inf"} 3\nh_sum .5\nh_count 3\n# EOF\n',
        ),
        relabelled,
    ),
    "OpenMetrics": Parser(
        (b'# TYPE c counter\nc_total 1 # {id="x"} 1\nc_created 2\n# EOF\n',),
        lambda data: result_of(to_text(data)),
        (BadExposition,),
    ),
    "credentials": Parser((b"Basic dTpw", b"Bearer x"), credentials_in),
    "hosts": Parser(
        (b"p:8080", b"[::1]:80", b"a.example.org"),
        lambda data: (valid_address(data), is_host_name(text(data)), accepts_gzip(data)),
    ),
    "networks": Parser(
        (b"169.254.0.0/16", b"fe80::/10", b"10.0.0.1"),
        lambda data: network(text(data)),
        (ValueError,),
    ),
    "no_proxy": Parser(
        (b"localhost,10.0.0.0/8,.example.org:80", b"*", b"[::1]:80"),
        lambda data: NoProxy(text(data)).has("a.example.org", 80),
        (ValueError,),
    ),
    "durations": Parser(
        (b"1h30m", b"500ms"), lambda data: duration_from_text(text(data)), (ValueError,)
    ),
    "sizes": Parser((b"10MB", b"1.5KiB"), lambda data: size_from_text(text(data)), (ValueError,)),
}


class ParsersWorld:
    """Any of them, with something like its samples."""

    doing = ""

    def __init__(self, random: Random) -> None:
        self._names = list(PARSERS)

    def case(self, random: Random) -> None:
        """One parser, one input."""
        self.doing = random.choice(self._names)
        parser = PARSERS[self.doing]
        data = mutated(random, parser.samples)
        try:
            parser.read(data)
        except parser.refusals as error:
            is_shown = isinstance(error, (SourceError, StateError))
            assert not is_shown or len(str(error)) < 1000, f"{len(str(error))} characters"

    def close(self) -> None:
        """They hold nothing."""
