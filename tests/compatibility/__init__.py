"""Prometheus as the oracle: it and promproxy get the same question, and must answer alike.

Differences that are meant stand in one table of each module, with a reason; any other fails.
"""
