"""The backward rules of ReLUs: hand cases, laws, and what has no rule. Whole networks are in test_networks.py."""

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.nn.modules import module as nn_module

from deepinside.probe import RULES, UndefinedRule, redirected, relu_rule

RELUS = {
    "module": nn.ReLU(),
    "in-place module": lambda x: nn.ReLU(inplace=True)(x * 1),
    "function": functional.relu,
    "in-place function": lambda x: functional.relu(x * 1, inplace=True),
    "keyword": lambda x: functional.relu(input=x, inplace=False),
    "torch function": torch.relu,
    "method": lambda x: x.relu(),
    "in-place method": lambda x: (x * 1).relu_(),
    "in-place torch function": lambda x: torch.relu_(x * 1),
    "in-place by position": lambda x: functional.relu(x * 1, True),
    "threshold": nn.Threshold(0, 0),
    "torch threshold": lambda x: torch.threshold(x, 0, 0),
    "in-place threshold": lambda x: nn.Threshold(0, 0, inplace=True)(x * 1),
    "hardtanh": nn.Hardtanh(0.0, 1e9),
    "in-place hardtanh": lambda x: nn.Hardtanh(0.0, 1e9, inplace=True)(x * 1),
    "relu6": lambda x: 1e3 * functional.relu6(x / 1e3),
}


def back(relu, x: torch.Tensor, signal: torch.Tensor, rule: str) -> torch.Tensor:
    x = x.clone().requires_grad_()
    with relu_rule(rule):
        y = relu(x)
    return torch.autograd.grad(y, x, signal)[0]


@pytest.mark.parametrize("name", RELUS)
@pytest.mark.parametrize(
    ("rule", "expected"),
    [("gradient", [0.0, 0, -3, 4]), ("deconvnet", [1.0, 0, 0, 4]), ("guided", [0.0, 0, 0, 4])],
)
def test_hand_case(name: str, rule: str, expected: list[float]) -> None:
    x = torch.tensor([-1.0, -2, 3, 4])  # the input of the ReLU
    signal = torch.tensor([1.0, -2, -3, 4])  # what comes back
    assert back(RELUS[name], x, signal, rule).tolist() == pytest.approx(expected)


def test_zero_input_and_zero_signal_are_blocked() -> None:
    assert back(nn.ReLU(), torch.zeros(1), torch.ones(1), "guided").item() == 0  # strict > at 0
    assert back(nn.ReLU(), torch.ones(1), torch.zeros(1), "deconvnet").item() == 0


def test_relu6_blocks_above_six_but_not_for_deconvnet() -> None:
    x, signal = torch.tensor([7.0, 5.0]), torch.ones(2)
    assert back(functional.relu6, x, signal, "guided").tolist() == [0, 1]
    assert back(functional.relu6, x, signal, "deconvnet").tolist() == [1, 1]


values = st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=8)


@given(values, values)
def test_guided_is_both_gates(x: list[float], r: list[float]) -> None:
    size = min(len(x), len(r))
    x, r = torch.tensor(x[:size]), torch.tensor(r[:size])
    gates = {rule: back(nn.ReLU(), x, r, rule) for rule in RULES}
    assert torch.equal(gates["guided"], gates["gradient"] * (r > 0))
    assert torch.equal(gates["guided"], gates["deconvnet"] * (x > 0))


@given(values, values, st.floats(1 / 8, 8, width=32))
def test_rules_are_linear_in_the_size_of_the_signal(x: list[float], r: list[float], factor: float) -> None:
    size = min(len(x), len(r))
    x, r = torch.tensor(x[:size]), torch.tensor(r[:size])
    for rule in RULES:
        assert torch.allclose(back(nn.ReLU(), x, factor * r, rule), factor * back(nn.ReLU(), x, r, rule))


@given(values)
def test_the_forward_pass_is_that_of_the_relu(x: list[float]) -> None:
    for rule in RULES:
        with relu_rule(rule):
            assert torch.equal(torch.relu(torch.tensor(x)), torch.tensor(x).clamp(min=0))
            assert torch.equal(functional.relu6(torch.tensor(x) * 3), (torch.tensor(x) * 3).clamp(0, 6))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_dtype_and_in_place_are_as_asked_for(dtype: torch.dtype) -> None:
    for rule in RULES:
        x = torch.tensor([-1.0, 2.0], dtype=dtype)
        with relu_rule(rule):
            assert torch.relu_(x) is x
            assert torch.relu(x) is not x
        assert x.dtype == dtype
        assert x.tolist() == [0, 2]


@pytest.mark.parametrize("top", [0.3, float("inf")])
def test_rule_gradient_passes_gradcheck(top: float) -> None:
    from deepinside.probe.rule import _Rectifier

    x = (torch.rand(3, 5, dtype=torch.float64) - 0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: _Rectifier.apply(t, top, "gradient"), x)


def test_the_inner_rule_counts_and_the_outer_one_comes_back() -> None:
    x, signal = torch.tensor([-1.0, -2, 3, 4], requires_grad=True), torch.tensor([1.0, -2, -3, 4])
    with relu_rule("guided"):
        with relu_rule("deconvnet"):
            inner = torch.relu(x)
        outer = torch.relu(x)
    assert torch.autograd.grad(inner, x, signal)[0].tolist() == [1, 0, 0, 4]
    assert torch.autograd.grad(outer, x, signal)[0].tolist() == [0, 0, 0, 4]


def test_a_forward_pass_that_failed_does_not_end_the_checks() -> None:
    x = torch.rand(1, 3, 4, 5, requires_grad=True)
    with relu_rule("guided"):
        with pytest.raises(RuntimeError):
            nn.Sequential(nn.ReLU(), nn.Conv2d(5, 1, 1))(x)  # does not fit
        nn.Sequential(nn.ReLU(), nn.Conv2d(3, 1, 1))(x)
        with pytest.raises(UndefinedRule, match="Gelu"):
            nn.Sequential(nn.GELU(), nn.Conv2d(3, 1, 1))(x)


class Wrapped(nn.Module):
    def __init__(self, act) -> None:
        super().__init__()
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(x).sum((2, 3))


UNRULED = {
    "clamp": lambda x: x.clamp(min=0),
    "clip": lambda x: torch.clip(x, 0, 6),
    "maximum": lambda x: torch.maximum(x, torch.zeros(())),
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "hardtanh": nn.Hardtanh(),
    "threshold": nn.Threshold(0.5, 0),
    "leaky": nn.LeakyReLU(),
    "elu": nn.ELU(),
    "hardswish": nn.Hardswish(),
    "mish": nn.Mish(),
    "prelu": nn.PReLU(),
    "softplus": nn.Softplus(),
    "relu": torch.ops.aten.relu,  # beneath the functions that a rule can reach
}


@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
@pytest.mark.parametrize("name", UNRULED)
def test_what_has_no_rule_raises_with_its_name(name: str, rule: str) -> None:
    x = torch.rand(1, 3, 4, 5, requires_grad=True) - 0.5
    said = {"clip": "clamp", "leaky": "leakyrelu"}.get(name, name)
    with pytest.raises(UndefinedRule, match=f"(?i){said}"), relu_rule(rule):
        Wrapped(UNRULED[name])(x)
    with relu_rule("gradient"):
        Wrapped(UNRULED[name])(x)  # the plain gradient is defined for all


def test_scripted_module_raises() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    with pytest.raises(UndefinedRule, match=r"Relu|DifferentiableGraph"), relu_rule("guided"):
        scripted(torch.rand(1, 3, 8, 9, requires_grad=True))


def test_nothing_is_left_behind_even_after_an_error() -> None:
    def hooks() -> int:
        return len(nn_module._global_forward_hooks) + len(nn_module._global_forward_pre_hooks)

    before = hooks()
    with pytest.raises(ZeroDivisionError), relu_rule("guided"):
        raise ZeroDivisionError
    assert hooks() == before
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    assert torch.autograd.grad(torch.relu(x), x, torch.tensor([1.0, -1.0]))[0].tolist() == [0, -1]


def test_unknown_rule_names_the_closest() -> None:
    with pytest.raises(ValueError, match="guided"), relu_rule("guidde"):
        pass


def test_redirected_passes_only_what_would_be_blocked_for_a_whole_image() -> None:
    x = torch.tensor([[-1.0, -2.0], [1.0, -1.0]], requires_grad=True)
    signal = torch.tensor([[3.0, -4.0], [-5.0, 6.0]])
    with redirected():
        rectified = functional.relu(x)
    (found,) = torch.autograd.grad(rectified, x, signal)
    assert found.tolist() == [[3.0, 0.0], [-5.0, 0.0]]
    (plain,) = torch.autograd.grad(functional.relu(x), x, signal)  # nothing is left behind
    assert plain.tolist() == [[0.0, 0.0], [-5.0, 0.0]]
