"""The resource tree: which path leads where."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from attrs import field, frozen
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from promproxy.server.answers import plain_answer


@frozen(kw_only=True)
class Pages:
    """The resources of the tree."""

    status: Resource
    discovery: IResource
    scrape: IResource
    metrics: IResource
    healthy: IResource
    ready: IResource
    refresh: IResource
    reload: IResource
    invalidate: IResource
    targets: IResource
    merged: IResource | None = None  # None where it is not configured
    pushprox: Mapping[str, IResource] = field(factory=dict)  # by their paths; none without it


def make_root(pages: Pages, *path_prefixes: str) -> Resource:
    """The tree; below each prefix it is there once more, for a reverse proxy that keeps it."""
    root = _Folder(pages.status, trees=[b"singleTargetMetrics"])
    root.putChild(b"", pages.status)
    root.putChild(b"discovery", pages.discovery)
    root.putChild(b"singleTargetMetrics", pages.scrape)
    root.putChild(b"metrics", pages.metrics)
    root.putChild(b"promregatorMetrics", pages.metrics)
    if pages.merged is not None:
        root.putChild(b"mergedMetrics", pages.merged)
    below_dash = _Folder()
    below_dash.putChild(b"healthy", pages.healthy)
    below_dash.putChild(b"ready", pages.ready)
    below_dash.putChild(b"refresh", pages.refresh)
    below_dash.putChild(b"reload", pages.reload)
    root.putChild(b"-", below_dash)
    _mount(root, "/api/v1/targets", pages.targets)
    cache = _Folder()
    cache.putChild(b"invalidate", pages.invalidate)
    root.putChild(b"cache", cache)
    for name, resource in pages.pushprox.items():
        _mount(root, name, resource)
    for prefix in path_prefixes:
        if prefix:
            _mount(root, prefix, root)
    return root


class _Folder(Resource):
    """A path that leads to others, with or without a page of its own.

    A page is where its path ends: Twisted would take whatever comes behind it for a part of it.
    """

    def __init__(self, index: Resource | None = None, trees: Collection[bytes] = ()) -> None:
        super().__init__()
        self._index = index
        self._trees = trees  # pages that answer for all paths below them too

    def getChildWithDefault(self, path: bytes, request: Request) -> IResource:
        """The page at a path; 404 below a page that has no children."""
        found: IResource = super().getChildWithDefault(path, request)
        goes_on = found.isLeaf and request.postpath and path not in self._trees
        return _Folder() if goes_on else found

    def getChild(self, path: bytes, request: Request) -> IResource:
        """404 for an unknown path. Twisted's own page is HTML."""
        return _Folder()

    def render(self, request: Request) -> Any:
        """The page of its own, if there is one."""
        if self._index is not None:
            return self._index.render(request)
        return plain_answer(request, 404, "nothing is here")


def _mount(place: Resource, path: str, resource: IResource) -> None:
    """Put a resource below another one, with folders in between as the path has them."""
    *folders, last = path.encode().split(b"/")[1:]
    for name in folders:
        folder = _Folder()
        place.putChild(name, folder)
        place = folder
    place.putChild(last, resource)
