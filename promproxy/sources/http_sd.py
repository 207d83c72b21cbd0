"""The source kind ``http_sd``: target groups from a URL."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from promproxy.errors import SourceError
from promproxy.outbound.document import Document, DocumentClient
from promproxy.sources.building import deliver
from promproxy.sources.groups import GroupRules, targets_from_groups
from promproxy.sources.json_array import json_groups
from promproxy.targets.target import Delivery


@define
class HttpSdSource:
    """Asks for the document; an unchanged one changes nothing."""

    name: str
    interval: float
    _client: DocumentClient
    _rules: GroupRules
    _clock: IReactorTime
    _delivery: Delivery = field(default=Delivery(()), init=False)

    def reset_backoff(self) -> None:
        """See `promproxy.sources.Retrying.reset_backoff`."""
        self._client.reset_backoff()

    async def targets(self) -> Delivery:
        document = await self._client.changed()
        if document is not None:
            self._delivery = await self._read(document)
            self._client.keep(document)
        return self._delivery

    async def _read(self, document: Document) -> Delivery:
        try:
            # Go replaces invalid UTF-8.
            groups = json_groups(document.body.decode("utf-8-sig", "replace"))
            return await deliver(targets_from_groups(groups, self._rules), self._clock)
        except SourceError as error:
            raise self._client.failed(str(error)) from error
        except ValueError as error:
            raise self._client.failed(f"the answer is not a JSON array: {error}") from error
