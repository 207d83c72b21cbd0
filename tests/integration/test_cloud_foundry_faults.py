"""Everything that can go wrong with the API and UAA, over real sockets and all at the same time."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

from attrs import field, frozen

from tests.integration.foundation import (
    CloudFoundryTestCase,
    Foundation,
    foundation,
    metric,
    scrape_all,
)
from tests.integration.peers import Peer, eventually, promproxy

SIZE = {"orgs": 1, "spaces": 1, "apps": 4, "instances": 6}
# For lists of three pages: the page size, 5000, is halved until that many are within 300 items.
PAGED = {**SIZE, "apps": 200, "instances": 250}


@frozen(kw_only=True)
class Case:
    """What goes wrong, and the reason that is told; without one the refreshes must succeed.

    ``sign`` is what the simulation's state says, as text, once the fault has struck.
    """

    switches: dict[str, Any]
    reason: str = ""
    sign: str = ""
    options: dict[str, Any] = field(factory=dict)
    size: dict[str, int] = field(factory=lambda: SIZE)


def injected(kind: str, reason: str, **options: Any) -> Case:
    """A fault of the API."""
    return Case(switches={"injected": [{"kind": kind}]}, reason=reason, options=options)


def at_login(kind: str, reason: str, **options: Any) -> Case:
    """A fault of UAA, which is asked since tokens do not last."""
    switches = {"injected": [{"kind": kind, "where": "uaa"}], "token_calls": 1}
    return Case(
        switches=switches,
        reason=f"UAA: POST .*: {reason}",
        options={"timeout": "3s", **options},
    )


CASES = {
    "bad-gateway": injected("bad_gateway", "status 502, no JSON"),
    "unavailable": injected("unavailable", "status 503, no JSON"),
    "gateway-timeout": injected("gateway_timeout", "status 504, no JSON"),
    "nginx-rate-limit": injected("nginx_rate_limit", "status 429, no JSON"),
    "maintenance": injected("maintenance", "status 503, no JSON"),
    "unknown-route": injected("unknown_route", "status 404 from the router: unknown_route"),
    "unknown-error": injected("unknown_error", "status 500, UnknownError: An unknown error"),
    "uaa-unavailable": injected("uaa_unavailable", "status 502, CF-UaaUnavailable"),
    "invalid-token": injected("invalid_token", "status 401, CF-InvalidAuthToken"),
    "garbage": injected("garbage", "the answer is not UTF-8"),
    "truncate": injected("truncate", "the answer broke off"),
    "reset": injected("reset", "connection closed without an answer"),
    "not-http": injected("not_http", "malformed answer head"),
    "hang": injected("hang", r"no complete answer within 0\.3 s", timeout="300ms"),
    "uaa-maintenance": at_login("maintenance", "status 503"),
    "uaa-unknown-route": at_login("unknown_route", "status 404"),
    "uaa-garbage": at_login("garbage", "the answer holds no token"),
    "uaa-truncate": at_login("truncate", "the answer broke off"),
    "uaa-reset": at_login("reset", "connection closed without an answer"),
    "uaa-hang": at_login("hang", r"no complete answer within 0\.3 s", timeout="300ms"),
    "shifting-pages": Case(
        switches={"delete_between_pages": 1},
        reason="the list kept changing while it was read",
        size=PAGED,
    ),
    # What must be got along with.
    "page-size": Case(switches={"maximum_result": 300}, sign="'400': "),
    "rate-limit": Case(switches={"rate_limit": 2, "rate_limit_period_seconds": 2}, sign="'429': "),
    "refresh-token": Case(
        switches={"token_calls": 4, "refuse_refresh_tokens": True}, sign="'refresh_token 401': "
    ),
    "token-calls": Case(switches={"token_calls": 4}, sign="'refresh_token 200': "),
}


class FaultTests(CloudFoundryTestCase):
    """One source, with a foundation of its own, for each fault."""

    def start_foundations(self) -> dict[str, Foundation]:
        # Other seeds, other guids: no two targets may have the same id.
        foundations = {
            name: foundation(self.folder, seed=seed, **CASES[name].size)
            for seed, name in enumerate(CASES)
        }
        for simulated in foundations.values():
            self.addCleanup(simulated.stop)
            simulated.launch()
        for simulated in foundations.values():
            simulated.await_answer()
        return foundations

    def test_last_good_targets_stay_until_it_is_over(self) -> None:
        """A fault changes no target and says why; once it is over, all is right again."""
        foundations = self.start_foundations()
        foundations["shifting-pages"].set_faults(maximum_result=300)
        sources = [foundations[name].source(name, **CASES[name].options) for name in CASES]
        daemon = self.start_daemon(*sources)
        self.await_ready(daemon)
        good = {}
        for name, simulated in foundations.items():
            good[name] = set(self.labels(daemon, name))
            self.assertEqual(good[name], simulated.target_ids(), name)
            app = simulated.apps(1)[-1]
            simulated.set_faults(**CASES[name].switches)
            simulated.operate("scale", app_guid=app, instances=9)

        for name, case in CASES.items():
            if case.reason:
                eventually(lambda name=name: self.check_failed(daemon, name))
                self.assertEqual(self.labels(daemon, name).keys(), good[name], name)
            else:
                eventually(lambda name=name: self.check_struck(foundations[name], name))
                self.await_ids(daemon, foundations[name].target_ids, name)
        self.assertEqual(daemon.get("/-/ready").status, 200)

        for simulated in foundations.values():
            simulated.set_faults()
        for name, simulated in foundations.items():
            self.await_ids(daemon, simulated.target_ids, name)
            eventually(lambda name=name: self.assertTrue(self.is_well(daemon, name), name))
        self.assertNotIn("Traceback", daemon.output)

    def is_well(self, daemon: Peer, name: str) -> bool:
        sample = f'promproxy_source_last_refresh_successful{{source="{name}"}}'
        return metric(daemon, sample) == 1

    def check_failed(self, daemon: Peer, name: str) -> None:
        """The page for people and the log both say why."""
        self.assertFalse(self.is_well(daemon, name), name)
        page = daemon.get("/").body.decode()
        reason = CASES[name].reason
        (row,) = re.findall(rf"<tr><td[^>]*><a[^>]*>{name}</a>.*?</tr>", page, re.DOTALL)
        row = unescape(row)
        self.assertRegex(row, reason)
        self.assertRegex(daemon.output, rf"source {name}: .*{reason}.*; its last good targets stay")

    def check_struck(self, simulated: Foundation, name: str) -> None:
        state = simulated.state()
        self.assertIn(CASES[name].sign, f"{state['answers']} {state['grants']}", name)


class StartTests(CloudFoundryTestCase):
    """A start while the API is down."""

    def test_waits_for_the_api_and_says_so(self) -> None:
        """No document until every source has delivered; a source that has may be asked alone."""
        late, good = (foundation(self.folder, seed=seed, **SIZE) for seed in (1, 2))
        self.start(good)
        daemon = self.start_daemon(late.source("late"), good.source("good"))
        self.await_ids(daemon, good.target_ids, "good")

        def told() -> None:
            ready = daemon.get("/-/ready")
            self.assertEqual(ready.status, 503)
            self.assertRegex(ready.body, b"late: GET .*: connection refused")
            self.assertNotIn(b"good", ready.body)

        eventually(told)
        for path in ("/discovery", "/discovery?source=late"):
            self.assertEqual(daemon.get(path).status, 503)
        self.start(late)
        self.await_ready(daemon)
        self.assertEqual(self.labels(daemon, "late").keys(), late.target_ids())

    def test_restart_with_saved_state(self) -> None:
        """No target is lost: they are listed and scraped from the first moment on."""
        simulated = self.start_foundation(**SIZE)
        source = simulated.source(password="secret", max_loss_percent=30)
        daemon = promproxy(self.folder, json.dumps([source]), "state_dir: state\n")
        self.start(daemon)
        self.await_ids(daemon, simulated.target_ids)
        ids = simulated.target_ids()
        eventually(lambda: self.assertTrue((self.folder / "state/cf.state.json").exists()))
        daemon.kill()
        simulated.inject("unavailable")
        self.start(daemon)
        self.assertEqual(self.labels(daemon).keys(), ids)
        self.assertEqual(daemon.get("/-/ready").status, 200)
        answers = [answer for _, answer in scrape_all(daemon, ids)]
        self.assertEqual({answer.status for answer in answers if answer}, {200})
        eventually(lambda: self.assertIn("status 503", daemon.output))
        self.assertEqual(self.labels(daemon).keys(), ids)
        self.assertEqual(metric(daemon, 'promproxy_source_restored{source="cf"}'), 1)
        simulated.set_faults()
        simulated.operate("scale", app_guid=simulated.apps(1)[-1], instances=9)
        self.await_ids(daemon, simulated.target_ids)
        self.assertEqual(metric(daemon, 'promproxy_source_restored{source="cf"}'), 0)
        self.assertNotIn(b"secret", (self.folder / "state/cf.state.json").read_bytes())
