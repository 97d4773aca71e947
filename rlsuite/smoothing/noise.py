"""Gaussian noise on observations: the source of it, and the wrappers in which a policy learns to act under it.

A policy that will be smoothed with noise sigma is trained on observations with the same noise. Noise goes on the single
frame, before frames are stacked, so that a frame's copies in later stacks all carry the same draw: with one draw per
copy an adversary's shift would survive while the noise averages out, and the certificate would be wrong. Order of the
wrappers: environment, (image preprocessing), noise, stack, time limit.

    env = NoisyObservation(gym.make("CartPole-v1"), sigma=0.2)                      # then FrameStackObservation
    venv = NoisyVectorObservation(make_vector_env("rlsuite/CartPole-v1", 8), sigma=0.2)  # then StackVectorObservation
    PPO(venv).learn(100_000)

Observations are declared float32 with infinite bounds: the released scripts leave uint8 there, and a replay buffer of
that type then truncates the noise. Images of uint8 are scaled to [0, 1], and sigma is in these units. Entries whose
size is beyond 1e7 times sigma (a clock, say) are better given relative to something near: float32 rounds them.

Source: arXiv 2106.11420. Shapes: B environments, *F one frame, k frames in a stack.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from torch import Tensor

from rlsuite.core.rng import NOISE, own_seed

__all__ = [
    "GaussianNoise",
    "NoisyObservation",
    "NoisyVectorObservation",
    "StackVectorObservation",
    "as_frames",
    "noise_seed",
]


class GaussianNoise:
    """sigma * N(0, I) from a generator of its own.

    Args:
        sigma: standard deviation, at least 0, in observation units; 0 draws nothing.
        seed: of the generator; None takes the system's randomness.
        device: where the draws live.

    Raises:
        ValueError: sigma negative or not finite.
    """

    def __init__(self, sigma: float, seed: int | None = 0, device: str | torch.device = "cpu") -> None:
        if isinstance(sigma, bool) or not isinstance(sigma, int | float | np.number) or not 0 <= sigma < math.inf:
            raise ValueError(f"sigma={sigma!r} must be a finite number of at least 0: the noise's standard deviation.")
        self.sigma = float(sigma)
        self.generator = torch.Generator(device)
        self.reseed(seed)

    def reseed(self, seed: int | None) -> None:
        """Start the stream of `seed` anew."""
        self.generator.seed() if seed is None else self.generator.manual_seed(seed)

    def add(self, frames: Tensor) -> Tensor:
        """Floating frames [...] with a fresh draw each; the same tensor where sigma is 0."""
        if self.sigma == 0:
            return frames
        draws = torch.randn(frames.shape, generator=self.generator, dtype=frames.dtype, device=self.generator.device)
        return draws.mul_(self.sigma).add_(frames)


def noise_seed(seed: int) -> int:
    """Seed of the noise for an environment's seed: another stream, as both may use the same kind of generator."""
    return own_seed(seed, NOISE)


def as_frames(obs: Any) -> Tensor:
    """Observations as a floating tensor: floats as they are, uint8 images over 255, other numbers float32."""
    if isinstance(obs, Tensor):
        frames = obs
    else:
        array = np.asarray(obs)
        frames = torch.as_tensor(array if array.flags.writeable else array.copy())
    if frames.is_floating_point():
        return frames
    return frames.float().div_(255.0) if frames.dtype == torch.uint8 else frames.float()


def _noisy_box(space: gym.Space[Any], shape: tuple[int, ...] | None = None) -> spaces.Box:
    """The observation space of noisy observations: all of R^F, float32."""
    if not isinstance(space, spaces.Box):
        raise ValueError(
            f"observations are {space}; Gaussian noise needs a Box (gymnasium.wrappers.FlattenObservation makes "
            "one of most spaces)."
        )
    return spaces.Box(-np.inf, np.inf, space.shape if shape is None else shape, dtype=np.float32)


class NoisyObservation(gym.ObservationWrapper[Any, Any, Any], gym.utils.RecordConstructorArgs):
    """One Gymnasium environment, seen through noise; `reset(seed=...)` seeds the noise as well.

    Args:
        env: with Box observations.
        sigma: standard deviation of the noise, at least 0, in observation units ([0, 1] for uint8 images).

    Raises:
        ValueError: other observations, or a bad sigma.
    """

    def __init__(self, env: gym.Env[Any, Any], sigma: float) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, sigma=sigma)
        gym.ObservationWrapper.__init__(self, env)
        self.noise = GaussianNoise(sigma, seed=None)
        self.observation_space = _noisy_box(env.observation_space)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Reset the environment; a seed is the noise's, too."""
        if seed is not None:
            self.noise.reseed(noise_seed(seed))
        return super().reset(seed=seed, options=options)

    def observation(self, observation: Any) -> np.ndarray:
        """The observation with a fresh draw, float32."""
        return self.noise.add(as_frames(observation).float()).numpy()


class _FrameWrapper(VectorWrapper[Any, Any, Any, Any, Any]):
    """Base of the two vector wrappers: SAME_STEP, tensors or arrays as the environment gives them, exact resume."""

    def __init__(self, env: VectorEnv[Any, Any, Any], frame_shape: tuple[int, ...] | None = None) -> None:
        super().__init__(env)
        if env.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
            raise ValueError(
                f"the vector environment resets in mode {env.metadata.get('autoreset_mode')}; it must be SAME_STEP "
                "(rlsuite_envs.make.make_vector_env makes such ones)."
            )
        self.output: str = getattr(env, "output", "numpy")
        self.device = torch.device(getattr(env, "device", "cpu"))
        self.single_observation_space = _noisy_box(env.single_observation_space, frame_shape)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    @property
    def state_dict(self) -> Callable[[], dict[str, np.ndarray]]:
        """Function that returns the state that the next steps depend on; missing where the environment lacks it."""
        self.env.state_dict  # type: ignore[attr-defined]  # noqa: B018  # raises where training cannot go on exactly
        return self._state

    @property
    def load_state_dict(self) -> Callable[[dict[str, np.ndarray]], None]:
        """Function that restores what `state_dict` gave; missing where the environment lacks it."""
        self.env.load_state_dict  # type: ignore[attr-defined]  # noqa: B018
        return self._load_state

    def _own_state(self) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def _load_own(self, state: dict[str, np.ndarray]) -> None:
        raise NotImplementedError

    def _state(self) -> dict[str, np.ndarray]:
        return {**self.env.state_dict(), **self._own_state()}  # type: ignore[attr-defined]

    def _load_state(self, state: dict[str, np.ndarray]) -> None:
        own = set(self._own_state())
        self._load_own({name: state[name] for name in own})
        self.env.load_state_dict(  # type: ignore[attr-defined]
            {name: value for name, value in state.items() if name not in own}
        )

    def _frames(self, obs: Any) -> Tensor:
        return as_frames(obs).float()

    def _out(self, frames: Tensor) -> Any:
        return frames if self.output == "torch" else frames.cpu().numpy()

    def _final(self, info: dict[str, Any]) -> Tensor | None:
        """The true last observations [B, *F]; rows of running episodes mean nothing."""
        final = info.get("final_obs")
        if not (isinstance(final, np.ndarray) and final.dtype == object):
            return None if final is None else self._frames(final)
        ended = np.flatnonzero(info["_final_obs"])  # Gymnasium's own vector environments: one object per row
        rows = self._frames(np.stack([np.asarray(final[i]) for i in ended]))
        return rows.new_zeros((self.num_envs, *rows.shape[1:])).index_copy_(0, torch.as_tensor(ended), rows)


def _whole_reset(options: dict[str, Any] | None) -> None:
    if options and "reset_mask" in options:
        raise ValueError("reset_mask is not possible here: frames of running episodes would get new noise.")


class NoisyVectorObservation(_FrameWrapper):
    """A vector environment seen through noise, last observations included; `reset(seed=...)` seeds the noise as well.

    Args:
        env: SAME_STEP vector environment with Box observations, arrays or tensors.
        sigma: standard deviation of the noise, at least 0, in observation units ([0, 1] for uint8 images).

    Raises:
        ValueError: other observations, another autoreset mode, or a bad sigma.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], sigma: float) -> None:
        super().__init__(env)
        self.noise = GaussianNoise(sigma, seed=None, device=self.device)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """First observations [B, *F] with noise."""
        _whole_reset(options)
        if seed is not None:
            self.noise.reseed(noise_seed(seed))
        obs, info = self.env.reset(seed=seed, options=options)
        return self._out(self.noise.add(self._frames(obs))), info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step the environment; noise is added to observations and to `final_obs`."""
        obs, reward, terminated, truncated, info = self.env.step(actions)
        final = self._final(info)
        if final is not None:
            info = {**info, "final_obs": self._out(self.noise.add(final))}
        return self._out(self.noise.add(self._frames(obs))), reward, terminated, truncated, info

    def _own_state(self) -> dict[str, np.ndarray]:
        return {"noise_rng": self.noise.generator.get_state().numpy().copy()}

    def _load_own(self, state: dict[str, np.ndarray]) -> None:
        self.noise.generator.set_state(torch.tensor(state["noise_rng"]))


class StackVectorObservation(_FrameWrapper):
    """The newest k frames of each environment, oldest first, [B, k, *F]; a first frame is repeated k times.

    Gymnasium has this for single environments only (`FrameStackObservation`, with padding_type "reset" the same).

    Args:
        env: SAME_STEP vector environment with Box observations, arrays or tensors.
        frames: k, at least 1.

    Raises:
        ValueError: other observations, another autoreset mode, or k below 1.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], frames: int) -> None:
        if isinstance(frames, bool) or not isinstance(frames, int) or frames < 1:
            raise ValueError(f"frames={frames!r} must be an integer of at least 1.")
        super().__init__(env, (frames, *(env.single_observation_space.shape or ())))
        self.frames = frames
        self._stack = torch.zeros((self.num_envs, *self.single_observation_space.shape), device=self.device)  # type: ignore[misc]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """First stacks [B, k, *F]."""
        _whole_reset(options)
        obs, info = self.env.reset(seed=seed, options=options)
        self._stack = self._repeat(self._frames(obs))
        return self._out(self._stack.clone()), info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step the environment; observations and `final_obs` are stacks of frames."""
        obs, reward, terminated, truncated, info = self.env.step(actions)
        frame, final = self._frames(obs), self._final(info)
        if final is not None:
            info = {**info, "final_obs": self._out(torch.cat((self._stack[:, 1:], final[:, None]), 1))}
        done = torch.as_tensor(terminated, device=self.device) | torch.as_tensor(truncated, device=self.device)
        first = done.reshape(-1, *[1] * frame.ndim)
        pushed = torch.cat((self._stack[:, 1:], frame[:, None]), 1)
        self._stack = torch.where(first, self._repeat(frame), pushed)
        return self._out(self._stack.clone()), reward, terminated, truncated, info

    def _repeat(self, frame: Tensor) -> Tensor:
        return frame[:, None].repeat_interleave(self.frames, 1)

    def _own_state(self) -> dict[str, np.ndarray]:
        return {"frame_stack": self._stack.cpu().numpy().copy()}

    def _load_own(self, state: dict[str, np.ndarray]) -> None:
        self._stack = torch.tensor(state["frame_stack"], device=self.device)
