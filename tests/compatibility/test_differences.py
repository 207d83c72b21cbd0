"""docs/migrating.md, "What differs": each line of its tables is held by tests of this suite."""

from __future__ import annotations

from importlib import import_module

from twisted.trial.unittest import SynchronousTestCase

from promproxy.scrape.settings import ScrapeSettings
from tests.docs.pages import all_pages

_DOCUMENTS = "compatibility.test_documents:test_corpus"
_LABELS = "targets.test_labels"

#: The tests of each line, by the table and by the line's first column.
TESTS: dict[str, dict[str, list[str]]] = {
    "promproxy and Prometheus alone": {
        "failures": ["integration.test_scrape_path:test_each_error_has_its_status_and_line"],
        "redirects": ["integration.test_hostile_target:test_redirects_to_anywhere"],
        "deadline": [
            "scrape.test_settings:test_what_the_caller_says",
            "scrape.test_settings:test_maximum",
            "compatibility.test_differences:test_figures",
        ],
        "scrapes at a time": [
            "scrape.test_limits:test_target_at_its_limit_has_a_line",
            "scrape.test_limits:test_host_at_its_limit_waits_first_come_first_served",
            "scrape.test_limits:test_all_places_taken_makes_others_wait",
            "scrape.test_resource:test_no_place_before_the_deadline",
        ],
        "`params` of the job": ["scrape.test_resource:test_caller_cannot_add_to_the_query"],
        "headers of the request": [
            "integration.test_scrape_path:test_headers_are_those_promised_and_no_others"
        ],
        "HTTP version": ["integration.test_scrape_path:test_http_2_is_not_spoken"],
        "settings of the HTTP client": ["outbound.test_settings:test_pasted_settings"],
        "`proxy_url`": ["daemon.test_profiles:test_proxy_over_tls"],
        "default `instance`": ["sources.test_groups:test_all_that_a_group_can_say"],
        "label `job` in a document": [f"{_LABELS}:test_job"],
        "labels with `__` in a document": [
            f"{_LABELS}:test_what_says_how_we_scrape",
            f"{_LABELS}:test_what_goes_on",
            f"{_LABELS}:test_reserved_names",
        ],
        "long labels": [f"{_LABELS}:test_longest_name", f"{_LABELS}:test_longest_value"],
        "a bad part in a document": [_DOCUMENTS],
        "odd addresses in a document": [_DOCUMENTS, "sources.test_groups:test_what_is_no_address"],
        "scheme that is not HTTP": [_DOCUMENTS],
        "YAML": [_DOCUMENTS],
        "patterns of target files": [
            "compatibility.test_patterns:test_patterns",
            "compatibility.test_patterns:test_hidden_files",
        ],
        "a file that turns bad": [
            "sources.test_files:test_one_bad_file_keeps_its_last_good_targets",
            "sources.test_files:test_one_bad_file_after_a_restart",
        ],
        "cloud metadata services": ["integration.test_guard:test_no_spelling_leads_there"],
        "values without a text (`key:`)": ["compatibility.test_values:test_table"],
        "negative sizes": ["compatibility.test_values:test_table"],
        "web configuration file": ["compatibility.test_web_files:test_files"],
    },
    "promproxy and Promregator": {
        "a failed scrape": ["integration.test_scrape_path:test_each_error_has_its_status_and_line"],
        "answers": ["integration.test_scrape_path:test_body_passes_byte_for_byte"],
        "`instance`": ["integration.test_migrating:test_prometheus_as_it_was_for_promregator"],
        "deadline": ["scrape.test_settings:test_what_the_caller_says"],
        "redirects of targets": ["scrape.test_resource:test_redirect_is_not_followed"],
        "two paths of one app": [
            "sources.cloud_foundry.test_targets:test_further_paths_have_ids_of_their_own"
        ],
        "merged answer of 0.x": [
            "integration.test_merged:test_promregator_up",
            "integration.test_merged:test_without_the_section",
        ],
        "internal routes": [
            "sources.cloud_foundry.test_routes:test_in_order",
            "sources.cloud_foundry.test_routes:test_only_with_a_port_and_then_before_others",
        ],
        "wildcard and TCP routes, domains that want a client certificate": [
            "sources.cloud_foundry.test_routes:test_routes_that_no_scrape_can_use",
            "sources.cloud_foundry.test_routes:test_they_come_last",
        ],
        "`overrideRouteAndPath`": [
            "sources.cloud_foundry.test_targets:test_overridden_route_and_path",
            "sources.cloud_foundry.test_targets:test_overridden_by_a_route_of_the_app",
        ],
        "`/cache/invalidate`": [
            "web.test_admin:test_any_of_its_caches",
            "server.test_gate:test_administration_is_for_callers_on_this_host",
            "server.test_gate:test_open_admin",
            "server.test_gate:test_open_pages_are_chosen",
        ],
        "annotations": [
            "sources.cloud_foundry.test_rules:test_path",
            "sources.cloud_foundry.test_rules:test_port",
            "sources.cloud_foundry.test_rules:test_scheme",
        ],
        "crashed instances": [
            "integration.test_cloud_foundry:test_a_hundred_crashed_instances_cause_one"
        ],
    },
    "promproxy and PushProx": {
        "who may poll and scrape": [
            "integration.test_pushprox:test_users",
            "integration.test_pushprox:test_each_may_do_what_is_theirs",
        ],
        "a client that is not scraped": ["tunnel.test_exchange:test_connected_client_stays"],
        "a dead connection": ["integration.test_pushprox:test_scrape_goes_to_the_next_poll"],
        "answers": ["integration.test_pushprox:test_memory_does_not_grow"],
        "default deadline": ["compatibility.test_differences:test_figures"],
        "methods": [
            "integration.test_scrape_path:test_other_methods",
            "web.pushprox.test_pages:test_post",
            "integration.test_callers:test_unwanted_body_does_not_hide_the_answer",
        ],
        "header fields of targets": ["http.test_forwarding:test_headers_that_go_back"],
        "idle clients": [
            "web.pushprox.test_pages:test_superseded",
            "web.pushprox.test_pages:test_held_without_an_end",
            "web.pushprox.test_pages:test_too_old",
        ],
        "its own metrics": ["web.pushprox.test_pages:test_metrics"],
    },
}


def lines_of_the_page() -> dict[str, list[str]]:
    """The first column of each table, by the heading above it."""
    _, _, section = all_pages()["docs/migrating.md"].text.partition("\n## What differs\n")
    found: dict[str, list[str]] = {}
    heading = ""
    for line in section.splitlines():
        if line.startswith("### "):
            heading = line.removeprefix("### ")
        elif line.startswith("| ") and not line.startswith("| what |"):
            found.setdefault(heading, []).append(line.split(" | ")[0].removeprefix("| "))
    return found


def is_a_test(name: str) -> bool:
    """Whether ``module:method`` is a test of this suite."""
    module, _, method = name.partition(":")
    classes = vars(import_module(f"tests.{module}")).values()
    return any(hasattr(cls, method) for cls in classes if isinstance(cls, type))


class DifferencesTests(SynchronousTestCase):
    def test_every_line_has_tests(self) -> None:
        """In the order of the page, and of nothing else."""
        self.assertEqual(
            lines_of_the_page(), {heading: list(lines) for heading, lines in TESTS.items()}
        )

    def test_the_tests_are_there(self) -> None:
        names = [name for lines in TESTS.values() for tests in lines.values() for name in tests]
        self.assertEqual([name for name in names if not is_a_test(name)], [])

    def test_figures(self) -> None:
        """As the tables have them, in seconds."""
        scrape = ScrapeSettings()
        figures = (scrape.timeout_offset, scrape.default_timeout, scrape.max_timeout)
        self.assertEqual(figures, (0.25, 10.0, 60.0))
