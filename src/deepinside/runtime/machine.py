"""Device, threads, seed, and the processes that `torchrun` started."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Any

import numpy as np
import torch

DEVICES = ("auto", "cpu", "cuda")


def device(name: str) -> torch.device:
    """The device of that name; with several graphics cards, a process of `torchrun` takes that of its local rank.

    `auto` is CUDA if available. Processes in excess of the number of cards share them in turn.

    Raises:
        ValueError: if the name is unknown or there is no CUDA device.
    """
    if name not in DEVICES:
        raise ValueError(f"expected machine.device to be one of {DEVICES}, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("machine.device=cuda, but torch finds no CUDA device; use machine.device=auto")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if not _launched():
        return torch.device("cuda")
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())


def _launched() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def world() -> int:
    """The number of processes that `torchrun` started, on all machines together; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if _launched() else 1


def rank() -> int:
    """The index of this process among those of `torchrun`, from 0; 0 without it."""
    return int(os.environ["RANK"]) if _launched() else 0


def announce(name: str) -> None:
    """Notifies the other processes of `torchrun`, if any, of the event `name`."""
    if world() > 1:
        _store().set(name, "1")


def announced(name: str) -> bool:
    """Whether another process of `torchrun` has announced the event; returns at once."""
    return _store().check([name])


class Finished(Exception):
    """A process of `torchrun` that computes together with the first one has done its part."""


_following = ContextVar("_following", default=False)


@contextmanager
def following() -> Generator[None]:
    """In this block the process computes for an artifact that another process writes; ends at `first_only`."""
    token = _following.set(True)
    try:
        with suppress(Finished):
            yield
    finally:
        _following.reset(token)


def first_only() -> None:
    """Marks the following work as that of the first process.

    Raises:
        Finished: inside `following`.
    """
    if _following.get():
        raise Finished


@cache
def _store() -> torch.distributed.Store:
    store, _, _ = next(torch.distributed.rendezvous("env://"))
    return store


def settle(machine: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Sets threads and global seeds before a stage; returns device and threads to record.

    `machine.threads` of None is torch's default, and one where several workers compute.
    """
    if threads := machine["threads"] or (1 if machine.get("engine") == "dask" else None):
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    np.random.seed(seed)  # ruff: ignore[numpy-legacy-random]  Lightning's samplers still use it
    chosen = device(machine["device"])
    if chosen.index is not None:
        torch.cuda.set_device(chosen)  # for libraries that take the current one
    name = torch.cuda.get_device_name() if chosen.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return {"device": f"{chosen.type} ({name})", "threads": torch.get_num_threads()}
