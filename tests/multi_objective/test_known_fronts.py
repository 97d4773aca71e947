"""Sets of policies on tasks of known fronts: nothing unattainable is claimed, and what can be found is."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from rlsuite import CMORL
from rlsuite.multi_objective import expected_utility, hypervolume, nondominated, weight_grid
from rlsuite_zoo.runs.recipe import find_recipe

TREASURE, TREE = "rlsuite/DeepSeaTreasure-concave-v0", "rlsuite/FruitTree-depth5-v0"


def trained(env: str, steps: int, seed: int = 0, recipe: str | None = None, **more: Any) -> CMORL:
    found = find_recipe("cmorl", env, recipe)
    config = {name: tuple(value) if isinstance(value, list) else value for name, value in found.config.items()}
    model = CMORL(env, num_envs=found.num_envs, seed=seed, device="cpu", **config)
    return model.learn(steps, log_interval=None, **more)


def true_front(env: str, gamma: float) -> np.ndarray:
    return np.asarray(gym.make(env).unwrapped.pareto_front(gamma))


def test_every_fruit_that_is_claimed_hangs_on_the_tree() -> None:
    model = trained(TREE, 12_000)
    leaves = true_front(TREE, 1.0)
    for point in model.archive["undiscounted"].numpy():
        assert np.abs(leaves - point).max(1).min() < 1e-5, point
    discounted = true_front(TREE, model.config.eval_gamma)
    for point in model.front:
        assert np.abs(discounted - point).max(1).min() < 1e-5, point
    assert len(model.front) >= 6


def test_nothing_beyond_the_front_and_volumes_never_shrink() -> None:
    volumes: list[float] = []

    def look(model: Any) -> None:
        if len(model.archive):
            volumes.append(hypervolume(model.front, model.search.reference).value)

    model = trained(TREASURE, 12_000, on_update=look)
    front = true_front(TREASURE, model.config.eval_gamma)
    for point in model.front:
        assert (front >= point - 1e-6).all(1).any(), point
    assert len(volumes) > 5 and (np.diff(volumes) >= -1e-9).all()
    assert len(nondominated(model.front)) == len(model.front)
    assert volumes[-1] <= hypervolume(front, model.search.reference).value * (1 + 1e-9)


def test_extension_begins_at_the_parents_and_holds_the_other_goals_above_their_thresholds() -> None:
    """With the barrier on, what an extension ends with keeps beta of its parent's margin in the goals not pushed."""
    model = trained(TREE, 20_000)
    search = model.search
    assert search.stage == 2
    above = search.returns >= search.threshold - 1e-6
    others = np.array([np.delete(row, goal).all() for row, goal in zip(above, search.target, strict=True)])
    assert others.mean() > 0.5
    assert set(search.parent.tolist()) <= set(range(search.born))


def test_the_member_that_plays_is_the_argmax_and_expected_utility_the_mean_of_such() -> None:
    model = trained(TREASURE, 12_000)
    grid = weight_grid(2, 20)
    utilities = [float(w @ model.front[model.select(w)]) for w in grid]
    assert np.allclose(utilities, (grid @ model.front.T).max(1))
    assert expected_utility(model.front, grid) == pytest.approx(np.mean(utilities))


@pytest.mark.slow
def test_all_ten_treasures_are_found() -> None:
    found = [len(trained(TREASURE, 100_000, seed).front) for seed in range(10)]
    assert sum(count >= 8 for count in found) >= 8, found


@pytest.mark.slow
def test_more_fruits_than_the_authors_archive_holds() -> None:
    assert len(trained("rlsuite/FruitTree-v0", 400_000).front) > 40
