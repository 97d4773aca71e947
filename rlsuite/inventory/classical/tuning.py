"""`tune`: the numbers of a classical policy, found by simulating its cost on common random numbers.

Every set of numbers meets the same demands, so that the simulated cost is a function without noise of the numbers and
small differences count. On a grid, all sets are simulated side by side, one batch of environments; otherwise SciPy's
Nelder-Mead walks from the policy's own start with its own step sizes (`TunablePolicy.step`).

The cost that was optimised is that of the tuning demands, and a little too good for others (the more numbers and the
fewer episodes, the more). `Tuned.held_out` is the cost on as many fresh ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from scipy.optimize import minimize

from rlsuite.core.rng import EVALUATION, own_seed
from rlsuite.inventory.classical.play import Noise, draw_noise, play
from rlsuite.inventory.classical.policy import TunablePolicy
from rlsuite.inventory.classical.sites import kernel_of
from rlsuite_envs.kernel import tree_map

__all__ = ["Tuned", "tune"]

PolicyT = TypeVar("PolicyT", bound=TunablePolicy)

CHUNK = 200_000
"""Environments simulated at a time on a grid."""


@dataclass(frozen=True)
class Tuned:
    """A tuned policy."""

    policy: Any
    """The policy with the best numbers found."""
    cost: float
    """Mean cost (minus the reward) per period on the tuning demands."""
    held_out: float
    """Mean cost (minus the reward) per period on fresh demands."""
    start_cost: float
    """Mean cost per period of the search's starting point (grid: its first) on the tuning demands."""
    evaluations: int
    """Number of sets of numbers tried."""


def tune(
    policy_class: type[PolicyT],
    env: Any,
    *,
    episodes: int = 200,
    seed: int = 0,
    grid: Sequence[Sequence[float]] | None = None,
    evaluations: int = 200,
    periods: int | None = None,
    warm_up: int = 0,
    **fixed: Any,
) -> Tuned:
    """The best numbers of a policy class for a problem.

    Args:
        policy_class: a `TunablePolicy`.
        env: an environment, its id or kernel.
        episodes: demand paths, >= 1.
        seed: of demands and start states; `held_out` takes the next seed.
        grid: values to try, one sequence for each of the P numbers (in the order of the class's `rows`: all places of
            the first, then of the second, ...); all combinations are simulated. None: Nelder-Mead.
        evaluations: sets of numbers that Nelder-Mead may try.
        periods: length of an episode; None for the kernel's horizon.
        warm_up: periods at the start that do not count.
        fixed: further arguments of the class, such as `forecast`.

    Returns:
        The policy with the best numbers met, never worse than its start on the tuning demands.

    Raises:
        ValueError: no episodes, a warm-up as long as the episodes, a grid with another number of sequences, or an
            environment that pays a vector of objectives.
    """
    kernel = kernel_of(env)
    if kernel.reward_dim is not None:
        raise ValueError(
            f"objectives={kernel.objective_names}: tune needs one number; give it an env without objectives."
        )
    length = kernel.max_episode_steps if periods is None else periods
    if episodes < 1 or evaluations < 1:
        raise ValueError(f"episodes={episodes} and evaluations={evaluations} must be at least 1.")
    if not 0 <= warm_up < length:
        raise ValueError(f"warm_up={warm_up} must lie in [0, {length}), the periods of an episode.")
    policy = policy_class(kernel, **fixed)
    simulation = _Simulation(kernel, policy, episodes, seed, length, warm_up)
    if grid is None:
        numbers, costs = _walk(simulation, policy, evaluations)
    else:
        numbers, costs = _try_grid(simulation, policy, grid)
    best = int(np.argmin(costs))
    found = policy.with_numbers(numbers[best])
    fresh = _Simulation(kernel, policy, episodes, own_seed(seed, EVALUATION), length, warm_up)
    return Tuned(found, float(costs[best]), float(fresh.costs(numbers[best][None])[0]), float(costs[0]), len(costs))


@dataclass(frozen=True)
class _Simulation:
    """Mean costs per period of sets of numbers, all on the same demands."""

    kernel: Any
    policy: TunablePolicy
    episodes: int
    seed: int
    periods: int
    warm_up: int

    def costs(self, numbers: np.ndarray) -> np.ndarray:
        """Mean costs per period [C] of sets of numbers [C, P]."""
        some = max(1, CHUNK // self.episodes)
        return np.concatenate([self._chunk(numbers[i : i + some]) for i in range(0, len(numbers), some)])

    def _chunk(self, numbers: np.ndarray) -> np.ndarray:
        count, episodes = len(numbers), self.episodes
        noise = draw_noise(self.kernel, episodes, self.seed, self.periods)
        rng = torch.Generator(self.kernel.device).manual_seed(self.seed)
        state = tree_map(lambda x: _tiled(x, count), self.kernel.initial_state(episodes, rng))
        policy = self.policy.with_numbers(np.repeat(numbers, episodes, axis=0))
        played = play(
            self.kernel,
            policy,
            _tiled_noise(self.kernel, noise, count, episodes),
            count * episodes,
            state=state,
            periods=self.periods,
        )
        cost = -played.per_period[:, self.warm_up :].mean(1)
        return np.asarray(cost.reshape(count, episodes).mean(1).numpy(force=True), dtype=float)


def _tiled(values: torch.Tensor, count: int) -> torch.Tensor:
    """Values [S, ...] repeated `count` times along the first axis, [count S, ...]."""
    return values.repeat(count, *[1] * (values.ndim - 1))


def _tiled_noise(kernel: Any, noise: Noise, count: int, episodes: int) -> Noise:
    """Repeat the noise for `count` groups of episodes; where it depends on the state, on each group's own."""
    if getattr(kernel.params, "goodwill", False):

        def grouped(state: Any, t: int) -> torch.Tensor:
            groups = [tree_map(lambda x, g=g: x[g * episodes : (g + 1) * episodes], state) for g in range(count)]
            return torch.cat([noise(group, t) for group in groups])

        return grouped

    def repeated(state: Any, t: int) -> torch.Tensor:
        return _tiled(noise(tree_map(lambda x: x[:episodes], state), t), count)

    return repeated


def _try_grid(
    simulation: _Simulation, policy: TunablePolicy, grid: Sequence[Sequence[float]]
) -> tuple[np.ndarray, np.ndarray]:
    size = policy.step.numel()
    if len(grid) != size or not all(len(values) for values in grid):
        rows = " then ".join(policy.rows)
        raise ValueError(
            f"grid has {len(grid)} sequences but must have {size}, none empty: {rows}, of "
            f"{len(policy.sites.names)} places each ({', '.join(policy.sites.names)})."
        )
    numbers = np.array(list(itertools.product(*grid)), dtype=float)
    return numbers, simulation.costs(numbers)


def _walk(simulation: _Simulation, policy: TunablePolicy, evaluations: int) -> tuple[np.ndarray, np.ndarray]:
    start = policy.numbers.reshape(-1).numpy(force=True).astype(float)
    step = policy.step.reshape(-1).numpy(force=True).astype(float)
    tried: list[np.ndarray] = []
    costs: list[float] = []

    def cost(units: np.ndarray) -> float:
        tried.append(start + units * step)
        costs.append(float(simulation.costs(tried[-1][None])[0]))
        return costs[-1]

    corners = np.concatenate((np.zeros((1, len(start))), np.eye(len(start))))
    minimize(
        cost,
        np.zeros(len(start)),
        method="Nelder-Mead",
        options={
            "initial_simplex": corners,
            "maxfev": evaluations,
            "xatol": 1e-3,
            "fatol": 1e-6,
            "adaptive": True,
        },
    )
    return np.stack(tried), np.array(costs)
