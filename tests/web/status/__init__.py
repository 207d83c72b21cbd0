"""Tests of promproxy.web.status."""
