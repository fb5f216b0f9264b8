"""A network and images -> a diagnosis, and designs that the command line can build."""

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from tests.own import TINY, hold_out, lay, program

from deepinside.diagnosis import measures
from deepinside.models.saved import build
from deepinside.records import Table

SMALL = [
    *(word for word in TINY if not word.startswith("model=")), "data.root=pictures", "model=convnet_micro",
    "model.weights=random", "model.input=48", "model.resize=52", "diagnose.images=4", "diagnose.dense_images=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = lay(tmp_path_factory.mktemp("diagnose"))
    hold_out(folder / "pictures")
    return folder


def test_every_proposal_has_a_reason_and_a_control_at_equal_operations(place):
    # bounds at which a random network gets proposals of several kinds
    done = program("run=diagnose", *SMALL, "diagnose.aliasing_above=0.01", "diagnose.rank_above=0.3", cwd=place)
    assert done.returncode == 0, done.stderr
    artifact = place / "outputs/diagnose/latest"
    layers = pd.read_csv(artifact / "layers.csv")
    assert layers["layer"].tolist() == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    table = Table.read(artifact)
    found = pd.read_csv(artifact / "proposals.csv", keep_default_na=False)
    assert len(found) == table["proposals"].value > 0
    assert (found["reason"] != "").all()
    made = found[found["equal_override"] != ""]
    assert len(made)
    for number in made["number"]:
        for name in (f"proposal_{number}", f"control_{number}"):
            model = OmegaConf.load(artifact / "conf/model" / f"{name}.yaml")
            with torch.random.fork_rng():
                network = build(model, ("a", "b"))
            relative = sum(measures.operations(network).values()) / table["operations"].value
            assert relative == pytest.approx(1, abs=0.03), name
    assert (pd.to_numeric(made["value"]) != pd.to_numeric(made["bound"])).all()


def test_the_sweep_trains_what_was_proposed(place):
    words = ["sweep=diagnosed", "sweep.grid.seed=[0]", "sweep.repeats=null", *SMALL[:5], "train.epochs=1"]
    done = program("--config-dir", "outputs/diagnose/latest/conf", *words, cwd=place)
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(place / "outputs/sweep/latest/sweep.csv")
    assert set(rows["model"]) == {"proposal_1", "control_1"}


def test_without_a_convolution_it_says_so(place):
    (place / "flat.py").write_text(
        "from torch import nn\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2))\n"
    )
    words = ["model=custom", "model.target=flat:net", "model.input=32", "model.resize=36"]
    done = program("run=diagnose", "data=folder", "data.root=pictures", *SMALL[1:4], *words, cwd=place)
    assert done.returncode != 0
    assert "has no convolution" in done.stderr
