"""Methods as the configuration names them."""

import pytest

from deepinside.pipeline.configuration import composed, groups
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
