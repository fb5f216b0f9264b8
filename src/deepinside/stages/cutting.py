"""Worker processes that cut."""

import multiprocessing
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import threadpoolctl  # type: ignore[import-untyped]


@contextmanager
def cutting(workers: int) -> Generator[ProcessPoolExecutor]:
    """Processes that segment, each with one thread, so that their number changes no result.

    Args:
        workers: how many; at least one, for the network computes meanwhile.

    Yields:
        Where to submit.
    """
    # Not forked from this process: torch's threads do not survive that. The server imports once for all.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["deepinside.localise.locate"])
    with ProcessPoolExecutor(max(1, workers), context, initializer=_one_thread) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    threadpoolctl.threadpool_limits(1)
