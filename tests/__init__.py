"""The test suite. Hypothesis draws the same examples in every run, and few enough to be quick."""

from hypothesis import settings

settings.register_profile("promproxy", derandomize=True, max_examples=50, deadline=None)
settings.load_profile("promproxy")
