"""What the work runs on: device, threads, seed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

DEVICES = ("auto", "cpu", "cuda")


def device(name: str) -> torch.device:
    """The device of that name.

    Args:
        name: `cpu`, `cuda`, or `auto` for CUDA where there is one.

    Returns:
        It.

    Raises:
        ValueError: if the name is unknown or no CUDA device is there.
    """
    if name not in DEVICES:
        raise ValueError(f"expected machine.device to be one of {DEVICES}, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("machine.device=cuda, but torch finds no CUDA device; use machine.device=auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def settle(machine: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Fixes threads and seeds before a stage computes.

    Args:
        machine: `device`, `threads` (None: as many as torch takes by itself).
        seed: of torch's and numpy's global generators, for libraries that use them.

    Returns:
        What to record: device and threads.
    """
    if machine["threads"]:
        torch.set_num_threads(machine["threads"])
    torch.manual_seed(seed)
    np.random.seed(seed)  # ruff: ignore[numpy-legacy-random]  Lightning's samplers still use it
    chosen = device(machine["device"])
    name = torch.cuda.get_device_name() if chosen.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return {"device": f"{chosen.type} ({name})", "threads": torch.get_num_threads()}
