"""One thread that computes for all parts of the page, maps before what takes longer."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from deepinside.network import Network

Found = TypeVar("Found")


class Stale(Exception):
    """The choices have changed, and nobody waits for the result."""


class Worker:
    """One thread, because the rules of a backward pass hold for the whole process while they are set."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="explore")
        self._current: Callable[[], bool] = lambda: True
        self._maps = 0  # that somebody waits for

    def watch(self, network: Network) -> None:
        """Lets the forward passes of a network end as soon as their result is not needed."""
        network.register_forward_pre_hook(self._check)

    def _check(self, *_: Any) -> None:
        if not self._current():
            raise Stale

    async def first(self, work: Callable[[], Found], current: Callable[[], bool]) -> Found:
        """The result of `work`, before anything of `later`; raises Stale once `current` is false."""
        self._maps += 1
        try:
            return await self._run(work, current)
        finally:
            self._maps -= 1

    async def later(self, work: Callable[[], Found], current: Callable[[], bool]) -> Found:
        """The result of `work`, which begins again if a map is requested meanwhile."""
        while True:
            try:
                return await self._run(work, lambda: current() and not self._maps)
            except Stale:
                if not current():
                    raise
            await asyncio.sleep(0.02)

    async def _run(self, work: Callable[[], Found], current: Callable[[], bool]) -> Found:
        def compute() -> Found:
            self._current = current
            try:
                self._check()
                return work()
            finally:
                self._current = lambda: True

        return await asyncio.get_running_loop().run_in_executor(self._thread, compute)
