"""Tests of promproxy.web.root."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from promproxy.web.root import Pages, make_root
from tests.fakes import Caller


class Named(Resource):
    """Says its name."""

    def __init__(self, name: str, *, is_leaf: bool = True) -> None:
        super().__init__()
        self.isLeaf = is_leaf
        self.name = name

    def render_GET(self, request: Request) -> bytes:
        return self.name.encode()


class RootTests(SynchronousTestCase):
    """Which path leads where."""

    def caller(self, prefix: str = "") -> Caller:
        names = (
            "discovery",
            "scrape",
            "metrics",
            "healthy",
            "ready",
            "refresh",
            "reload",
            "invalidate",
            "targets",
        )
        leaves = {name: Named(name) for name in names}
        return Caller(make_root(Pages(status=Named("status", is_leaf=False), **leaves), prefix))

    def check(self, caller: Caller, prefix: str = "") -> None:
        for path, page in (
            ("/", b"status"),
            ("/discovery", b"discovery"),
            ("/discovery?source=x", b"discovery"),
            ("/singleTargetMetrics/vms/a:1", b"scrape"),
            ("/singleTargetMetrics", b"scrape"),
            ("/metrics", b"metrics"),
            ("/promregatorMetrics", b"metrics"),
            ("/-/healthy", b"healthy"),
            ("/-/ready", b"ready"),
            ("/-/refresh", b"refresh"),
            ("/-/reload", b"reload"),
            ("/cache/invalidate", b"invalidate"),
            ("/api/v1/targets", b"targets"),
        ):
            answer = caller.get(prefix + path)
            self.assertEqual((answer.status, answer.body), (200, page), path)

    def test_each_page_has_its_path(self) -> None:
        """As the design lists them."""
        self.check(self.caller())

    def test_prefix_is_an_addition(self) -> None:
        """Some reverse proxies keep it, others remove it."""
        for prefix in ("/promproxy", "/a/b/c"):
            caller = self.caller(prefix)
            self.check(caller)
            self.check(caller, prefix)

    def test_anything_else_is_404(self) -> None:
        """Also what only looks like a path of ours, and a request meant for a forward proxy."""
        caller = self.caller("/a/b")
        absolute = "http://other.example/discovery"
        for path in ("/x", "/Discovery", "/-/", "/-/x", "/cache/x", "/api/v1/x", "/a/x", absolute):
            answer = caller.get(path)
            self.assertEqual(answer.status, 404, path)
            self.assertTrue(answer.headers["Content-Type"].startswith("text/plain"), path)

    def test_pages_have_nothing_below_them(self) -> None:
        """Else each would have names without end, which a reverse proxy may not know."""
        caller = self.caller("/a/b")
        for path in ("/discovery", "/metrics", "/-/reload", "/cache/invalidate", "/api/v1/targets"):
            for more in ("/", "/x", "/../metrics", "%2fx"):
                self.assertEqual(caller.get(path + more).status, 404, path + more)
                self.assertEqual(caller.get(f"/a/b{path}{more}").status, 404, path + more)
