"""Running normalisation of observations and rewards.

Shapes: B environments, N samples. Statistics are exact over everything seen (Chan's parallel update, float64
accumulators), not an exponential average, and do not start from an invented sample: before the first update
the mean is 0 and the variance 1. Both classes have a `frozen` flag for evaluation: they then only normalise.

Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
1979; scaling rewards by the standard deviation of the discounted return: Engstrom et al., "Implementation
matters in deep policy gradients", ICLR 2020.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

__all__ = ["ReturnNorm", "RunningNorm"]


class RunningNorm:
    """Observations to zero mean and unit variance, clipped.

    Args:
        shape: Shape of one observation.
        clip: Bound on the absolute normalised value, > 0, in standard deviations.
        epsilon: Added to the variance, >= 0, in squared observation units.
        device: Where the statistics and the observations live.

    Attributes:
        frozen: If True, `update` does nothing.
        count: Samples seen so far.

    Raises:
        ValueError: If clip or epsilon is out of range.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        clip: float = 10.0,
        epsilon: float = 1e-8,
        device: torch.device | str = "cpu",
    ) -> None:
        if not clip > 0 or not epsilon >= 0:
            raise ValueError(f"clip must be > 0 and epsilon >= 0, got clip={clip}, epsilon={epsilon}.")
        self.shape = tuple(shape)
        self.clip = clip
        self.epsilon = epsilon
        self.frozen = False
        self.count = 0
        self._mean = torch.zeros(self.shape, dtype=torch.float64, device=device)
        self._m2 = torch.zeros_like(self._mean)  # sum of squared deviations from the mean
        # What `normalize` reads: derived, float32, rewritten in place; three operations a call.
        self._mean32 = torch.zeros(self.shape, dtype=torch.float32, device=device)
        self._scale32 = torch.ones_like(self._mean32)
        self._derive()

    @property
    def mean(self) -> Tensor:
        """Mean of everything seen, [*shape] float64, observation units."""
        return self._mean

    @property
    def var(self) -> Tensor:
        """Population variance of everything seen, [*shape] float64; 1 before the first update."""
        return self._m2 / self.count if self.count else torch.ones_like(self._m2)

    @torch.no_grad()
    def update(self, batch: Tensor) -> None:
        """Learn from `batch` [N, *shape] (any leading axes); does nothing when frozen.

        Raises:
            ValueError: If the shape is wrong.
            FloatingPointError: On a CPU, where looking costs nothing: if the batch has NaN or infinity.
        """
        if self.frozen:
            return
        if batch.shape[batch.ndim - len(self.shape) :] != self.shape or batch.ndim < len(self.shape):
            raise ValueError(f"RunningNorm of {self.shape} cannot take a batch of {tuple(batch.shape)}.")
        batch = batch.reshape(-1, *self.shape)
        n = batch.shape[0]
        if n == 0:
            return
        var, mean = torch.var_mean(batch.double(), dim=0, correction=0)
        if batch.device.type == "cpu" and not math.isfinite(var.sum().item()):
            bad = torch.isfinite(batch).logical_not().nonzero()
            place = f"first at [environment, *entries] {bad[0].tolist()}" if len(bad) else "the variance overflows"
            raise FloatingPointError(
                f"observations are NaN, infinite or too large to normalise ({place}); check the environment."
            )
        total = self.count + n
        delta = mean.sub_(self._mean)
        self._mean.add_(delta, alpha=n / total)
        self._m2.add_(var, alpha=n).addcmul_(delta, delta, value=self.count * n / total)
        self.count = total
        self._derive()

    def _derive(self) -> None:
        self._mean32.copy_(self._mean)
        self._scale32.copy_((self.var + self.epsilon).rsqrt_())

    def normalize(self, x: Tensor) -> Tensor:
        """(x - mean) / sqrt(var + epsilon), clipped to +-clip.

        Args:
            x: [..., *shape], any float or integer dtype.

        Returns:
            [..., *shape] float32. NaN stays NaN.
        """
        if x.dtype == torch.float64:
            # Subtract before rounding: a large offset (a position, say) would eat the float32 digits.
            x = (x - self._mean).float()
            return x.mul_(self._scale32).clamp_(-self.clip, self.clip)
        return (x - self._mean32).mul_(self._scale32).clamp_(-self.clip, self.clip)

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the statistics: mean and m2 [*shape] float64, count [] int64."""
        return {"mean": self._mean.clone(), "m2": self._m2.clone(), "count": torch.tensor(self.count)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            ValueError: If a key is missing, a shape differs, or the numbers are impossible.
        """
        mean, m2 = _entries("RunningNorm", state, {"mean": self.shape, "m2": self.shape})
        count = _count("RunningNorm", state)
        if not bool(torch.isfinite(mean).all() & torch.isfinite(m2).all() & (m2 >= 0).all()):
            raise ValueError("RunningNorm state holds impossible statistics; use another checkpoint.")
        self._mean.copy_(mean)
        self._m2.copy_(m2)
        self.count = count
        self._derive()


class ReturnNorm:
    """Rewards divided by the running standard deviation of the discounted return; the mean is not subtracted.

    Per environment R <- gamma R + r, restarting at 0 after an episode ends; the variance is over all
    environments and steps. Inputs may be torch or numpy; the output is of the same kind. NumPy does the work
    on a CPU (about 15 us a call at B=16), torch on an accelerator, without a host sync.

    Args:
        num_envs: B.
        gamma: Discount factor in [0, 1].
        clip: Bound on the absolute scaled reward, > 0.
        epsilon: Added to the variance, >= 0, in squared reward units.
        device: Where the rewards live.

    Attributes:
        frozen: If True, rewards are scaled but nothing is learnt and no return is accumulated.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        gamma: float,
        clip: float = 10.0,
        epsilon: float = 1e-8,
        device: torch.device | str = "cpu",
    ) -> None:
        if num_envs < 1 or not 0.0 <= gamma <= 1.0 or not clip > 0 or not epsilon >= 0:
            raise ValueError(
                "ReturnNorm needs num_envs >= 1, gamma in [0, 1], clip > 0, epsilon >= 0; "
                f"got num_envs={num_envs}, gamma={gamma}, clip={clip}, epsilon={epsilon}."
            )
        self.gamma = gamma
        self.clip = clip
        self.epsilon = epsilon
        self.frozen = False
        self.device = torch.device(device)
        self._on_cpu = self.device.type == "cpu"
        self.resize(num_envs)
        self._count = 0
        # accumulators on the CPU
        self._mean = 0.0
        self._m2 = 0.0
        self._stats = torch.zeros(2, dtype=torch.float64, device=self.device)  # accelerator: mean, m2

    def resize(self, num_envs: int) -> None:
        """Go on with `num_envs` environments: statistics stay, running returns restart at 0."""
        self.num_envs = num_envs
        self._return = torch.zeros(num_envs, dtype=torch.float64, device=self.device)

    def cut(self) -> None:
        """Restart the running returns at 0: the next rewards belong to new episodes."""
        self.resize(self.num_envs)

    @property
    def var(self) -> float:
        """Population variance of the discounted returns; 1 at first. Host sync on an accelerator."""
        m2 = self._m2 if self._on_cpu else float(self._stats[1])
        return m2 / self._count if self._count else 1.0

    def __call__(self, reward: Tensor | np.ndarray, done: Tensor | np.ndarray) -> Tensor | np.ndarray:
        """Scale one step's rewards.

        Args:
            reward: [B] of any real dtype, reward units.
            done: [B] bool, terminated or truncated at this step.

        Returns:
            [B] float32, a new array.

        Raises:
            ValueError: If a shape is not [B].
            FloatingPointError: On a CPU, if a reward is NaN or infinite.
        """
        if reward.shape != (self.num_envs,) or done.shape != (self.num_envs,):
            raise ValueError(
                f"ReturnNorm for {self.num_envs} environments needs reward and done [{self.num_envs}], "
                f"got {tuple(reward.shape)} and {tuple(done.shape)}."
            )
        if not self._on_cpu:
            return self._call_torch(torch.as_tensor(reward), torch.as_tensor(done))
        flags = np.asarray(done)
        if isinstance(reward, Tensor):
            return torch.from_numpy(self._call_numpy(reward.detach().numpy(), flags))
        return self._call_numpy(reward, flags)

    def _call_numpy(self, reward: np.ndarray, done: np.ndarray) -> np.ndarray:
        if not self.frozen:
            n = self.num_envs
            returns = self._return.numpy() * self.gamma + reward
            mean = float(np.add.reduce(returns)) / n
            deviation = returns - mean
            m2 = float(deviation @ deviation)
            if not math.isfinite(m2):
                # the sum of all is not finite: the first to blame, else whoever is largest
                size = np.nan_to_num(np.abs(returns), nan=np.inf, posinf=np.inf)
                b = int(np.argmax(size))
                raise FloatingPointError(
                    f"reward of environment {b} is {reward[b]}: its discounted return, {returns[b]}, is not finite or "
                    "too large to normalise; look at that environment's rewards"
                )
            total = self._count + n
            delta = mean - self._mean
            self._m2 += m2 + delta * delta * (self._count * n / total)
            self._mean += delta * (n / total)
            self._count = total
            returns[done.astype(bool, copy=False)] = 0.0
            self._return.numpy()[:] = returns
        scaled = reward * (1.0 / math.sqrt(self.var + self.epsilon))
        np.minimum(scaled, self.clip, out=scaled)
        np.maximum(scaled, -self.clip, out=scaled)
        return scaled.astype(np.float32)

    @torch.no_grad()
    def _call_torch(self, reward: Tensor, done: Tensor) -> Tensor:
        reward = reward.double()
        if not self.frozen:
            n = self.num_envs
            self._return.mul_(self.gamma).add_(reward)
            var, mean = torch.var_mean(self._return, dim=0, correction=0)
            total = self._count + n
            delta = mean - self._stats[0]
            self._stats[0].add_(delta * (n / total))
            self._stats[1].add_(var * n + delta * delta * (self._count * n / total))
            self._count = total
            self._return.masked_fill_(done.bool(), 0.0)
        if not self._count:
            return reward.clamp(-self.clip, self.clip).float()
        scale = torch.rsqrt(self._stats[1] / self._count + self.epsilon)
        return (reward * scale).clamp_(-self.clip, self.clip).float()

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the statistics and the running returns [B] float64."""
        if self._on_cpu:
            self._stats = torch.tensor([self._mean, self._m2], dtype=torch.float64)
        count = torch.tensor(self._count)
        return {"return": self._return.clone(), "stats": self._stats.clone(), "count": count}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave; another number of environments restarts the running returns.

        Raises:
            ValueError: If a key is missing or the numbers are impossible.
        """
        (stats,) = _entries("ReturnNorm", state, {"stats": (2,)})
        if "return" not in state or state["return"].ndim != 1:
            raise ValueError("ReturnNorm state lacks 'return' [B]; use another checkpoint.")
        if not bool(torch.isfinite(stats).all() & (stats[1] >= 0)):
            raise ValueError(f"ReturnNorm state {stats.tolist()} is impossible; use another checkpoint.")
        self._count = _count("ReturnNorm", state)
        self._stats.copy_(stats)
        self._mean, self._m2 = (float(x) for x in stats)
        self._return.zero_()
        if state["return"].shape == self._return.shape:
            self._return.copy_(state["return"])


def _entries(owner: str, state: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> list[Tensor]:
    for name, shape in shapes.items():
        found = tuple(state[name].shape) if name in state else "nothing"
        if found != shape:
            raise ValueError(f"{owner} state: {name!r} must be {shape}, is {found}; use another checkpoint.")
    return [state[name] for name in shapes]


def _count(owner: str, state: dict[str, Tensor]) -> int:
    (count,) = _entries(owner, state, {"count": ()})
    if count < 0:
        raise ValueError(f"{owner} state: 'count' is {int(count)}; use another checkpoint.")
    return int(count)
