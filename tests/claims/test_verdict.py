"""Verdicts on planted cases: what is there is found, and what is not is not called so too often."""

import math

import numpy as np
import pytest

from deepinside.claims.measures import boot_estimate, t_estimate
from deepinside.claims.verdict import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Estimate,
    Rule,
    holm,
    p_value,
    power,
    verdict,
)

REGISTERS = 200


@pytest.mark.parametrize(
    ("low", "high", "rule", "said"),
    [
        (0.2, 0.4, Rule(above=0.1), SUPPORTED),
        (0.05, 0.4, Rule(above=0.1), UNDECIDED),
        (0.01, 0.1, Rule(above=0.1), CONTRADICTED),
        (-0.4, -0.2, Rule(below=-0.1), SUPPORTED),
        (-0.1, 0.2, Rule(below=-0.1), CONTRADICTED),
        (-0.2, 0.2, Rule(below=-0.1), UNDECIDED),
        (-0.1, 0.1, Rule(within=(-0.2, 0.2)), SUPPORTED),
        (-0.1, 0.3, Rule(within=(-0.2, 0.2)), UNDECIDED),
        (0.25, 0.3, Rule(within=(-0.2, 0.2)), CONTRADICTED),
        (math.nan, math.nan, Rule(above=0), UNDECIDED),
    ],
)
def test_verdicts_by_hand(low, high, rule, said):
    assert verdict(Estimate((low + high) / 2, low, high, 10), rule) == said


def test_an_exact_number_is_its_own_interval():
    assert verdict(Estimate(0.0, 0.0, 0.0, 1), Rule(below=1e-4)) == SUPPORTED
    assert p_value(Estimate(0.0, 0.0, 0.0, 1), Rule(below=1e-4)) == 0


def test_a_rule_has_one_border():
    for wrong in ({}, {"above": 1, "below": 2}, {"within": (2, 1)}):
        with pytest.raises(ValueError, match="a rule has one limit"):
            Rule(**wrong)


@pytest.mark.parametrize("rule", [Rule(above=0.5), Rule(below=-0.5), Rule(within=(-1.0, 1.0))])
def test_p_values_and_t_intervals_tell_the_same(rule):
    random = np.random.default_rng(0)
    for _ in range(REGISTERS):
        found = t_estimate(random.normal(random.normal(0, 2), 1, 5))
        assert (p_value(found, rule) < 0.025) == (verdict(found, rule) != UNDECIDED)


def decided(effect, rule, estimate, n, seed=0):
    random = np.random.default_rng(seed)
    found = [verdict(estimate(random.normal(effect, 1, n)), rule) for _ in range(REGISTERS)]
    return {word: found.count(word) / REGISTERS for word in (SUPPORTED, CONTRADICTED, UNDECIDED)}


@pytest.mark.parametrize(("estimate", "n", "allowed"), [(t_estimate, 5, 0.05), (boot_estimate, 30, 0.07)])
def test_an_effect_at_the_border_is_called_no_more_often_than_stated(estimate, n, allowed):
    """2.5 % to either side; a bootstrap over 30 units a little more. Three standard errors of 200 registers above."""
    shares = decided(0.5, Rule(above=0.5), estimate, n)
    most = allowed / 2 + 3 * math.sqrt(allowed / 2 / REGISTERS)
    assert shares[SUPPORTED] < most
    assert shares[CONTRADICTED] < most
    assert shares[UNDECIDED] > 0.85


@pytest.mark.parametrize(("estimate", "n", "effect"), [(t_estimate, 5, 2.5), (boot_estimate, 30, 1.2)])
def test_an_effect_is_found_at_the_power_stated(estimate, n, effect):
    found = estimate(np.random.default_rng(1).normal(effect, 1, 2000)[:n])
    exact = Estimate(effect, *(effect + np.array([-1, 1]) * (found.high - found.low) / 2), n, found.freedom)
    stated = power(exact, Rule(above=0.5), effect)
    assert decided(effect, Rule(above=0.5), estimate, n)[SUPPORTED] == pytest.approx(stated, abs=0.2)
    assert decided(-effect, Rule(above=0.5), estimate, n)[CONTRADICTED] > 0.9


def test_two_sided_claims_of_equality_need_a_narrow_interval():
    assert decided(0, Rule(within=(-1, 1)), boot_estimate, 40)[SUPPORTED] > 0.95
    assert decided(0, Rule(within=(-1, 1)), t_estimate, 2)[SUPPORTED] < 0.2  # not knowing is not equality


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, math.nan]).tolist()[:3] == pytest.approx([0.03, 0.06, 0.06])
    assert math.isnan(holm([math.nan])[0])


def test_a_register_of_nulls_is_called_at_all_in_few_registers():
    """Twenty claims, all at their border: plainly most registers call one, after Holm one in twenty does."""
    random = np.random.default_rng(2)
    rule, plain, adjusted = Rule(above=0.0), 0, 0
    for _ in range(REGISTERS):
        values = [p_value(t_estimate(random.normal(0, 1, 5)), rule) for _ in range(20)]
        plain += min(values) < 0.025
        adjusted += bool((holm(values) < 0.025).any())
    assert plain / REGISTERS > 0.5
    assert adjusted / REGISTERS < 0.05 + 3 * math.sqrt(0.05 * 0.95 / REGISTERS)
