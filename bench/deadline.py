"""A time limit for a coroutine that can be cancelled at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns. Raises asyncio.TimeoutError when the time is over.

    Up to Python 3.11 `asyncio.wait_for` returns the result and forgets the cancellation where both
    come in the same turn of the loop (CPython's issue 86296): a task that loops then never ends,
    and whoever waits for it does not either.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
        raise asyncio.TimeoutError
    return task.result()
