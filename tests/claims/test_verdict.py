"""Verdicts on planted cases: what is there is found, and what is not is not called so too often."""

import math

import numpy as np
import pytest

from deepinside.claims.measures import mean_estimate, seeds_estimate, shares_estimate
from deepinside.claims.verdict import (
    CONTRADICTED,
    DECIDED,
    NEGLIGIBLE,
    SUPPORTED,
    UNDECIDED,
    Estimate,
    Rule,
    after_holm,
    enough,
    family,
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
        (0.01, 0.1, Rule(above=0.1), NEGLIGIBLE),
        (-0.01, 0.02, Rule(above=0.1), NEGLIGIBLE),
        (-0.05, -0.01, Rule(above=0.1), NEGLIGIBLE),  # the opposite, and as small
        (-0.3, 0.05, Rule(above=0.1), NEGLIGIBLE),  # the opposite is not shown
        (-0.3, -0.05, Rule(above=0.1), CONTRADICTED),
        (-0.3, 0.2, Rule(above=0.1), UNDECIDED),
        (-0.4, -0.2, Rule(below=-0.1), SUPPORTED),
        (-0.1, -0.02, Rule(below=-0.1), NEGLIGIBLE),
        (0.02, 0.2, Rule(below=-0.1), CONTRADICTED),
        (-0.2, 0.2, Rule(below=-0.1), UNDECIDED),
        (0.1, 0.2, Rule(above=0), SUPPORTED),
        (-0.2, -0.1, Rule(above=0), CONTRADICTED),
        (-0.1, 0.1, Rule(within=(-0.2, 0.2)), SUPPORTED),
        (-0.1, 0.3, Rule(within=(-0.2, 0.2)), UNDECIDED),
        (0.25, 0.3, Rule(within=(-0.2, 0.2)), CONTRADICTED),
        (math.nan, math.nan, Rule(above=0), UNDECIDED),
        (0.3, 0.3, Rule(above=0), UNDECIDED),  # no width is no interval
    ],
)
def test_verdicts_by_hand(low, high, rule, said):
    found = Estimate((low + high) / 2, low, high, 10)
    assert verdict(found, rule) == said
    if said in DECIDED:
        assert p_value(found, rule) <= 0.025 + 1e-9


def test_a_failure_that_a_paper_predicts_supports_its_claim():
    """Guided back-propagation: the position of its map stays near 1, where that of another image has 0."""
    assert verdict(Estimate(0.95, 0.9, 1.0, 50, null=0.0), Rule(above=0.5)) == SUPPORTED
    assert verdict(Estimate(0.05, -0.1, 0.2, 50, null=0.0), Rule(above=0.5)) == NEGLIGIBLE


@pytest.mark.parametrize(
    "wrong", [{}, {"above": 1, "below": -2}, {"within": (2, 1)}, {"above": -1}, {"below": 2}, {"within": (0.1, 0.3)}]
)
def test_a_rule_has_one_border_which_the_null_does_not_meet(wrong):
    with pytest.raises(ValueError, match=r"a rule has one limit|difference from the null"):
        Rule(**wrong)


@pytest.mark.parametrize("rule", [Rule(above=0.5), Rule(below=-0.5), Rule(within=(-1.0, 1.0))])
def test_p_values_and_t_intervals_tell_the_same(rule):
    random = np.random.default_rng(0)
    for _ in range(REGISTERS):
        found = seeds_estimate(random.normal(random.normal(0, 2), 1, 5), 0.0)
        assert (p_value(found, rule) < 0.025) == (verdict(found, rule) != UNDECIDED)


def test_nothing_of_seven_is_no_certainty():
    """All seven failed: at least 59 % of all do, and no p-value is 0."""
    none = shares_estimate(np.zeros(7), None, 0.5)
    assert (none.value, none.low) == (-0.5, -0.5)
    assert none.high == pytest.approx(0.41 - 0.5, abs=0.001)
    assert 0 < p_value(none, Rule(below=0)) < 0.025
    assert verdict(none, Rule(below=-0.2)) == UNDECIDED
    equal = mean_estimate(np.full(7, 0.4), 0.0)
    assert verdict(equal, Rule(above=0.1)) == UNDECIDED
    assert math.isnan(p_value(equal, Rule(above=0.1)))
    assert math.isnan(power(equal, Rule(above=0.1), None))


def decided(effect, rule, estimate, n, seed=0):
    random = np.random.default_rng(seed)
    found = [verdict(estimate(random.normal(effect, 1, n), 0.0), rule) for _ in range(REGISTERS)]
    return {word: found.count(word) / REGISTERS for word in (SUPPORTED, NEGLIGIBLE, CONTRADICTED, UNDECIDED)}


@pytest.mark.parametrize(("estimate", "n"), [(seeds_estimate, 5), (mean_estimate, 8), (mean_estimate, 30)])
def test_an_effect_at_the_border_is_called_no_more_often_than_stated(estimate, n):
    """2.5 % to either side, and three standard errors of 200 registers above."""
    shares = decided(0.5, Rule(above=0.5), estimate, n)
    most = 0.025 + 3 * math.sqrt(0.025 / REGISTERS)
    assert shares[SUPPORTED] < most
    assert shares[NEGLIGIBLE] + shares[CONTRADICTED] < most
    null = decided(0.0, Rule(above=0.5), estimate, n)
    assert null[SUPPORTED] + null[CONTRADICTED] < 2 * most


@pytest.mark.parametrize(("estimate", "n", "effect"), [(seeds_estimate, 5, 2.5), (mean_estimate, 30, 1.2)])
def test_a_planted_effect_a_null_and_an_opposite_are_told_apart(estimate, n, effect):
    rule = Rule(above=0.5)
    assert decided(effect, rule, estimate, n)[SUPPORTED] > 0.8
    assert decided(-effect, rule, estimate, n)[CONTRADICTED] > 0.8
    assert decided(0, rule, estimate, 12 * n)[NEGLIGIBLE] > 0.9


@pytest.mark.parametrize("n", [10, 40])
def test_power_is_how_often_an_effect_as_large_as_asked_excludes_the_null(n):
    random, rule = np.random.default_rng(1), Rule(above=0.5)
    found = [seeds_estimate(random.normal(0.5, 1, n), 0.0) for _ in range(1000)]
    stated = np.mean([power(one, rule, None) for one in found])
    assert np.mean([one.low > 0 for one in found]) == pytest.approx(stated, abs=0.05)
    assert power(found[0], Rule(above=0), 0.5) == power(found[0], rule, None)


@pytest.mark.parametrize("rule", [Rule(above=0.3), Rule(below=-0.3), Rule(within=(-0.3, 0.3))])
def test_enough_units_give_the_power_that_counts(rule):
    few = Estimate(0.1, -0.5, 0.7, 20)
    assert power(few, rule, None) < 0.8
    n = enough(few, rule, None)
    half = 0.6 * math.sqrt(20 / n)
    assert power(Estimate(0.1, 0.1 - half, 0.1 + half, n), rule, None) == pytest.approx(0.8, abs=0.01)


def test_two_sided_claims_of_equality_need_a_narrow_interval():
    assert decided(0, Rule(within=(-1, 1)), mean_estimate, 40)[SUPPORTED] > 0.95
    assert decided(0, Rule(within=(-1, 1)), seeds_estimate, 2)[SUPPORTED] < 0.2  # not knowing is not equality


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, math.nan]).tolist()[:3] == pytest.approx([0.03, 0.06, 0.06])
    assert math.isnan(holm([math.nan])[0])
    verdicts = [SUPPORTED, NEGLIGIBLE, CONTRADICTED, "not_posed"]
    assert after_holm(verdicts, [0.02, 0.001, 0.02, math.nan]) == [UNDECIDED, NEGLIGIBLE, UNDECIDED, "not_posed"]


def test_data_sets_of_one_family_are_counted_together():
    assert family("photographs_squeezenet") == family("photographs") == "photographs"
    assert family("real") == "real"


def test_a_register_of_nulls_is_called_at_all_in_few_registers():
    """Twenty claims, all at their border: plainly most registers call one, after Holm one in twenty does."""
    random = np.random.default_rng(2)
    rule, plain, adjusted = Rule(above=0.0), 0, 0
    for _ in range(REGISTERS):
        values = [p_value(seeds_estimate(random.normal(0, 1, 5), 0.0), rule) for _ in range(20)]
        plain += min(values) < 0.025
        adjusted += bool((holm(values) < 0.025).any())
    assert plain / REGISTERS > 0.5
    assert adjusted / REGISTERS < 0.05 + 3 * math.sqrt(0.05 * 0.95 / REGISTERS)
