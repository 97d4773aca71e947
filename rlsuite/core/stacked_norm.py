"""Normalisers of P policies that are trained together, each with statistics of its own (and of each objective).

The same arithmetic as `rlsuite.core.normalize`, along a leading axis of policies: policy p learns from environments
p * E .. p * E + E - 1 alone.

Letters: P policies, E environments of each, B = P * E, O observation numbers, K objectives.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rlsuite.core.normalize import RunningNorm

__all__ = ["Moments", "StackedNorm", "StackedReturnNorm"]


class Moments:
    """Mean and sum of squared deviations [P, D] of everything each policy has seen, and how much that was [P].

    Source: Chan, Golub and LeVeque 1979, pairwise updates.
    """

    def __init__(self, policies: int, size: int, device: torch.device | str = "cpu") -> None:
        self.mean = torch.zeros((policies, size), dtype=torch.float64, device=device)
        self.m2 = torch.zeros_like(self.mean)
        self.count = torch.zeros((policies, 1), dtype=torch.float64, device=device)

    def update(self, x: Tensor) -> None:
        """Learn from x [P, n, D] float64."""
        n = x.shape[1]
        var, mean = torch.var_mean(x, dim=1, correction=0)
        total = self.count + n
        delta = mean - self.mean
        self.mean += delta * (n / total)
        self.m2 += var * n + delta * delta * (self.count * n / total)
        self.count = total

    @property
    def var(self) -> Tensor:
        """Population variances [P, D]; 1 before the first update."""
        return torch.where(self.count > 0, self.m2 / self.count.clamp(min=1), torch.ones_like(self.m2))

    def tensors(self) -> dict[str, Tensor]:
        """Mean and m2 [P, D], count [P, 1] (copies)."""
        return {"mean": self.mean.clone(), "m2": self.m2.clone(), "count": self.count.clone()}

    def set(self, tensors: dict[str, Tensor], owner: str) -> None:
        """Take over what `tensors` gave, with its P.

        Raises:
            ValueError: tensors of other shapes, or numbers that no statistics can have.
        """
        mean, m2, count = (tensors[name].double() for name in ("mean", "m2", "count"))
        size = self.mean.shape[1]
        if mean.shape != m2.shape or mean.shape[1:] != (size,) or count.shape != (len(mean), 1):
            raise ValueError(f"{owner} state has shapes {tuple(mean.shape)} and {tuple(count.shape)}, not [P, {size}]")
        if not bool(torch.isfinite(mean).all() & torch.isfinite(m2).all() & (m2 >= 0).all() & (count >= 0).all()):
            raise ValueError(f"{owner} state holds impossible statistics; use another checkpoint")
        device = self.mean.device
        self.mean, self.m2, self.count = (x.clone().to(device) for x in (mean, m2, count))


class StackedNorm:
    """Observations to zero mean and unit variance, clipped, for each policy apart; see `RunningNorm`.

    Args:
        policies: P.
        size: O.
        clip: bound on the absolute normalised value.
        epsilon: added to the variance.
        device: where everything lies.

    Attributes:
        frozen: if True, `update` does nothing.
    """

    def __init__(
        self, policies: int, size: int, *, clip: float = 10.0, epsilon: float = 1e-8, device: torch.device | str = "cpu"
    ) -> None:
        self.clip = clip
        self.epsilon = epsilon
        self.frozen = False
        self.moments = Moments(policies, size, device)
        self.derive()

    def derive(self) -> None:
        """Follow `moments` where they were set from outside."""
        self._mean = self.moments.mean.unsqueeze(1)  # [P, 1, O]
        self._scale = (self.moments.var + self.epsilon).rsqrt().float().unsqueeze(1)

    def _split(self, obs: Tensor) -> Tensor:
        return obs.unflatten(0, (self._mean.shape[0], -1))

    def update(self, obs: Tensor) -> None:
        """Learn from one step's observations obs [B, O]."""
        if not self.frozen:
            self.moments.update(self._split(obs).double())
            self.derive()

    def normalize(self, obs: Tensor) -> Tensor:
        """(obs - mean) / sqrt(var + epsilon), clipped; [B, O] to [B, O] float32."""
        x = (self._split(obs) - self._mean).float()  # subtracted before rounding, as in `RunningNorm`
        return x.mul_(self._scale).clamp_(-self.clip, self.clip).flatten(0, 1)

    def state_dict(self) -> dict[str, Tensor]:
        """Statistics of each policy."""
        return self.moments.tensors()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave, with its P.

        Raises:
            ValueError: see `Moments.set`.
        """
        self.moments.set(state, type(self).__name__)
        self.derive()


def single_norm(tensors: dict[str, Tensor], device: torch.device | str) -> RunningNorm:
    """A frozen `RunningNorm` with the statistics mean [O], m2 [O] and count [1] of one policy."""
    norm = RunningNorm(tuple(tensors["mean"].shape), device=device)
    count = tensors["count"].reshape(()).to(torch.int64)
    norm.load_state_dict({"mean": tensors["mean"], "m2": tensors["m2"], "count": count})
    norm.frozen = True
    return norm


class StackedReturnNorm:
    """Each objective's rewards divided by the running standard deviation of its discounted return, policy by policy.

    The mean is not subtracted: signs, and what is worth what within an objective, stay. See `ReturnNorm`.

    Args:
        policies: P.
        num_envs: B, a multiple of P.
        objectives: K.
        gamma: discount factor in [0, 1].
        clip: bound on the absolute scaled reward.
        epsilon: added to the variance.
        device: where the rewards live.

    Attributes:
        frozen: if True, rewards are scaled but nothing is learnt and no return is accumulated.
    """

    def __init__(
        self,
        policies: int,
        num_envs: int,
        objectives: int,
        *,
        gamma: float,
        clip: float = 10.0,
        epsilon: float = 1e-8,
        device: torch.device | str = "cpu",
    ) -> None:
        self.gamma = gamma
        self.clip = clip
        self.epsilon = epsilon
        self.frozen = False
        self.moments = Moments(policies, objectives, device)
        self.resize(num_envs)

    def resize(self, num_envs: int) -> None:
        """Go on with `num_envs` environments: statistics stay, running returns restart at 0.

        Raises:
            ValueError: not a multiple of the number of policies.
        """
        policies, objectives = self.moments.mean.shape
        if num_envs % policies:
            raise ValueError(f"num_envs={num_envs} cannot be shared out among {policies} policies; use a multiple")
        shape = (policies, num_envs // policies, objectives)
        self._return = torch.zeros(shape, dtype=torch.float64, device=self.moments.mean.device)

    def cut(self) -> None:
        """Restart the running returns at 0: the next rewards belong to new episodes."""
        self._return.zero_()

    def derive(self) -> None:
        """Nothing: the scale is computed when it is read."""

    @property
    def scale(self) -> Tensor:
        """What rewards are divided by, [P, K]."""
        return (self.moments.var + self.epsilon).sqrt()

    def __call__(self, reward: Tensor, done: Tensor) -> Tensor:
        """Scale one step's rewards [B, K], given done [B] (terminated or truncated): [B, K] float32."""
        policies = self._return.shape[0]
        rewards = reward.unflatten(0, (policies, -1)).double()
        if not self.frozen:
            self._return.mul_(self.gamma).add_(rewards)
            self.moments.update(self._return)
            self._return.masked_fill_(done.view(policies, -1, 1), 0.0)
        return (rewards / self.scale.unsqueeze(1)).clamp_(-self.clip, self.clip).flatten(0, 1).float()

    def state_dict(self) -> dict[str, Any]:
        """Statistics of each policy and objective, and the running returns [P, E, K]."""
        return {**self.moments.tensors(), "return": self._return.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, with its P; another number of environments restarts the running returns.

        Raises:
            ValueError: see `Moments.set`.
        """
        self.moments.set(state, type(self).__name__)
        saved = state["return"]
        if saved.ndim != 3 or saved.shape[0] != len(self.moments.mean) or saved.shape[2] != self.moments.mean.shape[1]:
            raise ValueError(f"StackedReturnNorm state 'return' has shape {tuple(saved.shape)}; use another checkpoint")
        self._return = saved.double().to(self.moments.mean.device).clone()
