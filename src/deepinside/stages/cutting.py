"""Worker processes that cut."""

import multiprocessing
import os
import threading
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
    context.set_forkserver_preload(["deepinside.localisation.locate"])
    with ProcessPoolExecutor(max(1, workers), context, initializer=_settle) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _settle() -> None:
    threadpoolctl.threadpool_limits(1)
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()


def _leave_with_the_parent() -> None:
    # whoever is killed cannot end its workers, which would wait for work for ever
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
