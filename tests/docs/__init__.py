"""Tests of the manual in ``docs/``."""
