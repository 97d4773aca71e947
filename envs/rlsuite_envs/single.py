"""One copy of a kernel as an ordinary Gymnasium environment: the vector's arithmetic with B = 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from rlsuite_envs.actions import action_reader, batch_of_one, mask_size, to_row
from rlsuite_envs.kernel import Kernel, make_kernel, tree_map

__all__ = ["TensorEnv"]


class TensorEnv(gym.Env[Any, Any]):
    """A Gymnasium environment around a kernel: NumPy in and out, with pictures.

    Usually made by `gym.make("rlsuite/CartPole-v1", render_mode="rgb_array")`, which adds the time limit.

    Args:
        kernel: a kernel, its class, or "module:Class".
        render_mode: None, "rgb_array", or "human" (a window; needs pygame).
        device: where the kernel computes; the CPU is faster for one copy.
        dtype: "float32" or "float64", of the kernel's numbers.
        params: the kernel's `preset` and constants.

    Attributes:
        reward_dim: K where a step pays a vector of K objectives, None where it pays one number.
        reward_space: Box [K] of the reward vectors; by mo-gymnasium's convention there where a step pays vectors only.
        objective_names: names of the K objectives; empty for one number.

    Raises:
        ValueError: a bad value of any of these, naming it.
        TypeError: a `render_mode` for a kernel without pictures.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array", "human"], "render_fps": 30}  # noqa: RUF012

    def __init__(
        self,
        *,
        kernel: str | type[Kernel[Any, Any, Any]] | Kernel[Any, Any, Any],
        render_mode: str | None = None,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype = torch.float32,
        **params: Any,
    ) -> None:
        self.kernel = make_kernel(kernel, device=device, dtype=dtype, **params)
        drawn = self.kernel.can_render()
        self.metadata = {
            "render_modes": ["rgb_array", "human"] if drawn else [],
            "render_fps": self.kernel.render_fps,
        }
        if render_mode is not None and not drawn:
            # Gymnasium's answer of a constructor without render_mode; SB3's make_vec_env then goes on without pictures.
            raise TypeError(
                f"render_mode={render_mode!r}: {type(self.kernel).__name__} does not draw itself; leave it out"
            )
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(
                f"render_mode={render_mode!r} must be one of {[None, *self.metadata['render_modes']]} for "
                f"{type(self.kernel).__name__}."
            )
        self.render_mode = render_mode
        self.observation_space = self.kernel.observation_space
        self.action_space = self.kernel.action_space
        self.reward_dim = self.kernel.reward_dim
        if self.kernel.reward_space is not None:
            self.reward_space = self.kernel.reward_space
        self.objective_names = self.kernel.objective_names
        self._read = self._reader()
        self._rng = torch.Generator(device=self.kernel.device)
        self._seeded = False
        self._state: Any = None
        self._elapsed = 0
        # A horizon among the constants is part of the problem; registering a time limit as well would not
        # follow a changed one.
        self._horizon = self.kernel.horizon
        self._window: Any = None

    def _reader(self) -> Callable[[Any], Any]:
        kernel, owner = self.kernel, type(self.kernel).__name__
        return action_reader(self.action_space, 1, device=kernel.device, dtype=kernel.dtype, validate=True, owner=owner)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_read": None}  # a closure, which pickle refuses

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._read = self._reader()

    @torch.no_grad()
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; with the same seed, the one `TensorVectorEnv(num_envs=1)` starts.

        Args:
            seed: seeds the random stream; None goes on with it (the first time: from the system's
                randomness).
            options: none are known; use `set_state` or the kernel's constants.

        Raises:
            ValueError: an option.
        """
        super().reset(seed=seed)
        if options:
            raise ValueError(
                f"reset option {sorted(options)[0]!r} is unknown; use set_state(), or the kernel's constants."
            )
        if seed is not None or not self._seeded:
            self._rng.manual_seed(seed) if seed is not None else self._rng.seed()
            self._seeded = True
        fresh = self.kernel.initial_state(1, self._rng)
        self._state = fresh if self._state is None else self.kernel.carry_over(fresh, self._state)
        self._elapsed = 0
        if self.render_mode == "human":
            self.render()
        return to_row(self.kernel.observe(self._state)), self._info()

    @torch.no_grad()
    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take one step.

        Args:
            action: an element of the action space.

        Returns:
            obs, reward (a float, or [K] of the kernel's dtype for K objectives), terminated, truncated (after
            the horizon, where that is one of the kernel's constants; other time limits are a wrapper's), info.

        Raises:
            ValueError: an action of the wrong shape or type, not finite, or out of range.
            gymnasium.error.ResetNeeded: no reset yet.
        """
        if self._state is None:
            raise gym.error.ResetNeeded("Call reset() before step.")
        batch = self._read(batch_of_one(type(self.kernel).__name__, self.action_space, action))
        noise = self.kernel.sample_exogenous(self._state, self._rng)
        self._state, reward, terminated = self.kernel.advance(self._state, batch, noise)
        if self.render_mode == "human":
            self.render()
        row = float(reward) if self.reward_dim is None else to_row(reward)
        self._elapsed += 1
        truncated = self._horizon is not None and self._elapsed >= self._horizon
        return to_row(self.kernel.observe(self._state)), row, bool(terminated), truncated, self._info()

    def _info(self) -> dict[str, Any]:
        info = to_row(self.kernel.info(self._state))
        mask = self.kernel.action_mask(self._state)
        if mask is not None:
            info["action_mask"] = to_row(mask).astype(np.int8)  # what Discrete.sample(mask=...) takes
        return info

    def action_masks(self) -> np.ndarray | None:
        """Allowed actions [A] bool now (sb3-contrib's name), all True without masks; None for a Box."""
        mask = self.kernel.action_mask(self._state)
        if mask is not None:
            return np.asarray(to_row(mask))
        size = mask_size(self.action_space)
        return None if size is None else np.ones(size, bool)

    def pareto_front(self, gamma: float) -> np.ndarray:
        """The kernel's exact Pareto front [n, K] float64 of discounted returns, sorted; see `Kernel.pareto_front`."""
        return self.kernel.pareto_front(gamma)

    @property
    def state(self) -> Any:
        """The kernel's current state, fields [1, ...]; None before the first reset."""
        return self._state

    def set_state(self, state: Any) -> None:
        """Go on from a state, fields [1, ...]."""
        self._state = tree_map(lambda x: x.to(self.kernel.device), state)
        if not self._seeded:
            self._rng.seed()
            self._seeded = True

    def render(self) -> Any:
        """A picture [height, width, 3] uint8 ("rgb_array"), or None after showing it ("human")."""
        if self.render_mode is None or self._state is None:
            return None
        frame = self.kernel.render(self._state)
        if self.render_mode == "rgb_array":
            return frame
        self._show(frame)
        return None

    def _show(self, frame: np.ndarray) -> None:
        try:
            import pygame
        except ImportError as error:
            raise gym.error.DependencyNotInstalled(
                "render_mode='human' needs pygame: pip install 'rlsuite[video]'."
            ) from error
        if self._window is None:
            pygame.display.init()
            self._window = pygame.display.set_mode((frame.shape[1], frame.shape[0])), pygame.time.Clock()
        screen, clock = self._window
        screen.blit(pygame.surfarray.make_surface(frame.transpose(1, 0, 2)), (0, 0))
        pygame.event.pump()
        clock.tick(self.kernel.render_fps)
        pygame.display.flip()

    def close(self) -> None:
        """Close the window, if there is one; a step then needs a reset."""
        self._state = None
        if self._window is not None:
            import pygame

            pygame.display.quit()
            self._window = None
