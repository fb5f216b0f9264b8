"""What studies are given: the network during its training, from its random start on."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from deepinside.models.saved import build, save
from deepinside.pipeline import configuration
from deepinside.visualisation.studies import checkpoints


def test_checkpoints_begin_with_the_random_start_of_the_seed(tmp_path: Path) -> None:
    cfg = configuration.composed(["run=train", "model=convnet_micro", "seed=3"])
    with torch.random.fork_rng():
        torch.manual_seed(3)  # as stages/train.py builds it
        start = build(cfg.model, ["a", "b"])
    save(start, cfg.model, tmp_path)
    (tmp_path / "epochs").mkdir()
    later = {name: tensor + 1 for name, tensor in start.module.state_dict().items()}
    save_file(later, tmp_path / "epochs" / "0002.safetensors")
    found = checkpoints(cfg, tmp_path, start)
    assert [one.epoch for one in found] == [0, 2]
    weights = [one.network().module.state_dict()["conv1.weight"] for one in found]
    assert torch.equal(weights[0], start.module.state_dict()["conv1.weight"])
    assert torch.equal(weights[1], weights[0] + 1)
