"""What the page shows, without the page."""

import asyncio
import shlex
import threading

import numpy as np
import pytest
from tests.explore.shared import HOSTILE, photograph, words

import deepinside as di
from deepinside.explore import explorer as module
from deepinside.explore.explorer import Choices, Explorer, opened
from deepinside.explore.worker import Stale, Worker
from deepinside.pipeline.configuration import composed


@pytest.fixture(scope="module")
def explorer(tmp_path_factory):
    return Explorer(words(tmp_path_factory.mktemp("explore")))


@pytest.fixture
def chosen(explorer):
    name = explorer.networks[0]
    return Choices(name, "guided", explorer.last_layer(name), 0)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_photograph_is_refused_with_its_name(name):
    content, message = HOSTILE[name]
    with pytest.raises(ValueError, match="expected a whole JPEG or PNG image") as raised:
        opened(content, name)
    assert message in str(raised.value)
    assert str(raised.value).startswith(name)


def test_a_file_that_is_too_large_is_not_decoded(monkeypatch):
    monkeypatch.setattr(module, "read_image", None)
    with pytest.raises(ValueError, match=r"large.jpg: expected a file of at most 16 MB, got 16\.0 MB"):
        opened(bytes(module.MOST_BYTES + 1), "large.jpg")


def test_a_name_leads_to_no_folder():
    assert opened(photograph(), "../../etc/a.png").file == "a.png"
    assert opened(photograph(), "C:\\b.png").file == "b.png"


def test_the_map_is_that_of_the_python_function(explorer, chosen):
    seen = explorer.map(explorer.example(0), chosen)
    network = explorer.network(chosen.network)
    expected = di.saliency(network, explorer.example(0).pixels, method="guided", crops="centre")
    assert np.array_equal(seen.maps, expected.maps)
    (best, share), *_ = explorer.scores(explorer.example(0), chosen)
    assert (best, pytest.approx(share, rel=1e-5)) == (expected.targets[0], expected.probabilities[0])


def test_a_class_and_a_unit_have_other_maps(explorer, chosen):
    image = explorer.example(1)
    unit = explorer.strongest(image, chosen)
    first, second = list(explorer.classes(chosen.network))[:2]
    several = [chosen._replace(target=first), chosen._replace(target=second), chosen._replace(of_unit=True, unit=unit)]
    maps = [explorer.map(image, one).maps for one in several]
    assert maps[0].any()
    assert maps[2].any()
    assert not np.array_equal(maps[0], maps[1])
    assert not np.array_equal(maps[0], maps[2])


def test_every_method_with_maps_is_offered_and_those_of_classes_say_so(explorer, chosen):
    assert {"saliency", "guided", "grad_cam", "rise", "occlusion"} <= set(explorer.methods)
    with pytest.raises(ValueError, match="rise has maps of classes only"):
        explorer.map(explorer.example(0), chosen._replace(method="rise", of_unit=True))


def test_the_patches_of_a_unit_are_where_it_is_strongest(explorer, chosen):
    chosen = chosen._replace(unit=explorer.strongest(explorer.example(0), chosen))
    found = explorer.patches(chosen)
    assert set(found.names) <= {"one", "two"}
    assert list(found.values) == sorted(found.values, reverse=True)
    assert len(found.images) == len(found.projections) == len(found.names)


def test_the_stimulus_excites_its_unit_more_than_a_photograph_does(explorer, chosen):
    made, network = explorer.stimulus(chosen), explorer.network(chosen.network)
    layer = explorer.before(chosen)
    assert layer != chosen.layer  # whose ReLU has no gradient where the unit is zero
    table = di.maximise(network, layer=layer, unit=chosen.unit, steps=module.STEPS).table
    assert table.score[0] > 0
    assert made.shape[2] == 3


@pytest.mark.parametrize("of_unit", [False, True])
def test_the_command_repeats_the_map(explorer, chosen, of_unit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = 'it\'s "mine" $HOME.png'
    (tmp_path / name).write_bytes(photograph(5))
    image = opened(photograph(5), name)
    target = list(explorer.classes(chosen.network))[1]
    chosen = chosen._replace(of_unit=of_unit, target="" if of_unit else target, crops="warp")
    words = shlex.split(explorer.command(image, chosen))
    assert words[:2] == ["python", "-c"]
    made = {}
    exec(words[2], made)
    assert np.array_equal(made["seen"].maps, explorer.map(image, chosen).maps)
    assert np.array_equal(made["stimulus"].image, explorer.stimulus(chosen))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "map.png", "stimulus.png"])
    assert words[3] == "deepinside"
    cfg = composed(words[4:])
    assert cfg.method.top_activations.units == [0]
    assert cfg.method.top_activations.layer == chosen.layer
    assert cfg.model.weights == explorer._cfg.model.weights


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["model=convnet_micro"], FileNotFoundError, "name them with model.weights=FILE"),
        (["model=squeeznet"], KeyError, "squeezenet"),
        (["data=folder", "data.root=."], ValueError, "expected data=photos"),
    ],
)
def test_words_that_do_not_fit_fail_before_the_page_is_served(overrides, error, message):
    with pytest.raises(error, match=message):
        Explorer(overrides)


def test_classes_of_one_name_have_their_numbers(explorer, chosen, monkeypatch):
    monkeypatch.setattr(explorer.network(chosen.network), "classes", ("crane", "crane", "owl"))
    assert explorer.classes(chosen.network) == {"crane (0)": 0, "crane (1)": 1, "owl": 2}


def test_a_map_interrupts_what_takes_longer_which_then_begins_again():
    worker, begun, order = Worker(), threading.Event(), []

    def slow():
        order.append("begins")
        begun.set()
        for _ in range(200 if order.count("begins") == 1 else 1):
            worker._check()
            threading.Event().wait(0.05)
        return "slow"

    async def both():
        task = asyncio.ensure_future(worker.later(slow, lambda: True))
        await asyncio.to_thread(begun.wait)
        assert await worker.first(lambda: order.append("map"), lambda: True) is None
        return await task

    assert asyncio.run(both()) == "slow"
    assert order == ["begins", "map", "begins"]


def test_nothing_is_computed_for_choices_that_have_changed():
    with pytest.raises(Stale):
        asyncio.run(Worker().first(lambda: pytest.fail("computed"), lambda: False))
