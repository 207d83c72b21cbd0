"""Ids and ``instance`` labels: equal on every replica and after every restart.

An id holds only characters that no URL library touches, so that the id, the ``__metrics_path__``
label and the path of the request are the same bytes (Prometheus encodes a path that needs it, and
would encode one that already is a second time).
"""

from __future__ import annotations

import re
from hashlib import sha256

_VALID_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~:-]+")
_FORBIDDEN_RUN = re.compile(r"[^A-Za-z0-9._~:/-]+")


def is_valid_id(text: str) -> bool:
    """Whether text can be an id: allowed characters, no empty, ``.`` or ``..`` segment."""
    return all(_VALID_SEGMENT.fullmatch(segment) for segment in text.split("/"))


def short_hash(text: str) -> str:
    """Eight hex digits that differ for different texts."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def safe_id(text: str) -> str:
    """The id for a text: the text itself if valid, else cleaned, with a hash."""
    if is_valid_id(text):
        return text
    cleaned = _FORBIDDEN_RUN.sub("-", text)
    segments = ("-" if part in ("", ".", "..") else part for part in cleaned.split("/"))
    return f"{'/'.join(segments)}-{short_hash(text)}"


def endpoint_suffix(path: str, query: str) -> str:
    """What tells a host's endpoints apart: the path unless ``/metrics``, and the query's hash."""
    suffix = "" if path == "/metrics" else path
    return f"{suffix}~{short_hash(query)}" if query else suffix
