"""promproxy: service discovery and single-target scraping for what Prometheus cannot reach."""

__version__ = "0.1.0"
