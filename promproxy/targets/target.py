"""The target: one thing to scrape, as a source found it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen
from attrs.validators import in_

from promproxy.targets.ids import is_valid_id
from promproxy.targets.netloc import DEFAULT_PORTS, netloc


def _check_id(_instance: object, _attribute: object, value: str) -> None:
    if not is_valid_id(value):
        raise ValueError(f"not a target id: {value!r}")


@frozen(kw_only=True)
class Target:
    """One thing to scrape. Equal targets lead to equal scrapes and equal discovery entries.

    ``id`` is the path below ``/singleTargetMetrics/``; ``path`` begins with a slash; ``query`` is
    the encoded query string without its question mark, empty for none. ``labels`` are those that
    Prometheus is to see beside our own. ``headers`` are sent with each scrape. ``outbound`` names
    the outbound profile, ``""`` the default one. ``router`` is the ``scheme://host:port`` to
    connect to in place of the target's own host, ``""`` for none. One that ``is_tunnelled`` is
    never connected to: the client called ``host`` fetches its scrapes.
    """

    id: str = field(validator=_check_id)
    source: str
    scheme: str = field(validator=in_(DEFAULT_PORTS))
    host: str
    port: int
    path: str
    query: str = ""
    instance: str
    labels: Mapping[str, str] = field(factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    outbound: str = ""
    router: str = ""
    is_tunnelled: bool = False

    @property
    def netloc(self) -> str:
        """``host:port`` as a URL writes it, the port left out where it is the scheme's own."""
        return netloc(self.host, self.port, self.scheme)

    @property
    def url(self) -> str:
        """Where the target is scraped, without the query: fit to be shown."""
        return f"{self.scheme}://{self.netloc}{self.path}"


@frozen
class Dropped:
    """Something bad that a source delivered: what it is, and what is wrong in a word.

    ``reason`` comes from a small fixed set, since it becomes the value of a metric's label.
    """

    what: str
    reason: str


@frozen
class LeftOut:
    """Something that is not a target for a good reason, such as a stopped app.

    ``reason`` comes from a small fixed set too.
    """

    what: str
    reason: str


@frozen
class Remark:
    """Something that an operator should hear of although the refresh succeeded.

    ``kind`` is ``selects_nothing``, for a part of the configuration, ``unreadable``, for a part of
    what the source reads, or ``route_service``, for apps whose instances cannot be told apart.
    ``what`` names it, ``why`` says more in words.
    """

    kind: str
    what: str
    why: str


@frozen
class Delivery:
    """What one successful refresh of a source yields.

    A source that finds nothing changed returns the very object that it returned before.
    """

    targets: tuple[Target, ...]
    dropped: tuple[Dropped, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    remarks: tuple[Remark, ...] = ()
