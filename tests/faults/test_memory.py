"""A batch that does not fit into memory runs in halves: the same result to 1e-5, and the record says so."""

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.faults.harness import RUNS, Warm, artifacts, laid, warmed
from tests.own import NET

from deepinside.artifacts.artifact import read_manifest, verify

TOLERANCE = 1e-5  # batches of other sizes change the last bits of single precision
TIGHT = """

class Tight(nn.Module):
    def forward(self, images):
        most, count = Path("most"), len(images)
        blank = images.flatten(2).std(dim=2).max() < 1e-3  # such are tried beforehand
        if most.exists() and count > int(most.read_text()) and not blank:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {count} GiB")
        return images


def tight():
    network = net()
    network.insert(0, Tight())
    return network
"""
MORE = {
    "localise": ["localise.crops=ten", "localise.baselines=all"],
    "visualise": ["method=[saliency,class_model,top_activations]", "method.top_activations.layer='1'"],
    "dissect": ["dissect.memory_gb=0", "dissect.layers=['1']", "dissect.ablate=1"],
    "train": [],
}
PARTS = {  # most images that fit, and lines of the record
    "localise": (3, ["localise from 0: crops 3+3+3+1", "localise from 3: scores 3+3+3+1"]),
    "visualise": (
        3,
        [
            "images from 0: crops of saliency 3+3+3+1",
            "images from 2: scores 3+3+3+1",
            "projections " + "+".join(["2"] * 16),
        ],
    ),
    "dissect": (1, ["thresholds from 0: activations 1+1", "intersections from 0: activations 1+1", "scores 1+1"]),
}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Generator[Warm]:
    place = laid(tmp_path_factory.mktemp("place"))
    (place / "mine.py").write_text("from pathlib import Path\n\n" + NET + TIGHT)
    stages = ("prepare", "concepts", "load", "localise", "visualise", "dissect")
    with warmed(place, *stages) as process:
        yield process


def words(stage: str) -> list[str]:
    return [word.replace("mine:net", "mine:tight") for word in RUNS[stage]] + MORE[stage]


@pytest.fixture
def most(warm: Warm) -> Generator[Path]:
    """How many images fit into memory, once it is written."""
    file = warm.place / "most"
    yield file
    file.unlink(missing_ok=True)


def agree(left: Path, right: Path) -> None:
    """Both folders hold the same tables and maps, but for the tolerance."""
    for file in (*left.glob("*.csv"), *left.glob("*.npz")):
        if file.suffix == ".npz":
            with np.load(file) as ours, np.load(right / file.name) as theirs:
                for name in ours:
                    if ours[name].dtype.kind in "US":
                        assert (ours[name] == theirs[name]).all(), name
                    else:
                        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-3, atol=TOLERANCE, err_msg=name)
        else:
            ours, theirs = (pd.read_csv(folder / file.name) for folder in (left, right))
            pd.testing.assert_frame_equal(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE, obj=file.name)
    assert {file.name for file in left.iterdir()} == {file.name for file in right.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("stage", PARTS)
def test_batches_in_halves_give_the_same(warm: Warm, most: Path, stage: str) -> None:
    whole = warm.run(words(stage), f"{stage}_whole")
    assert whole.status == 0, whole.said
    count, lines = PARTS[stage]
    most.write_text(str(count))
    parts = warm.run(words(stage), f"{stage}_parts")
    assert parts.status == 0, parts.said
    assert f"continuing with {count}" in parts.said
    left, right = (artifacts(warm.place / f"{stage}_{word}") for word in ("whole", "parts"))
    assert left.keys() == right.keys()
    (name,) = (name for name in left if name.startswith(f"{stage}/"))
    assert verify(right[name]) == []
    agree(left[name], right[name])
    assert set(lines) <= set(read_manifest(right[name])["record"]["halved"])
    assert "halved" not in read_manifest(left[name])["record"]
