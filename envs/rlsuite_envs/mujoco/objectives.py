"""MuJoCo tasks that pay a vector of K objectives: what they share.

A task here is the scalar task with another `outcome`: the same physics, observations and resets, and a float32 reward
[B, K] put together from the same terms. Two families of definitions are known, and must not be mixed in one table of
results:

- "mo-gymnasium": the definitions of the ids `mo-<robot>-v5` and `-v4` of MO-Gymnasium (Felten et al. 2023). Equal to
  its classes bit for bit, in every order of operations and in float32 where they compute in it.
- "pgmorl": those of the release of PGMORL (Xu et al., ICML 2020, mit-gfx/PGMORL, `environments`), with its weights,
  bonuses, ends of episodes and time limit. Models, frame skip, observations and initial noise stay those of the id: the
  release has MuJoCo models of its own (its hopper has other gears, dampings and no joint limits), starts every episode
  but the humanoid's from one state, and shows the v4 observations.

Letters: B environments, K objectives, A action entries.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from rlsuite_envs.mujoco.task import Array, Bound, Outcome, Task, squared_sum

__all__ = ["ManyObjectives", "Rewards", "clipped", "rewards_of", "survival", "unweighted_cost"]

Rewards = NDArray[np.float32]

_FAMILIES = ("mo-gymnasium", "pgmorl")
_SHAPING = ("weight", "healthy", "cost_range")  # in the names of arguments that PGMORL's rewards do not have
_PGMORL_STEPS = 500


@dataclasses.dataclass(frozen=True)
class ManyObjectives(Task):
    """Base of the tasks with K objectives.

    A subclass also derives from the scalar task (named first), and hands that one's outcome to `vector_outcome`.

    Attributes:
        rewards: family of definitions, "mo-gymnasium" or "pgmorl"; see the module. The latter has weights and ends of
            its own, so that the arguments for these must be left alone.
    """

    v4: ClassVar[bool] = False
    pgmorl_steps: ClassVar[int] = _PGMORL_STEPS

    rewards: str = "mo-gymnasium"

    def __post_init__(self) -> None:
        """Refuse arguments that could only fail later or silently.

        Raises:
            ValueError: naming the argument, its value and what it should be.
        """
        owner = type(self).__name__
        if self.rewards not in _FAMILIES:
            raise ValueError(f"{owner}: rewards={self.rewards!r} must be one of {', '.join(map(repr, _FAMILIES))}.")
        super().__post_init__()
        if self.rewards != "pgmorl":
            return
        self.check_pgmorl()
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if any(word in field.name for word in _SHAPING) and value != field.default:
                raise ValueError(
                    f"{owner}: {field.name}={value!r} has no effect on rewards='pgmorl', which have weights and ends "
                    "of their own; leave it out."
                )

    def check_pgmorl(self) -> None:
        """Raise ValueError if PGMORL has no such task."""

    @property
    @override
    def horizon(self) -> int | None:
        return self.pgmorl_steps if self.rewards == "pgmorl" else None

    def vector_outcome(self, b: Bound, action: NDArray[Any], scalar: Outcome) -> Outcome:
        """The outcome with the reward vector [B, K] in place of the scalar task's reward.

        Args:
            b: the simulations after the step.
            action: controls [B, A].
            scalar: outcome of the scalar task, whose info has the terms.
        """
        if self.rewards == "pgmorl":
            reward, ended = self.pgmorl(b, clipped(b, action), scalar.info)
            return Outcome(reward, ended, scalar.info)
        return Outcome(self.mo_gymnasium(b, action, scalar.info), scalar.terminated, scalar.info)

    @abc.abstractmethod
    def mo_gymnasium(self, b: Bound, action: NDArray[Any], info: dict[str, NDArray[Any]]) -> Rewards:
        """Reward vectors [B, K] as mo-gymnasium defines them."""

    @abc.abstractmethod
    def pgmorl(
        self, b: Bound, action: NDArray[Any], info: dict[str, NDArray[Any]]
    ) -> tuple[Rewards, NDArray[np.bool_]]:
        """Reward vectors [B, K] and ends of episodes [B] as PGMORL defines them; the action is clipped."""


def rewards_of(*objectives: Any, everywhere: tuple[Any, ...] = ()) -> Rewards:
    """Objectives [B] as the columns of a float32 array [B, K], then further terms added to all columns.

    The columns are rounded to float32 before the terms are added one after the other, as mo-gymnasium does.

    Args:
        objectives: K arrays [B].
        everywhere: arrays [B] or numbers.
    """
    reward = np.empty((len(objectives[0]), len(objectives)), np.float32)
    for k, objective in enumerate(objectives):
        reward[:, k] = objective
    for term in everywhere:
        reward += term if np.ndim(term) == 0 else term[:, None]
    return reward


def clipped(b: Bound, action: NDArray[Any]) -> NDArray[Any]:
    """The action [B, A] within the range of the controls, in its own dtype."""
    low, high = b.model.actuator_ctrlrange.astype(action.dtype).T
    return np.clip(action, low, high)


def unweighted_cost(reward_ctrl: NDArray[Any], weight: float, control: NDArray[Any]) -> NDArray[Any]:
    """Minus the sum of squares of the controls [B]: the weighted cost divided by its weight, unless that is 0."""
    return reward_ctrl / weight if weight else -squared_sum(control)


def survival(task: Any, info: dict[str, NDArray[Any]]) -> Array | float:
    """The bonus for being healthy [B]; up to v4 it is paid in the step of the fall, too, if that ends the episode."""
    if task.v4 and task.terminate_when_unhealthy:
        return float(task.healthy_reward)
    return info["reward_survive"]
