"""Minecart equals mo-gymnasium's frame by frame, given the same yields, and its yields have the same distribution."""

from __future__ import annotations

import itertools
import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlsuite_envs.kernel import make_kernel
from rlsuite_envs.multi_objective.minecart import CartState, Minecart

mo_gymnasium = pytest.importorskip("mo_gymnasium")
pytestmark = pytest.mark.filterwarnings("ignore:.*precision lowered by casting:UserWarning")  # of its Boxes


class Draws:
    """A distribution whose draws are given: mean + std * z, z from a queue that all mines share."""

    def __init__(self, mean: float, std: float, queue: list[float]) -> None:
        self.mean, self.std, self.queue = mean, std, queue

    def rvs(self) -> float:
        return self.mean + self.std * self.queue.pop(0)


def theirs_with(queue: list[float], id: str = "minecart-v0", **kwargs: Any) -> Any:
    env = mo_gymnasium.make(id, **kwargs).unwrapped
    for mine in env.mines:
        mine.distributions = [Draws(*dist.args, queue) for dist in mine.distributions]
    return env


def put(env: Any, state: CartState, row: int) -> None:
    cart, env.end = env.cart, False
    cart.pos, cart.speed = state.position[row].numpy().copy(), float(state.speed[row])
    cart.angle, cart.departed = int(state.angle[row]), bool(state.departed[row])
    cart.content = state.content[row].numpy().copy()


def states(count: int, seed: int) -> tuple[CartState, torch.Tensor]:
    """Carts everywhere, many at walls, near mines, near home, standing, or full."""
    rng = np.random.default_rng(seed)
    mines = np.array([(0.16, 0.84), (0.5, 0.84), (0.84, 0.84), (0.84, 0.5), (0.84, 0.16)])
    near_mine = mines[rng.integers(5, size=count)] + rng.uniform(-0.15, 0.15, (count, 2))
    wall = np.where(rng.random((count, 2)) < 0.4, rng.integers(0, 2, (count, 2)), rng.random((count, 2)))
    home = rng.uniform(0, 0.25, (count, 2))
    kind = rng.integers(4, size=count)
    position = np.choose(kind[:, None], [rng.random((count, 2)), near_mine.clip(0, 1), wall, home])
    speed = rng.choice([0.0, 0.0005, 0.0015, 0.02, 0.05, 0.3, 1.0], count)
    content = rng.random((count, 2)) * 0.75 * rng.integers(0, 2, (count, 1))
    full = rng.random(count) < 0.1
    content[full] = content[full] * 0 + (0.6, 0.9)
    action = torch.as_tensor(rng.choice(6, count, p=(0.3, 0.14, 0.14, 0.14, 0.14, 0.14)))
    angle = torch.as_tensor(rng.integers(-4, 40, count) * 10 + 5)
    departed = torch.as_tensor(rng.random(count) < 0.7)
    numbers = [torch.as_tensor(x, dtype=torch.float64) for x in (position, speed, content)]
    return CartState(numbers[0], numbers[1], angle, numbers[2], departed), action


@pytest.mark.parametrize(("incremental", "skip"), [(True, 4), (True, 1), (False, 4)])
def test_every_step_equals_mo_gymnasiums_given_the_same_draws(incremental: bool, skip: int) -> None:
    count = 1500
    state, action = states(count, skip)
    constants: dict[str, Any] = {"frame_skip": skip, "incremental_frame_skip": incremental}
    kernel = make_kernel(Minecart, dtype="float64", **constants)
    noise = kernel.sample_exogenous(state, torch.Generator().manual_seed(0))
    after, reward, terminated = kernel.advance(state, action, noise)
    seen = kernel.observe(after).numpy()
    queue: list[float] = []
    theirs = theirs_with(queue, frame_skip=skip, incremental_frane_skip=incremental)
    for row in range(count):
        put(theirs, state, row)
        queue[:] = noise[row].flatten().tolist()
        obs, paid, ended, _, _ = theirs.step(int(action[row]))
        np.testing.assert_allclose(seen[row], obs, atol=1e-6)
        np.testing.assert_allclose(after.position[row], theirs.cart.pos, atol=1e-14)
        np.testing.assert_allclose(after.content[row], theirs.cart.content, atol=1e-14)
        assert float(after.speed[row]) == pytest.approx(theirs.cart.speed, abs=1e-14)
        assert int(after.angle[row]) == theirs.cart.angle
        np.testing.assert_allclose(reward[row], paid, atol=1e-6)
        assert bool(terminated[row]) == ended
        if not ended:
            assert bool(after.departed[row]) == theirs.cart.departed
    assert terminated.sum() > 20 and (after.content.sum(1) > state.content.sum(1) + 0.01).sum() > 20
    assert (after.angle != state.angle)[action == 5].sum() > 5  # along walls
    assert make_kernel(Minecart).reward_space == mo_gymnasium.make("minecart-v0").unwrapped.reward_space
    assert kernel.observation_space == theirs.observation_space and seen.dtype == obs.dtype


def behaviour(rng: np.random.Generator, steps: int) -> list[int]:
    """Actions held for a while, which leads to mines and home more often than single ones."""
    actions: list[int] = []
    while len(actions) < steps:
        actions += [int(rng.choice(6, p=(0.2, 0.15, 0.15, 0.2, 0.1, 0.2)))] * int(rng.integers(1, 6))
    return actions[:steps]


TO_THE_FAR_MINE_AND_BACK = [3, *[5] * 9, 4, *[0] * 4, *[2] * 4, 3, 3, *[5] * 40]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_whole_episodes_equal_mo_gymnasiums_deterministic_ones(dtype: str) -> None:
    ours = gym.make("rlsuite/Minecart-deterministic-v0", dtype=dtype)
    theirs = mo_gymnasium.make("minecart-deterministic-v0")
    sold = 0.0
    plans = [TO_THE_FAR_MINE_AND_BACK]
    if dtype == "float64":  # at random, carts come back to where they were: see the kernel
        plans += [behaviour(np.random.default_rng(seed), 150) for seed in range(4)]
    for plan in plans:
        np.testing.assert_allclose(ours.reset(seed=0)[0], theirs.reset(seed=0)[0], atol=1e-7)
        for action in plan:
            mine, other = ours.step(action), theirs.step(action)
            np.testing.assert_allclose(mine[0], other[0], atol=1e-6 if dtype == "float64" else 2e-4)
            np.testing.assert_allclose(mine[1], other[1], atol=1e-6)  # type: ignore[arg-type]
            assert mine[2:4] == other[2:4]
            sold += mine[1][0]  # type: ignore[index]
            if mine[2]:
                break
    assert sold > 0.5


def test_yields_are_distributed_as_mo_gymnasiums() -> None:
    kernel = make_kernel(Minecart, dtype="float64")
    count = 40_000
    theirs = mo_gymnasium.make("minecart-v0").unwrapped
    ours_params = [(mine.pos.tolist(), [d.args for d in mine.distributions]) for mine in theirs.mines]
    assert [(list(place), list(ores)) for place, ores in kernel.params.mines] == ours_params
    at_mine = kernel.initial_state(count, torch.Generator())
    position = torch.tensor([0.16, 0.84], dtype=torch.float64).expand(count, 2)
    state = CartState(position, at_mine.speed, at_mine.angle, at_mine.content, at_mine.departed)
    noise = kernel.sample_exogenous(state, torch.Generator().manual_seed(1))
    after, _, _ = kernel.advance(state, torch.zeros(count, dtype=torch.int64), noise)
    density = 1 / math.sqrt(2 * math.pi)
    # Four frames of max(0, N(0.2, 0.05)), hardly ever below 0, and of max(0, N(0, 0.05)).
    for ore, mean, variance in (
        (0, 0.8, 4 * 0.05**2),
        (1, 4 * 0.05 * density, 4 * 0.05**2 * (0.5 - density**2)),
    ):
        found = after.content[:, ore].numpy()
        assert found.mean() == pytest.approx(mean, abs=5 * (variance / count) ** 0.5 + 1e-5)
        assert found.var() == pytest.approx(variance, rel=0.05)
    drawn = np.array([[theirs.mines[0].mine() for _ in range(4)] for _ in range(500)]).sum(1)
    assert drawn[:, 1].mean() == pytest.approx(4 * 0.05 * density, abs=0.01)


def test_rewards_and_observations_stay_in_their_spaces() -> None:
    for preset in (None, "deterministic"):
        kernel = make_kernel(Minecart, preset=preset)
        state, action = states(3000, 7)
        for number in range(3):
            single = CartState(
                *(x.float() if x.is_floating_point() else x for x in (state.position, state.speed)),
                state.angle,
                state.content.float(),
                state.departed,
            )
            noise = kernel.sample_exogenous(single, torch.Generator().manual_seed(number))
            state, reward, _ = kernel.advance(single, action, noise)
            assert all(map(kernel.reward_space.contains, reward.numpy()))
            assert all(map(kernel.observation_space.contains, kernel.observe(state).numpy()))


def test_time_limit_and_names() -> None:
    env = gym.make("rlsuite/Minecart-v0")
    theirs = mo_gymnasium.make("minecart-v0")
    assert env.spec and env.spec.max_episode_steps == theirs.spec.max_episode_steps == 1000
    inner: Any = env.unwrapped
    assert inner.objective_names == ("ore 1", "ore 2", "fuel")
    with pytest.raises(NotImplementedError, match="Minecart has no front"):
        inner.pareto_front(0.98)
    kernel = make_kernel(Minecart)
    state = kernel.initial_state(2, torch.Generator())
    with pytest.raises(ValueError, match="needs the noise"):
        kernel.advance(state, torch.zeros(2, dtype=torch.int64))
    assert make_kernel(Minecart, preset="deterministic").sample_exogenous(state, torch.Generator()) is None


def test_more_ores_are_more_objectives() -> None:
    env: Any = gym.make_vec("rlsuite/Minecart-v0", num_envs=3, mines=[[[0.3, 0.3], [[0.1, 0], [0.2, 0], [0.3, 0]]]])
    assert (env.reward_dim, len(env.objective_names), env.single_observation_space.shape) == (4, 4, (8,))
    env.reset(seed=0)
    for action in (3, 5, 5, 5, 5, 4, 0):
        obs, *_ = env.step(np.full(3, action))
    np.testing.assert_allclose(obs[0, 5:], np.array([0.25, 0.5, 0.75]) / 1.5, rtol=1e-5)


BAD = ((0.5, 0.5),)


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"mines": ()}, r"mines=\(\) must be 1 to 100 mines"),
        ({"mines": (((0.5, 1.5), BAD),)}, r"mines\[0\] lies at \(0.5, 1.5\)"),
        ({"mines": (((0.5, 0.5), ((0.1, -1.0),)),)}, r"mines\[0\] yields \(0.1, -1.0\)"),
        ({"mines": (((0.5, 0.5), BAD), ((0.5, 0.5), BAD * 2))}, r"mines\[1\] has 2 ores; all mines must"),
        ({"mines": ((0.5, 0.5),)}, r"mines\[0\]=\(0.5, 0.5\) must be"),
        ({"capacity": 0.0}, r"capacity=0.0 must be above 0"),
        ({"frame_skip": 0}, r"frame_skip=0 must be an integer"),
        ({"incremental_frane_skip": True}, r"did you mean 'incremental_frame_skip'"),
    ],
)
def test_bad_constants(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/Minecart-v0", **constants)


def test_all_mines_are_told_apart() -> None:
    kernel = make_kernel(Minecart, preset="deterministic")
    for (place, ores), other in itertools.product(kernel.params.mines, (0.0, 0.01)):
        start = kernel.initial_state(1, torch.Generator())
        state = CartState(torch.tensor([place]) + other, start.speed, start.angle, start.content, start.departed)
        after, _, _ = kernel.advance(state, torch.zeros(1, dtype=torch.int64))
        share = min(1.0, 1.5 / (4 * sum(mean for mean, _ in ores)))
        np.testing.assert_allclose(after.content[0], [4 * mean * share for mean, _ in ores], rtol=1e-5)
