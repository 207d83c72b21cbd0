"""Makes ``twistd promproxy`` known to Twisted."""

from twisted.application.service import ServiceMaker

promproxy = ServiceMaker(
    "promproxy",
    "promproxy.tap",
    "Service discovery and single-target scraping for what Prometheus cannot reach.",
    "promproxy",
)
