"""What Python reads of `conf` is what Hydra makes of it."""

import pytest
from omegaconf import OmegaConf

from deepinside.defaults import choices, defaults
from deepinside.network import Preprocessing
from deepinside.pipeline.configuration import composed

GROUPS = ("model", "method", "localise", "dissect", "visualise", "concepts", "invert", "machine")
CODES = {"inversion_compared": {"layers": ["relu5"]}}  # it takes them from another group
CASES = [(group, choice) for group in GROUPS for choice in choices(group)]


@pytest.mark.parametrize(("group", "choice"), CASES)
def test_as_hydra_composes_it(group: str, choice: str) -> None:
    cfg = composed([f"method=[{choice}]" if group == "method" else f"{group}={choice}"])
    section = cfg.method[choice] if group == "method" else cfg[group]
    expected = OmegaConf.to_container(OmegaConf.merge(section, CODES.get(choice, {})), resolve=True)
    assert defaults(group, choice, CODES.get(choice)) == expected


def test_what_is_given_wins_and_is_merged() -> None:
    changed = defaults("method", "am_best", {"step": {"rate": 0.5}, "steps": 3})
    assert (changed["step"]["policy"], changed["step"]["rate"], changed["steps"]) == ("adam", 0.5, 3)
    assert defaults("method", "am_best")["step"]["rate"] == pytest.approx(0.05)  # and is not kept
    assert defaults("model", "torchvision", {"arch": "vgg19"})["name"] == "vgg19"


def test_misspelt_words_are_answered_with_the_closest() -> None:
    with pytest.raises(KeyError, match=r"model has no choice 'squeezent'; did you mean 'squeezenet'"):
        defaults("model", "squeezent")
    with pytest.raises(KeyError, match=r"localise=best has no setting 'gama'; did you mean 'gamma'"):
        defaults("localise", "best", {"gama": 1})
    with pytest.raises(KeyError, match=r"method=am_best has no setting 'together'; .* renamed to 'batch_size'"):
        defaults("method", "am_best", {"together": 1})


def test_a_model_whose_yaml_lacks_its_preprocessing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepinside.network.defaults", lambda *_: {"name": "mine", "mean": (0, 0, 0), "input": 32})
    with pytest.raises(KeyError, match=r"conf/model/mine\.yaml has no bgr, interpolation, resize, scale, std"):
        Preprocessing.of("mine")
