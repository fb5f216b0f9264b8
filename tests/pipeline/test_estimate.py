"""What a run says of its cost before it begins."""

import re
from itertools import pairwise

import pytest
from tests.own import OWN, lay, program

from deepinside.pipeline.estimate import BUDGET, Cost, Trial, extended, lines, tried


@pytest.mark.slow
def test_maps_are_estimated_and_what_does_not_grow_with_pictures_is_named(tmp_path):
    place = lay(tmp_path)
    words = ("run=visualise", *OWN, "visualise.measured=40", "estimate=true")
    done = program(*words, "method=[saliency,first_layer]", cwd=place)
    assert done.returncode == 0, done.stderr
    assert re.search(r"visualise +[\d,]+ images +\d+ min \d\d s", done.stdout)
    assert "without first_layer" in done.stdout
    done = program(*words, "method=[first_layer]", cwd=place)
    assert "visualise  not estimated" in done.stdout


@pytest.mark.slow
def test_a_run_is_tried_on_a_few_pictures_and_leaves_nothing_but_what_everything_rests_on(tmp_path):
    place = lay(tmp_path)
    boxes = (place / "pictures" / "boxes.csv").read_text().splitlines()
    del boxes[1]  # of the first picture, which is then left out
    (place / "pictures" / "boxes.csv").write_text("\n".join(boxes) + "\n")
    done = program("run=localise", *OWN, "estimate=true", cwd=place)
    assert done.returncode == 0, done.stderr
    assert re.search(r"localise +5 images +\d+ min \d\d s +\d+\.\d GiB memory +[\d.,]+ MB disk", done.stdout)
    made = {path.parent.parent.name for path in (place / "outputs").rglob("manifest.json")}
    assert made == {"prepare", "load"}
    again = program("run=localise", *OWN, cwd=place)
    assert again.returncode == 0, again.stderr
    assert program("run=localise", *OWN, "estimate=true", cwd=place).stdout.strip().startswith("nothing to do")


@pytest.mark.slow
def test_what_is_expensive_and_not_there_is_neither_drawn_nor_trained(tmp_path):
    words = ("model=convnet_micro", "machine.workers=0", "wandb=disabled", "estimate=true")
    done = program("run=localise", *words, "data.draw.train=4000", "data.draw.val=500", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    counted = dict(re.findall(r"^(\w+) +([\d,]+) images", done.stdout, flags=re.MULTILINE))
    assert counted == {"prepare": "4,500", "train": "4,000", "localise": "500"}
    assert not list((tmp_path / "outputs").rglob("manifest.json"))


class Bench:
    """A stage that takes so many seconds at all and for each image, and more to warm up, by a clock of its own."""

    def __init__(self, constant, each, warm_up):
        self.constant, self.each, self.warm_up, self.now = constant, each, warm_up, 0.0

    def __call__(self, images):
        loops = self.each * images
        seconds = self.constant + loops + (self.warm_up if self.now == 0 else 0.0)
        self.now += seconds
        return Trial(images, seconds, loops, disk=10.0 + 2.0 * images)

    def trials(self, first, whole):
        return tried(self, first, whole, clock=lambda: self.now)


@pytest.mark.parametrize("constant", [0.01, 1.0, 6.0, 40.0])
@pytest.mark.parametrize("each", [0.001, 0.3, 2.0])
@pytest.mark.parametrize("warm_up", [0.0, 5.0])
def test_trials_end_in_time_unless_the_first_alone_takes_longer(constant, each, warm_up):
    bench = Bench(constant, each, warm_up)
    trials = bench.trials(first=1, whole=10**6)
    assert bench.now <= max(BUDGET, constant + each + warm_up)
    sizes = [trial.images for trial in trials[1:]]
    assert all(later >= 2 * earlier for earlier, later in pairwise(sizes))


def test_what_is_extended_is_exact_where_it_grows_along_a_line():
    trials = Bench(constant=1.0, each=0.3, warm_up=2.0).trials(first=1, whole=5000)
    assert len(trials) > 3  # among them two that neither warmed up nor were of one size
    assert extended(trials, lambda trial: trial.seconds, 5000) == pytest.approx(1.0 + 0.3 * 5000)
    assert extended(trials, lambda trial: trial.disk, 12) == pytest.approx(10 + 2 * 12)
    assert extended(trials, lambda trial: trial.disk, 1) == trials[-1].disk


def test_from_one_trial_what_is_extended_is_in_proportion():
    trials = Bench(constant=3.0, each=20.0, warm_up=0.0).trials(first=2, whole=100)
    assert [trial.images for trial in trials] == [2]
    assert extended(trials, lambda trial: trial.loops, 100) == pytest.approx(20.0 * 100)


def test_no_trial_is_larger_than_the_whole():
    trials = Bench(constant=0.01, each=0.01, warm_up=0.0).trials(first=48, whole=30)
    assert {trial.images for trial in trials} == {30}
    assert extended(trials, lambda trial: trial.seconds, 30) == pytest.approx(0.31)


def test_costs_in_words():
    costs = [
        Cost("train", 6000, 4000.0, 2**31, 5e6),
        Cost("visualise", 0, None),
        Cost("localise", 60, 100.0, 2**30, 1e6),
    ]
    train, visualise, localise, together = lines(costs)
    assert " ".join(train.split()) == "train 6,000 images 1 h 06 min 2.0 GiB memory 5.0 MB disk"
    assert "not estimated" in visualise
    assert "1 min 40 s" in localise
    assert "1 h 08 min" in together
    counted, left = lines([Cost("visualise", 60, 100.0, without=("class_model", "relation"))])
    assert "60 images" in counted
    assert left.strip() == "without class_model, relation: their cost does not grow with images"
