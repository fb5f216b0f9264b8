"""Methods as the configuration names them."""

import re
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from deepinside.network import Network
from deepinside.pipeline.configuration import composed, groups
from deepinside.records import Batch, Maps
from deepinside.visualisation.method import methods

SALIENCY = "deepinside.methods.saliency.saliency"
SMOOTH = "deepinside.methods.smooth_grad.smooth_grad"


def test_every_method_of_ours_has_all_its_settings() -> None:
    chosen = composed([f"method=[{','.join(groups()['method'])}]"]).method
    assert set(methods(chosen)) == set(groups()["method"])


def test_settings_that_are_missing_or_unknown_are_named() -> None:
    with pytest.raises(ValueError, match=r"method mine: .*saliency has no parameter \['rul'\]; did you mean 'rule'"):
        methods({"mine": {"_target_": SALIENCY, "rul": "guided"}})
    with pytest.raises(
        ValueError, match=r"method mine: .*smooth_grad needs the settings .*'copies'.*: add them to its yaml"
    ):
        methods({"mine": {"_target_": SMOOTH}})


@pytest.mark.parametrize(
    ("method", "key", "value", "said"),
    [
        ("smooth_grad", "copies", "abc", "expected a whole number, got 'abc'"),
        ("smooth_grad", "copies", 2.5, "expected a whole number, got 2.5"),
        ("smooth_grad", "copies", True, "expected a whole number, got True"),
        ("smooth_grad", "sigma", None, "expected a number, got None"),
        ("saliency", "layer", 0, "expected text or null, got 0"),
        ("adversarial", "eps", [1, "two"], "expected a list (each a number), got [1, 'two']"),
        ("am_best", "units", 3, "expected a list (each a whole number or a mapping) or null, got 3"),
        ("am_best", "step", "fast", "expected a mapping, got 'fast'"),
        ("am_best", "relative", "maybe", "expected true or false, got 'maybe'"),
    ],
)
def test_a_setting_of_another_type_is_named(method: str, key: str, value: Any, said: str) -> None:
    chosen = OmegaConf.to_container(composed([f"method=[{method}]"]).method)
    chosen[method][key] = value
    with pytest.raises(ValueError, match=re.escape(f"method.{method}.{key}: {said}")):
        methods(chosen)


def test_a_setting_that_fits_or_refers_to_another_passes() -> None:
    chosen = OmegaConf.to_container(composed(["method=[am_best,smooth_grad]"]).method)
    chosen["am_best"] |= {"units": (1, {3: 0.5}), "weight": 2, "layer": "${method.other.layer}"}
    assert methods(chosen)["am_best"].settings["weight"] == 2


def bare(network: Network, batch: Batch, *, factor: float = 1.0) -> Maps:
    """Returns a tensor, against its annotation."""
    del network
    return factor * batch.images.mean(dim=1, keepdim=True)  # type: ignore[return-value]


def test_a_result_of_another_type_than_annotated_is_named() -> None:
    method = methods({"mine": {"_target_": f"{__name__}.bare", "factor": 2.0}})["mine"]
    said = r"method mine: expected Maps, as it is annotated, got Tensor: return Maps\(\.\.\.\)"
    with pytest.raises(ValueError, match=said):
        method(None, Batch(torch.rand(1, 3, 4, 5), ("a",)))


def negative(network: Network, batch: Batch) -> Maps:
    """Returns negative values as an unsigned map."""
    del network
    return Maps(-batch.images.mean(dim=1, keepdim=True))


def test_negative_values_in_an_unsigned_map_are_named_with_the_method() -> None:
    method = methods({"mine": {"_target_": f"{__name__}.negative"}})["mine"]
    said = r"method mine: expected an unsigned map, got a minimum of -1.0: return Maps\(values, signed=True\)"
    with pytest.raises(ValueError, match=said):
        method(None, Batch(torch.ones(1, 3, 4, 5), ("a",)))


def unannotated(network, batch):
    """Has no annotations."""
    del network
    return Maps(batch.images.mean(dim=1, keepdim=True))


def test_a_method_without_a_return_annotation_is_named() -> None:
    with pytest.raises(ValueError, match=r"method mine: .* must be annotated .*, got no annotation"):
        methods({"mine": {"_target_": f"{__name__}.unannotated"}})
