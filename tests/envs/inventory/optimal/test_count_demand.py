"""Demand from tables: every distribution against SciPy's, drawn and added up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chisquare, norm, poisson

from rlsuite_envs.inventory.optimal.count_demand import CountDemand, _alias_cells, count_table

UNITS = np.arange(200)


@pytest.mark.parametrize(
    ("distribution", "parameters", "expected"),
    [
        ("binomial", (20, 0.4), binom.pmf(UNITS, 20, 0.4)),
        ("binomial", (0, 0.4), UNITS == 0),
        ("poisson", (7.5,), poisson.pmf(UNITS, 7.5)),
        ("poisson", (0,), UNITS == 0),
        ("uniform", (2, 5), (UNITS >= 2) & (UNITS <= 5)),
        ("pmf", ((7, 0, 3), (1, 2, 5)), np.bincount([7, 0, 3], [1, 2, 5], 200)),
        ("normal", (8, 0), UNITS == 8),
        ("normal", (8, 3), norm.cdf(UNITS + 0.5, 8, 3) - np.where(UNITS, norm.cdf(UNITS - 0.5, 8, 3), 0)),
    ],
)
def test_demand_has_its_distribution(distribution: str, parameters: Any, expected: np.ndarray) -> None:
    table = count_table(distribution, parameters, 3)
    expected = expected / expected.sum()
    np.testing.assert_allclose(table[0], expected[: table.shape[1]], atol=1e-12)
    demand = CountDemand(table, 3, device=torch.device("cpu"), dtype=torch.float32)
    draws = demand.sample(40_000, torch.Generator().manual_seed(2)).numpy().astype(int)
    counts = np.bincount(draws.ravel(), minlength=table.shape[1])
    assert len(counts) == table.shape[1] and not counts[table[0] == 0].any()
    likely = table[0] * draws.size > 10
    rest = [1 - table[0][likely].sum()]
    if rest[0] * draws.size > 1:
        observed, wanted = np.append(counts[likely], counts[~likely].sum()), np.append(table[0][likely], rest)
    else:
        observed, wanted = counts[likely], table[0][likely]
    if len(observed) > 1:
        assert chisquare(observed, wanted / wanted.sum() * observed.sum()).pvalue > 0.001
    assert draws.std() == 0 or abs(np.corrcoef(draws[:, 0], draws[:, 1])[0, 1]) < 0.02


def test_demand_by_item() -> None:
    table = count_table("binomial", ((20, 4, 0), 0.5), 3)
    demand = CountDemand(table, 3, device=torch.device("cpu"), dtype=torch.float64)
    draws = demand.sample(50_000, torch.Generator().manual_seed(3))
    assert draws.mean(0).tolist() == pytest.approx([10, 2, 0], abs=0.05)
    assert draws.var(0).tolist() == pytest.approx([5, 1, 0], abs=0.12)
    assert draws.amax(0).tolist()[1:] == [4, 0]
    weights = ((1, 0), (0, 1), (1, 3))
    table = count_table("pmf", ((2, 6), weights), 3)
    np.testing.assert_allclose(table[:, [2, 6]], [[1, 0], [0, 1], [0.25, 0.75]])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12).filter(lambda w: sum(w) > 1e-3))
@settings(max_examples=60, deadline=None)
def test_cells_of_equal_probability_add_up_to_any_table(weights: list[float]) -> None:
    wanted = np.array(weights) / sum(weights)
    thresholds, others = _alias_cells(wanted)
    own = thresholds - np.arange(len(wanted))
    assert ((own >= 0) & (own <= 1)).all()
    found = (own + np.bincount(others, 1 - own, len(wanted))) / len(wanted)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
