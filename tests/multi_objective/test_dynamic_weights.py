"""Hypervolume-guided step sizes: values by hand, scale, and what they do to training."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from rlsuite import CMORL
from rlsuite.multi_objective import meta_reward, scaled_meta_reward

FRONT = [(1.0, 3.0), (2.0, 2.0)]


def test_values_by_hand() -> None:
    """Above (0, 0) the front covers 5; the four points add 1, 0.25, 0.5 and nothing."""
    found = meta_reward(FRONT, [(3.0, 1.0), (1.5, 2.5), (0.5, 4.0), (1.0, 1.0)], (0.0, 0.0))
    assert found == pytest.approx([0.5 + 1.5 * np.tanh(added) for added in (1.0, 0.25, 0.5, 0.0)], abs=1e-12)
    assert found == pytest.approx([1.6423912339, 0.8673779936, 1.1931757359, 0.5], abs=1e-9)


def test_an_empty_front_and_points_below_the_reference() -> None:
    assert meta_reward(np.zeros((0, 2)), [(1.0, 1.0), (-1.0, 5.0)], (0.0, 0.0)) == pytest.approx(
        [0.5 + 1.5 * np.tanh(1.0), 0.5]
    )


def test_scaling_takes_the_units_out() -> None:
    points = np.array([(3.0, 1.0), (1.5, 2.5), (1.0, 1.0)])
    units, shift = np.array([1e4, 1e-3]), np.array([-7.0, 11.0])
    plain = scaled_meta_reward(FRONT, points, (0.0, 0.0))
    other = scaled_meta_reward(np.array(FRONT) * units + shift, points * units + shift, shift)
    assert other == pytest.approx(plain, rel=1e-9)
    # the best are 3 and 3: the first point adds a square of a third by a third
    assert plain[0] == pytest.approx(0.5 + 1.5 * np.tanh(1 / 9)) and plain[2] == 0.5


@pytest.mark.parametrize(
    ("points", "message"), [([(1.0, float("nan"))], "finite"), ([(1.0, 2.0, 3.0)], "objectives"), ([], "shape|vector")]
)
def test_bad_points_are_named(points: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        meta_reward(FRONT, points, (0.0, 0.0))


def test_training_follows_it_in_stage_1_and_not_in_stage_2() -> None:
    seen: list[tuple[int, np.ndarray, np.ndarray]] = []

    def look(model: Any) -> None:
        seen.append((model.search.stage, model.search.rates.copy(), model.search.multiplier.copy()))

    common: dict[str, Any] = {"num_envs": 12, "n_steps": 16, "eval_interval": 1, "eval_episodes": 1, "seed": 0}
    common |= {"reference": (0.0, -50.0), "batch_size": 32, "n_epochs": 1, "learning_rate": 1e-3, "init_fraction": 0.5}
    model = CMORL("rlsuite/DeepSeaTreasure-v0", weighting="hypervolume", **common)
    model.learn(12 * 16 * 6, on_update=look, log_interval=None)
    first = [entry for entry in seen if entry[0] == 1]
    assert np.all(first[0][1] == 1e-3)  # nothing was measured before
    for (_, _, measured), (_, rates, _) in pairwise(first):
        assert rates == pytest.approx(1e-3 * measured)
    assert any(np.ptp(multiplier) > 0 for _, _, multiplier in first)
    later = [rates for stage, rates, _ in seen[len(first) + 1 :] if stage == 2]
    assert later and all(np.all(rates == model.config.extension_learning_rate) for rates in later)
