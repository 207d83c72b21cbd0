"""Tests of the files in ``conf/``."""
