"""Prometheus as the oracle: it and promproxy are asked the same, and must say the same."""
