"""What is configured of the files that follow the registry."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import attrs

from promproxy.config import schema
from promproxy.disk.output_files import OutputSettings, StateKey
from promproxy.outbound.settings import HttpClient
from promproxy.sources.settings import SourceSettings
from promproxy.targets.document import EntryStyle

# How a source is asked; which targets it then finds, and what they get, does not depend on it. So a
# new password of the API, say, does not make saved targets useless. Anything else does.
_HOW_IT_IS_ASKED = {
    *(field.name for field in attrs.fields(HttpClient)),
    *("refresh_interval", "timeout", "max_size", "max_page_size"),
    *("max_requests_per_second", "max_loss_percent"),
    *("username", "password", "client_id", "client_secret"),
}


def output_settings(config: schema.Config, style: EntryStyle) -> OutputSettings:
    """The settings of saved state and file_sd."""
    return OutputSettings(
        state_dir=config.state_dir,
        sources={
            source.name: StateKey(fingerprint(source, config), source.profiles)
            for source in config.sources
        },
        file_sd=config.file_sd.path if config.file_sd is not None else None,
        address=config.discovery.address,
        own_entries=style.own_entries(config.discovery.own_metrics),
    )


def fingerprint(source: SourceSettings, config: schema.Config) -> str:
    """A hash of all settings that decide which targets a source has.

    Settings left at their defaults do not count, so that an upgrade which brings new ones does not
    change it. Nor do secrets: a hash of a weak one would tell it.
    """
    deciding = {
        "source": _plain(source),
        "with_credentials": sorted(config.credentialed & source.profiles),
        "promregator_labels": config.discovery.promregator_labels,
    }
    return sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> object:
    """A setting as JSON can hold it."""
    if attrs.has(cls := type(value)):
        values = ((field, getattr(value, field.name)) for field in attrs.fields(cls))
        return {
            field.name: _plain(content)
            for field, content in values
            if field.name not in _HOW_IT_IS_ASKED and content != field.default
        }
    if isinstance(value, re.Pattern):
        return value.pattern
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(content) for key, content in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))  # whose order differs from process to process
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value
