"""Which device a process takes, alone and as one of several that `torchrun` started."""

import pytest
import torch

from deepinside.models.training import placed
from deepinside.runtime import machine


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """A machine with two graphics cards; the list holds those that were made the current one."""
    taken: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    return taken


def started(monkeypatch: pytest.MonkeyPatch, local: int, rank: int = 0, world: int = 4) -> None:
    """This process as one of those that `torchrun` started."""
    names = {"TORCHELASTIC_RUN_ID": "x", "LOCAL_RANK": local, "RANK": rank, "WORLD_SIZE": world}
    for name, value in names.items():
        monkeypatch.setenv(name, str(value))


def settled(name: str) -> str:
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        found = machine.settle({"device": name, "threads": None}, 0)
    assert found["threads"] == threads
    return found["device"]


@pytest.mark.parametrize(("local", "card"), [(0, 0), (1, 1), (2, 0), (3, 1)])
def test_a_process_of_torchrun_takes_the_card_of_its_local_rank(
    monkeypatch: pytest.MonkeyPatch, cards: list[torch.device], local: int, card: int
) -> None:
    started(monkeypatch, local)
    assert machine.device("auto") == machine.device("cuda") == torch.device("cuda", card)
    assert settled("auto") == "cuda (a card)"
    assert cards == [torch.device("cuda", card)]
    assert machine.device("cpu") == torch.device("cpu")


def test_a_process_alone_takes_the_current_card(monkeypatch: pytest.MonkeyPatch, cards: list[torch.device]) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")  # of another launcher
    assert machine.device("auto") == torch.device("cuda")
    assert settled("auto") == "cuda (a card)"
    assert cards == []
    assert (machine.rank(), machine.world()) == (0, 1)


def test_ranks_are_those_of_all_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, local=1, rank=3, world=4)
    assert (machine.rank(), machine.world()) == (3, 4)


@pytest.mark.usefixtures("cards")
def test_lightning_trains_on_that_card_or_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    several = {"devices": 2, "num_nodes": 2, "strategy": "auto", "precision": "32-true"}
    assert placed("auto") == {"accelerator": "gpu", "devices": 1, "num_nodes": 1, "strategy": "auto"}
    assert placed("auto", several) == several | {"accelerator": "gpu", "strategy": "ddp_spawn"}
    assert placed("cpu", {"devices": 2, "strategy": "ddp"})["strategy"] == "ddp_spawn"
    started(monkeypatch, local=1)
    assert placed("auto")["devices"] == [1]
    assert placed("cpu")["devices"] == 1
    assert placed("auto", several) == several | {"accelerator": "gpu", "strategy": "ddp"}
    assert placed("auto", several | {"strategy": "ddp_spawn"})["strategy"] == "ddp"  # they are there already
