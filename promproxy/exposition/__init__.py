"""Expositions: what a target's metrics look like as text, and how labels are put into them.

===============  ==========================================================================
``text``         the exact parser of the text format 0.0.4, as Prometheus reads it
``labels``       our labels beside a series' own: collisions, escapes
``rewrite``      a whole body with our labels in it, fast; the exact parser takes odd lines
``openmetrics``  OpenMetrics 1.0 to text 0.0.4
``grouped``      families of many targets put together, for strict readers
===============  ==========================================================================

All of it is pure. Long work is a generator that yields between slices, so that the caller can give
other work its turn. What Prometheus accepts was taken from its lexers (``promlex.l``,
``openmetricslex.l`` in ``model/textparse``) and tried with Prometheus 2.42.
"""
