"""Who sits on the other side of a two-player game: nobody, chance, pulses, or a policy.

An opponent is a function of observation rows [B, O] and the flags [B] of episodes that begin there. It is frozen: it
brings its own normaliser, which learns nothing from being looked through.

Letters: B environments, O observation entries, D entries of the opponent's action.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import Space, spaces
from torch import Tensor

from rlsuite.core.evaluate import Predictor
from rlsuite.core.rng import pack_rng, unpack_rng

__all__ = ["Learned", "Opponent", "StepForce", "Uniform", "Zero", "box_bounds"]


class Opponent(Protocol):
    """The other player of a two-player game; stateful ones also have `state_dict` and `load_state_dict`."""

    def __call__(self, obs: Tensor, started: Tensor) -> Tensor:
        """Actions [B, D] in the units of the opponent's space, at rows [B, O]; started [B] marks new episodes."""


def box_bounds(space: Space[Any], device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Low and high [D] float32 of a bounded Box.

    Raises:
        ValueError: another space.
    """
    if not isinstance(space, spaces.Box) or not space.is_bounded("both"):
        raise ValueError(f"this opponent needs a bounded Box action space, not {space}")
    low, high = (torch.as_tensor(x, device=device).float().reshape(-1) for x in (space.low, space.high))
    return low, high


class Zero:
    """Applies the action 0, or the one nearest to it in the box."""

    def __init__(self, space: Space[Any]) -> None:
        low, high = box_bounds(space)
        self.action = torch.zeros_like(low).clamp(low, high)

    def __call__(self, obs: Tensor, started: Tensor) -> Tensor:
        """The constant action [B, D], in the units of the box."""
        return self.action.to(obs.device).expand(len(obs), -1)


class _Seeded:
    """Box bounds and a generator of its own."""

    def __init__(self, space: Space[Any], seed: int, device: torch.device | str = "cpu") -> None:
        self.low, self.high = box_bounds(space, device)
        self.generator = torch.Generator(device).manual_seed(seed)

    def _draw(self, num: int) -> Tensor:
        share = torch.rand(num, len(self.low), generator=self.generator, device=self.low.device)
        return self.low + share * (self.high - self.low)

    def state_dict(self) -> dict[str, Tensor]:
        """The generator's state."""
        return {"rng": pack_rng(self.generator)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        unpack_rng(self.generator, state["rng"])


class Uniform(_Seeded):
    """Uniformly random in its box at every step.

    Args:
        space: its action space, a bounded Box.
        seed: of its draws.
        device: where the game's tensors live.
    """

    def __call__(self, obs: Tensor, started: Tensor) -> Tensor:
        """Uniform actions [B, D] in the units of the box."""
        return self._draw(len(obs))


class StepForce(_Seeded):
    """Pulses: at each idle step one begins with probability 1 / length, and holds its action for `hold` steps.

    The released evaluation of RARL has length = horizon / 5 and hold = horizon / 10 (`rllab-adv`,
    `policies/step_control_policy.py`). There a pulse may outlive its episode; here an episode begins idle.

    Args:
        space: its action space, a bounded Box.
        num_envs: B.
        length: of a wait, mean steps up to and with a pulse's first one, >= 1.
        hold: steps of a pulse, >= 1.
        random_size: True draws a pulse uniformly from the box, False takes its upper corner.
        seed: of its draws.
        device: where the game's tensors live.

    Raises:
        ValueError: length or hold below 1.
    """

    def __init__(
        self,
        space: Space[Any],
        num_envs: int,
        *,
        length: float,
        hold: int,
        random_size: bool = True,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        if not length >= 1 or hold < 1:
            raise ValueError(f"StepForce needs length >= 1 and hold >= 1, got length={length}, hold={hold}")
        super().__init__(space, seed, device)
        self.length = length
        self.hold = hold
        self.random_size = random_size
        self._left = torch.zeros(num_envs, dtype=torch.int64, device=device)
        self._size = torch.zeros(num_envs, len(self.low), device=device)

    def __call__(self, obs: Tensor, started: Tensor) -> Tensor:
        """Actions [B, D] of the running pulses, in the units of the box; 0 between pulses."""
        self._left = torch.where(started, 0, self._left)
        chance = torch.rand(len(obs), generator=self.generator, device=self._left.device)
        begins = (self._left == 0) & (chance < 1.0 / self.length)
        size = self._draw(len(obs)) if self.random_size else self.high.expand(len(obs), -1)
        self._size = torch.where(begins[:, None], size, self._size)
        self._left = torch.where(begins, self.hold, self._left)
        force = torch.where(self._left[:, None] > 0, self._size, 0.0)
        self._left = (self._left - 1).clamp_min(0)
        return force

    def state_dict(self) -> dict[str, Tensor]:
        """Generator and running pulses."""
        return super().state_dict() | {"left": self._left.clone(), "size": self._size.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        super().load_state_dict(state)
        self._left, self._size = state["left"].to(self._left.device), state["size"].to(self._left.device)


class Learned:
    """Anything with `predict`: an agent of ours, a Stable-Baselines3 model or policy; its normalisers stay frozen.

    Args:
        model: sees the game's observations as numpy [B, O].
        deterministic: the distribution's mode instead of samples.
    """

    def __init__(self, model: Predictor, *, deterministic: bool = False) -> None:
        self.model = model
        self.deterministic = deterministic
        self._memory: Any = None

    def __call__(self, obs: Tensor, started: Tensor) -> Tensor:
        """Actions [B, D] of the model, in the units of its space."""
        action, self._memory = self.model.predict(
            obs.cpu().numpy(), self._memory, started.cpu().numpy(), deterministic=self.deterministic
        )
        return torch.as_tensor(np.asarray(action), device=obs.device)
