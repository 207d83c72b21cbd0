"""Every error that promproxy raises on purpose: one class per reaction.

Messages are written for an operator and never hold a secret, a query string or a library's own
error text: those go to the log of the place that met them.
"""

from __future__ import annotations


class PromproxyError(Exception):
    """The base of all of them."""


class ConfigError(PromproxyError):
    """The configuration cannot be used; the message names the file, the place and what to write."""


class SourceError(PromproxyError):
    """A source could not deliver its targets; its last good ones stay in force."""


class StateError(PromproxyError):
    """A saved state cannot be used; the message says what is the matter with the file."""


class ScrapeError(PromproxyError):
    """A scrape failed before the target's own answer began.

    ``reason`` is one short phrase, fit to be shown to the caller.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unreachable(ScrapeError):
    """No connection to the target: name unknown, refused, timed out, or TLS refused."""


class NoToken(ScrapeError):
    """The target was not asked: the token server gave no token to ask it with."""


class BadUpstream(ScrapeError):
    """The target was reached, but its answer is not usable HTTP."""


class DeadlinePassed(ScrapeError):
    """The target had not answered by the scrape's deadline."""


class Busy(ScrapeError):
    """A limit on concurrent scrapes is reached."""


class LoopDetected(ScrapeError):
    """The scrape came from this very process."""


class TooLarge(PromproxyError):
    """An answer of ours would be larger than it may be; nothing of it was sent."""


class CutShort(PromproxyError):
    """The target's answer broke off after its head had been passed on."""


class UncleanClose(CutShort):
    """It ended with its connection, and TLS did not say that this was meant."""


class PollRefused(PromproxyError):
    """A client that polls cannot be served."""


class NameTaken(PollRefused):
    """The name belongs to a client with another identity."""


class TooManyClients(PollRefused):
    """No more clients can be registered."""


class UnknownScrape(PromproxyError):
    """A client pushed an answer that no scrape waits for."""
