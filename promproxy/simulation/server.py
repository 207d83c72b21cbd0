"""A simulated foundation on two ports: API with UAA and control interface, and gorouter."""

from __future__ import annotations

from random import Random
from typing import Any
from weakref import WeakSet

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from promproxy.simulation.api import Api
from promproxy.simulation.churn import churn
from promproxy.simulation.control import Control
from promproxy.simulation.exchange import Front
from promproxy.simulation.faults import Fault, Faults
from promproxy.simulation.generator import Size, make_foundation
from promproxy.simulation.router import Router
from promproxy.simulation.uaa import Uaa
from promproxy.simulation.values import SimulationError

log = Logger()

DEFAULT_ENDPOINT = "tcp:0:interface=127.0.0.1"


class Simulation:
    """A foundation that serves its API and its apps.

    ``reactor`` is also the clock.  ``churn_per_minute`` random changes are made while it runs.
    Endpoints are Twisted endpoint strings (TCP or TLS); ``api_base_url`` stands in the API's links
    in place of the Host of the request.  Users and clients of the UAA are in
    `promproxy.simulation.uaa`: user ``scraper``, client ``monitor``, both with ``secret``.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        size: Size | None = None,
        seed: int = 0,
        churn_per_minute: float = 0.0,
        api_endpoint: str = DEFAULT_ENDPOINT,
        router_endpoint: str = DEFAULT_ENDPOINT,
        api_base_url: str | None = None,
    ) -> None:
        self._reactor = reactor
        self._endpoints = (api_endpoint, router_endpoint)
        self._churn_per_minute = churn_per_minute
        # Of its own each, so that requests do not change what the churn does.
        self._churn_random = Random(f"churn {seed}")
        self._random = Random(f"requests {seed}")
        self.faults = Faults()
        self.foundation = make_foundation(size or Size(), reactor.seconds, Random(seed))
        self.uaa = Uaa(reactor.seconds, self.faults, self._random)
        api = Api(self.foundation, self.uaa, self.faults, self._random, api_base_url)
        router = Router(self.foundation, self.faults, self._random)
        self.fronts = {
            "api": self._front("api", api.answer),
            "uaa": self._front("uaa", self.uaa.answer),
            "router": self._front("router", router.answer),
        }
        self.control = Control(
            self.foundation, self.faults, self.uaa, self.fronts, self._churn_random
        )
        self.api_resource: Resource = _ApiRoot(
            self.fronts["api"],
            self.fronts["uaa"],
            Front(self.control.answer, lambda _path: None, reactor),
        )
        self.router_resource: Resource = self.fronts["router"]
        self._sites: list[_LongLineSite] = []
        self._ports: list[Any] = []
        self._loop = LoopingCall(self._churn)
        self._loop.clock = reactor

    def start(self) -> Deferred[None]:
        """Listen; fires when both ports are open, after which the URLs are known.

        Fails with SimulationError where an endpoint is none or cannot be had.
        """
        return Deferred.fromCoroutine(self._start())

    def stop(self) -> Deferred[None]:
        """Close both ports and every connection; fires when the ports are closed."""
        if self._loop.running:
            self._loop.stop()
        for site in self._sites:
            site.abort_connections()
        # An aborted connection is gone in the reactor's next turn.
        turn = deferLater(self._reactor, 0, lambda: None)
        ports = [maybeDeferred(port.stopListening) for port in self._ports]
        closed = gatherResults([turn, *ports])
        self._ports.clear()
        self._sites.clear()
        return closed.addCallback(lambda _: None)

    @property
    def api_url(self) -> str:
        """Base URL of API and UAA, without a slash at the end; only while it runs."""
        return self._url(0)

    @property
    def router_url(self) -> str:
        """Base URL of the gorouter: connect here and send a route's name as Host."""
        return self._url(1)

    async def _start(self) -> None:
        resources = (self.api_resource, self.router_resource)
        for description, resource in zip(self._endpoints, resources, strict=True):
            site = _LongLineSite(resource, reactor=self._reactor)
            try:
                port = await serverFromString(self._reactor, description).listen(site)
            except Exception as error:  # each endpoint's parser raises what it likes
                why = getattr(error, "socketError", error)
                raise SimulationError(f"cannot listen on {description}: {why}") from error
            self._sites.append(site)
            self._ports.append(port)
        if self._churn_per_minute:
            self._loop.start(60 / self._churn_per_minute, now=False)

    def _front(self, where: str, answer: Any) -> Front:
        def draw(path: str) -> Fault | None:
            return self.faults.draw(where, path, self._random)

        return Front(answer, draw, self._reactor)

    def _url(self, number: int) -> str:
        address = self._ports[number].getHost()
        scheme = "http" if self._endpoints[number].startswith("tcp") else "https"
        host = "127.0.0.1" if address.host in ("0.0.0.0", "::") else address.host
        return f"{scheme}://{host}:{address.port}"

    def _churn(self) -> None:
        log.debug("churn: {step}", step=churn(self.foundation, self._churn_random))


class _ApiRoot(Resource):
    """The API's port: all that is not of the UAA or the control interface is the API's."""

    def __init__(self, api: Front, uaa: Front, control: Front) -> None:
        super().__init__()
        self._api = api
        self.children = {b"oauth": uaa, b"simulation": control}

    def getChild(self, path: bytes, request: Request) -> Resource:
        """The API, whatever the path."""
        return self._api


class _LongLineChannel(HTTPChannel):
    """Reads longer request lines than Twisted does, since refusing them is the API's part."""

    MAX_LENGTH = 1 << 18
    totalHeadersSize = 1 << 18


class _LongLineSite(Site):
    """A site that knows its connections, so that it can end them."""

    protocol = _LongLineChannel  # type: ignore[assignment]

    def __init__(self, resource: Resource, reactor: Any) -> None:
        super().__init__(resource, reactor=reactor)
        self._channels: WeakSet[Any] = WeakSet()
        self.displayTracebacks = False

    def buildProtocol(self, addr: IAddress | None) -> Any:
        channel = super().buildProtocol(addr)
        self._channels.add(channel)
        return channel

    def log(self, request: Any) -> None:
        """Keep no access log: requests are counted."""

    def abort_connections(self) -> None:
        """End every connection at once."""
        for channel in tuple(self._channels):
            if channel.transport is not None:
                channel.transport.abortConnection()
