"""``/``: a page for people."""

from __future__ import annotations

from html import escape

from twisted.web.resource import Resource
from twisted.web.server import Request

from promproxy import __version__
from promproxy.registry import Registry
from promproxy.web.answers import plain_answer

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>promproxy</title>
<style>body {{ font-family: sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em }}
table {{ border-collapse: collapse }} td, th {{ padding: .3em 1em .3em 0; text-align: left }}
</style></head>
<body><h1>promproxy {version}</h1>
<ul>
<li><a href="discovery">discovery</a>: all targets, for <code>http_sd_configs</code></li>
<li><a href="metrics">metrics</a> of promproxy itself</li>
<li><a href="-/healthy">healthy</a>, <a href="-/ready">ready</a></li>
</ul>
<h2>Sources</h2>
<table><tr><th>source</th><th>targets</th><th>state</th></tr>
{rows}
</table></body></html>"""


class LandingResource(Resource):
    """What this daemon is, and how its sources are."""

    page = "status"

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry

    def render_GET(self, request: Request) -> bytes:
        """The page."""
        listings = self._registry.snapshot.listings
        rows = []
        for name, state in self._registry.states.items():
            listing = listings.get(name)
            count = "-" if listing is None else str(len(listing.delivery.targets))
            waiting = "waiting for the first targets"
            if state.is_restored:
                waiting = "targets as they were before the restart"
            health = state.last_error or ("ok" if state.has_delivered else waiting)
            cells = "".join(f"<td>{escape(cell)}</td>" for cell in (name, count, health))
            rows.append(f"<tr>{cells}</tr>")
        page = _PAGE.format(version=escape(__version__), rows="\n".join(rows))
        return plain_answer(request, 200, page, "text/html")
