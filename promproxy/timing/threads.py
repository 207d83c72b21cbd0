"""What runs blocking work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

#: Runs a function in a thread and fires with what it returns. It is handed down, so that tests
#: need no threads.
InThread = Callable[[Callable[[], Any]], "Deferred[Any]"]
