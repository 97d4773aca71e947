"""The slippery lake against an enumeration of its transitions, written from the release's rules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from rlsuite_envs.kernel import make_kernel
from rlsuite_envs.mazes.grids.frozen_lake import LakeNoise, LakeState, SlipperyLake
from rlsuite_envs.vector import TensorVectorEnv

Outcomes = list[tuple[float, int, float, bool]]


def enumerate_lake(rows: tuple[str, ...], slip: float = 0.5) -> dict[tuple[int, int], Outcomes]:
    """(cell, action) -> [(probability, next cell, reward, done)]."""
    height, width = len(rows), len(rows[0])
    tiles = np.random.RandomState(42).dirichlet(np.ones(4), size=(height, width))
    goal = next((i, j) for i in range(height) for j in range(width) if rows[i][j] == "G")

    def go(i: int, j: int, a: int) -> tuple[int, int]:
        return [
            (i, max(j - 1, 0)),
            (min(i + 1, height - 1), j),
            (i, min(j + 1, width - 1)),
            (max(i - 1, 0), j),
        ][a]

    def worth(i: int, j: int) -> float:
        if rows[i][j] == "G":
            return 1.0
        penalty = 1 / (height + width) if rows[i][j] == "H" else 0.0
        return 1 / (1 + abs(i - goal[0]) + abs(j - goal[1])) - penalty

    table: dict[tuple[int, int], Outcomes] = {}
    for i in range(height):
        for j in range(width):
            for a in range(4):
                s = i * width + j
                if rows[i][j] in "GH":
                    table[s, a] = [(1.0, s, 0.0, True)]
                    continue
                k, m = go(i, j, a)
                if rows[k][m] == "G":
                    table[s, a] = [(1.0, k * width + m, 1.0, True)]
                    continue
                table[s, a] = [(1 - slip, k * width + m, worth(k, m), False)]
                for b in range(4):
                    u, v = go(k, m, b)
                    outcome = (
                        slip * tiles[k, m, b],
                        u * width + v,
                        worth(k, m) + worth(u, v),
                        rows[u][v] == "G",
                    )
                    table[s, a].append(outcome)
    return table


def best_policy(table: dict[tuple[int, int], Outcomes], cells: int, discount: float) -> list[int]:
    values = [0.0] * cells
    for _ in range(200):
        q = {
            key: sum(p * (r + discount * values[n] * (not done)) for p, n, r, done in outcomes)
            for key, outcomes in table.items()
        }
        values = [max(q[s, a] for a in range(4)) for s in range(cells)]
    return [max(range(4), key=lambda a, s=s: q[s, a]) for s in range(cells)]


def expected_return(table: dict[tuple[int, int], Outcomes], policy: list[int], start: int, steps: int) -> float:
    values = [0.0] * len(policy)
    for _ in range(steps):
        values = [
            sum(p * (r + values[n] * (not done)) for p, n, r, done in table[s, policy[s]]) for s in range(len(policy))
        ]
    return values[start]


@pytest.mark.parametrize("preset", [None, "4x4"])
def test_simulated_returns_are_those_of_the_enumeration(preset: str | None) -> None:
    kernel = make_kernel(SlipperyLake, preset=preset)
    table = enumerate_lake(kernel.rows)
    policy = best_policy(table, len(kernel.worth), 0.9)
    env = TensorVectorEnv(4000, kernel=kernel)
    env.reset(seed=0)
    actions, alive = torch.tensor(policy), torch.ones(4000, dtype=torch.bool)
    returns = torch.zeros(4000)
    for _ in range(100):
        _, reward, terminated, truncated, _ = env.step(actions[env.state.cell])
        returns += reward * alive
        alive &= ~(terminated | truncated)
    assert not alive.any()
    exact = expected_return(table, policy, int(kernel.starts[0]), 100)
    error = returns.std().item() / math.sqrt(4000)
    assert abs(returns.mean().item() - exact) < 4 * error
    assert exact > 1.3 * expected_return(table, [0] * len(policy), int(kernel.starts[0]), 100) > 0


def test_frequencies_rewards_and_ends_are_those_of_the_enumeration() -> None:
    kernel = make_kernel(SlipperyLake, preset="4x4", dtype="float64")
    table = enumerate_lake(kernel.rows)
    num, rng = 3000, torch.Generator().manual_seed(0)
    for (cell, action), outcomes in table.items():
        state = LakeState(torch.full((num,), cell))
        after, reward, done = kernel.advance(state, torch.full((num,), action), kernel.sample_exogenous(state, rng))
        found: dict[tuple[int, float, bool], int] = {}
        for key in zip(after.cell.tolist(), reward.tolist(), done.tolist(), strict=True):
            rounded = (key[0], round(key[1], 9), key[2])
            found[rounded] = found.get(rounded, 0) + 1
        expected: dict[tuple[int, float, bool], float] = {}
        for p, n, r, d in outcomes:
            expected[n, round(r, 9), d] = expected.get((n, round(r, 9), d), 0.0) + p
        assert set(found) <= set(expected)
        for key, p in expected.items():
            slack = 5 * math.sqrt(num * p * (1 - p)) + 1e-9
            assert abs(found.get(key, 0) - num * p) <= slack, (cell, action, key)


def test_one_step_by_hand() -> None:
    """From the corner of the 4x4 lake to the right, then pushed down into the hole (1, 1)."""
    kernel = make_kernel(SlipperyLake, preset="4x4", dtype="float64")
    state, right = LakeState(torch.tensor([0, 0])), torch.tensor([2, 2])
    post, caused = kernel.post_decision(state, right)
    assert post.cell.tolist() == [1, 1]
    assert caused.tolist() == pytest.approx([1 / 6, 1 / 6])  # five steps from the goal
    left = float(kernel.tile_probabilities[1, 0])
    noise = LakeNoise(torch.tensor([0.49, 0.5]), torch.tensor([left + 1e-9, 0.0], dtype=torch.float64))
    after, befallen, terminated = kernel.transition(post, noise)
    assert after.cell.tolist() == [5, 1]
    assert befallen.tolist() == pytest.approx([1 / 5 - 1 / 8, 0.0])  # a hole four steps from the goal
    assert terminated.tolist() == [False, False]


def test_tile_distributions_are_the_legacy_seeds() -> None:
    kernel = make_kernel(SlipperyLake, dtype="float64")
    expected = np.random.RandomState(42).dirichlet([1, 1, 1, 1], size=(10, 10))
    np.testing.assert_allclose(kernel.tile_probabilities.reshape(10, 10, 4), expected, rtol=1e-12)
    # Recorded after np.random.seed(42), as the release calls it.
    assert kernel.tile_probabilities[0].tolist() == pytest.approx(
        [0.08219683, 0.52725178, 0.23064070, 0.15991069], abs=1e-8
    )
    assert kernel.tile_probabilities[99].tolist() == pytest.approx(
        [0.36816984, 0.10553607, 0.26174880, 0.26454529], abs=1e-8
    )
    other = make_kernel(SlipperyLake, tile_seed=43)
    assert (other.tile_probabilities - kernel.tile_probabilities).abs().max() > 0.1


def test_both_splits_of_the_reward_add_up_to_the_same_steps() -> None:
    kernels = [make_kernel(SlipperyLake, post_reward=name, dtype="float64") for name in ("consistent", "release")]
    cells = torch.arange(100).repeat_interleave(4 * 10)
    actions = torch.arange(4).repeat_interleave(10).repeat(100)
    noise = kernels[0].sample_exogenous(LakeState(cells), torch.Generator().manual_seed(1))
    results = [kernel.advance(LakeState(cells), actions, noise) for kernel in kernels]
    for ours, release in zip(*results, strict=True):
        if isinstance(ours, torch.Tensor):
            torch.testing.assert_close(ours, release)
        else:
            assert torch.equal(ours.cell, release.cell)
    (ours, given), (release, release_given) = (k.post_decision(LakeState(cells), actions) for k in kernels)
    from_ice = ~kernels[0].hole[cells] & ~kernels[0].goal[cells]
    onto_hole = from_ice & kernels[0].hole[ours.cell]
    assert torch.equal(ours.cell[from_ice], release.cell[from_ice])
    torch.testing.assert_close(
        release_given - given, torch.where(onto_hole, 1 / 20, 0.0).double() + release_given * ~from_ice
    )


def test_a_hole_keeps_one_and_ends_the_episode_a_step_later() -> None:
    kernel = make_kernel(SlipperyLake, preset="4x4", slip_probability=0.0)
    env = TensorVectorEnv(1, kernel=kernel)
    env.reset(seed=0)
    env.step(torch.tensor([1]))
    _, reward, terminated, _, info = env.step(torch.tensor([2]))
    assert (terminated.item(), info["in_hole"].item()) == (False, True)
    assert reward.item() == pytest.approx(1 / 5 - 1 / 8)
    for action in range(4):
        after, reward, terminated = kernel.advance(
            LakeState(torch.tensor([5])), torch.tensor([action]), LakeNoise(torch.zeros(1), torch.zeros(1))
        )
        assert (after.cell.item(), reward.item(), terminated.item()) == (5, 0.0, True)


def test_post_decision_observation_is_the_tile_before_the_push() -> None:
    kernel = make_kernel(SlipperyLake)
    post, _ = kernel.post_decision(LakeState(torch.tensor([0, 0])), torch.tensor([2, 0]))
    seen = kernel.observe_post(post)
    assert seen.shape == (2, 100) and seen.sum(1).tolist() == [1.0, 1.0]
    assert seen.argmax(1).tolist() == [1, 0]


def test_drawn_maps_are_gymnasiums_and_have_a_way() -> None:
    from gymnasium.envs.toy_text.frozen_lake import generate_random_map

    for seed in range(5):
        kernel = make_kernel(SlipperyLake, size=7, map_seed=seed)
        assert list(kernel.rows) == generate_random_map(7, 0.8, seed)
    assert make_kernel(SlipperyLake).rows != make_kernel(SlipperyLake, map_seed=1).rows


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"size": 1}, r"size=1 must be an integer in 2\.\.32"),
        ({"frozen_probability": 0.2}, r"frozen_probability=0.2 must lie in \[0.6, 1\]"),
        ({"frozen_probability": math.nan}, "frozen_probability=nan"),
        ({"slip_probability": 1.5}, r"slip_probability=1.5 must lie in \[0, 1\]"),
        ({"post_reward": "paper"}, "post_reward='paper' must be one of"),
        ({"horizon": 0}, "horizon=0"),
        ({"tile_seed": -1}, "tile_seed=-1"),
        ({"maze_map": ["SF", "FF"]}, r"1 starts \(S\) and 0 goals \(G\)"),
        ({"maze_map": ["FF", "FG"]}, "0 starts"),
        ({"maze_map": ["SG", "FG"]}, "2 goals"),
        ({"maze_map": ["SH", "HG"]}, "goal in row 1, column 1 cannot be reached from the start in row 0"),
        ({"maze_map": ["SFS", "HHH", "SFG"]}, "cannot be reached"),
        ({"maze_map": ["SX", "FG"]}, "'X' in row 0, column 1"),
    ],
)
def test_bad_constants(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_kernel(SlipperyLake, **constants)
