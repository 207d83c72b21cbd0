"""Does the router know ``X-CF-PROCESS-INSTANCE``? One that does not ignores it, and balances."""

from __future__ import annotations

from attrs import evolve, frozen

from promproxy.errors import ScrapeError, SourceError
from promproxy.outbound.client import Outbound
from promproxy.targets.target import Target

_EXPECTED = b"invalid_cf_process_instance_header"


@frozen
class RouterCheck:
    """Sends a malformed header, which a router that knows it must refuse.

    Source: gorouter, handlers/lookup.go; routing-release 0.332.0 and later.
    """

    _outbound: Outbound

    async def __call__(self, target: Target) -> None:
        """Raises SourceError where the router cannot be asked, or took no notice."""
        probe = evolve(target, headers=(("X-CF-PROCESS-INSTANCE", "malformed"),))
        try:
            response = await self._outbound.send(
                self._outbound.profiles.template_for(probe), b"GET", b""
            )
        except ScrapeError as error:
            raise SourceError(
                f"instance_routing: process: cannot ask the router at {target.url}: {error.reason}"
            ) from error
        response.stopProducing()
        found = response.headers.getRawHeaders(b"X-Cf-RouterError") or [b""]
        if response.code != 400 or found[0] != _EXPECTED:
            raise SourceError(
                "instance_routing: process: the router does not know X-CF-PROCESS-INSTANCE and "
                "would send each scrape to any instance; it takes routing-release 0.332.0, else "
                "use instance_routing: app"
            )
