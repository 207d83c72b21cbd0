"""The vocabulary, all of it pure values.

============  ============================================================================
``target``    one thing to scrape, and what a source delivers
``ids``       a target's path below ``/singleTargetMetrics/``
``labels``    which names and values Prometheus accepts
``snapshot``  all targets of all sources at one moment
``document``  a snapshot as a discovery document
============  ============================================================================
"""
