"""Tests of bench.deadline."""

from __future__ import annotations

import asyncio

from twisted.trial.unittest import SynchronousTestCase

from bench.deadline import within


class WithinTests(SynchronousTestCase):
    def test_result(self) -> None:
        self.assertEqual(asyncio.run(within(60, asyncio.sleep(0, "x"))), "x")

    def test_error(self) -> None:
        async def fails() -> None:
            raise OSError("x")

        self.assertRaises(OSError, asyncio.run, within(60, fails()))

    def test_time_is_over(self) -> None:
        """The coroutine has ended by then."""
        ended = []

        async def waits() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        self.assertRaises(asyncio.TimeoutError, asyncio.run, within(0.001, waits()))
        self.assertEqual(ended, [True])

    def test_no_cancellation_is_forgotten(self) -> None:
        """Also one that comes together with the result, some turns of the loop later."""

        async def cancel_after(turns: int) -> bool:
            inner = asyncio.get_running_loop().create_future()

            async def wait() -> None:
                await inner

            task = asyncio.ensure_future(within(60, wait()))
            await asyncio.sleep(0.001)
            inner.set_result(None)
            for _ in range(turns):
                await asyncio.sleep(0)
            was_done = task.done()
            task.cancel()
            await asyncio.wait({task})
            return was_done or task.cancelled()

        self.assertEqual([asyncio.run(cancel_after(turns)) for turns in range(6)], [True] * 6)
