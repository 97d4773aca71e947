"""Thousands of copies of a kernel as one Gymnasium vector environment, on any device.

A step is the kernel's own functions plus a counter, a mask and, where an episode ended, fresh start states:
no Python per environment, and on a GPU no wait for it. Episodes restart in the step that ends them
(SAME_STEP).

On the CPU the ended rows alone are drawn anew, and nothing is drawn where none ended. On other devices that
would need the number of ended rows, hence a wait: there B start states are drawn every step and `torch.where`
picks. Both are reproducible from the seed, but they use up the random stream differently (and the streams of
a CPU and a GPU differ anyway): trajectories are equal on the same kind of device only.

One generator serves all environments, instead of Gymnasium's one per environment with seed + i.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from rlsuite_envs.actions import action_reader, mask_size, to_numpy
from rlsuite_envs.kernel import Kernel, make_kernel, tree_items, tree_map
from rlsuite_envs.stepping import Carry, Outcome, Stepper

__all__ = ["TensorVectorEnv"]


class TensorVectorEnv(VectorEnv[Any, Any, Any]):
    """A Gymnasium vector environment around a kernel; see the module.

    Usually made by `gym.make_vec("rlsuite/CartPole-v1", num_envs=4096, device="cuda")`.

    Args:
        num_envs: B, at least 1.
        kernel: a kernel, its class, or "module:Class".
        device: "cpu", "cuda", "auto", ...; None is the CPU (or the finished kernel's own device).
        output: "torch" for tensors on the device, "numpy" for arrays; None is torch where a device is named
            (or the kernel is finished), else NumPy, which Gymnasium's users expect.
        max_episode_steps: time limit in steps; None takes the kernel's, -1 sets none. A `horizon` among the
            kernel's constants holds in any case.
        render_mode: None or "rgb_array".
        compile: pass the deterministic part of the step through `torch.compile`. Worth it on a GPU, and for
            heavy kernels; the first step then takes seconds.
        validate: look at each action's values and raise on bad ones; None does so on the CPU only, since on a
            GPU it would wait for the device at every step.
        dtype: "float32" or "float64", of the kernel's numbers.
        params: the kernel's `preset` and constants.

    Attributes:
        reward_dim: K where a step pays a vector of K objectives, None where it pays one number.
        reward_space: Box [K] of one environment's reward vectors (mo-gymnasium's convention), or None.
        objective_names: names of the K objectives; empty for one number.

    Raises:
        ValueError: a bad value of any of these, naming it.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's own declaration)
        "render_modes": ["rgb_array"],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        *,
        kernel: str | type[Kernel[Any, Any, Any]] | Kernel[Any, Any, Any],
        device: str | torch.device | None = None,
        output: str | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        compile: bool = False,
        validate: bool | None = None,
        dtype: str | torch.dtype = torch.float32,
        **params: Any,
    ) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, (int, np.integer)) or num_envs < 1:
            raise ValueError(f"num_envs={num_envs!r} must be an integer of at least 1.")
        if output not in (None, "torch", "numpy"):
            raise ValueError(f"output={output!r} must be 'torch' or 'numpy'.")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode={render_mode!r} must be None or 'rgb_array' for a vector environment.")
        named = device is not None or isinstance(kernel, Kernel)
        self.kernel = make_kernel(kernel, device=device or "cpu", dtype=dtype, **params)
        if render_mode and not self.kernel.can_render():
            raise ValueError(f"render_mode={render_mode!r}: {type(self.kernel).__name__} does not draw itself.")
        self.num_envs = int(num_envs)
        self.device = self.kernel.device
        self.output = output or ("torch" if named else "numpy")
        self.render_mode = render_mode
        self.max_episode_steps = _time_limit(max_episode_steps, self.kernel)
        self.metadata = {**type(self).metadata, "render_fps": self.kernel.render_fps}
        if not self.kernel.can_render():
            self.metadata["render_modes"] = []
        self.single_observation_space = self.kernel.observation_space
        self.single_action_space = self.kernel.action_space
        self.reward_dim = self.kernel.reward_dim
        self.reward_space = self.kernel.reward_space
        self.objective_names = self.kernel.objective_names
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._validate = self.device.type == "cpu" if validate is None else validate
        self._read = self._reader()
        self._stepper = Stepper(self.kernel, self.num_envs, self.max_episode_steps, compile=compile)
        self._rng = torch.Generator(device=self.device)
        self._seeded = False
        self._carry: Carry | None = None

    def _reader(self) -> Callable[[Any], Any]:
        space, kernel = self.single_action_space, self.kernel
        return action_reader(
            space,
            self.num_envs,
            device=self.device,
            dtype=kernel.dtype,
            validate=self._validate,
            owner=type(kernel).__name__,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_read": None}  # a closure, which pickle refuses

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._read = self._reader()

    def functional_step(self, carry: Carry, action: Any) -> tuple[Carry, Outcome]:
        """One step from a carry, leaving the environment's own alone; see `Stepper.step`.

        For learners that capture whole rollouts: begin at `carry`, and store the last one there when done.
        """
        return self._stepper.step(carry, action, self._rng)

    @property
    def carry(self) -> Carry:
        """State and step counters of the running episodes."""
        return self._current("reading the carry")

    @carry.setter
    def carry(self, carry: Carry) -> None:
        self._carry = carry

    @torch.no_grad()
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start new episodes.

        Args:
            seed: seeds the one generator of all environments; None goes on with it (the first time: from the
                system's randomness).
            options: {"reset_mask": [B] bool} restarts these environments only.

        Returns:
            Observations [B, *obs_shape] and info (with "action_mask" [B, A] where the kernel has one).

        Raises:
            ValueError: an unknown option, a mask of the wrong shape, or one before the first full reset.
        """
        super().reset(seed=seed)
        if seed is not None or not self._seeded:
            self._rng.manual_seed(seed) if seed is not None else self._rng.seed()
            self._seeded = True
        mask = _reset_mask(options, self.num_envs)
        if mask is None:
            self._carry = self._stepper.initial_carry(self._rng)
            obs = self.kernel.observe(self._carry.state)
        else:
            old = self._current("reset with a reset_mask")
            done = mask.to(self.device)
            self._carry, obs = self._stepper.restart(old, self.kernel.observe(old.state), done, self._rng)
        return self._out(obs), self._info(self._carry.state)

    @torch.no_grad()
    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step all environments; ended ones restart at once.

        Args:
            actions: [B, *action_shape], arrays or tensors.

        Returns:
            obs, reward [B] (or [B, K] for K objectives), terminated [B], truncated [B], info. Where episodes ended
            (on a GPU: always), info["final_obs"] holds the true last observations [B, *obs_shape] and
            info["final_info"] their info, both meaningful under the masks info["_final_obs"] and
            info["_final_info"] [B].

        Raises:
            ValueError: an action of the wrong shape or type, or (if `validate`) not finite or out of range.
            gymnasium.error.ResetNeeded: no reset yet.
        """
        carry = self._current("step")
        self._carry, outcome = self.functional_step(carry, self._read(actions))
        info = self._info(self._carry.state)
        if outcome.final_obs is not None:
            done = self._out(outcome.done)
            info["final_obs"] = self._out(outcome.final_obs)
            info["_final_obs"] = done
            info["final_info"] = self._info(outcome.final_state)
            info["_final_info"] = done
        return (
            self._out(outcome.obs),
            self._out(outcome.reward),
            self._out(outcome.terminated),
            self._out(outcome.truncated),
            info,
        )

    def _current(self, call: str) -> Carry:
        if self._carry is None:
            raise gym.error.ResetNeeded(f"Call reset() before {call}.")
        return self._carry

    def _out(self, value: Any) -> Any:
        return value if self.output == "torch" else to_numpy(value)

    def _info(self, state: Any) -> dict[str, Any]:
        info: dict[str, Any] = {}
        mask = self.kernel.action_mask(state)
        parts = self.kernel.info(state) if mask is None else {**self.kernel.info(state), "action_mask": mask}
        for name, value in parts.items():
            info[name] = self._out(value)
            present = torch.ones(self.num_envs, dtype=torch.bool, device=self.device)
            info[f"_{name}"] = self._out(present)
        return info

    def pareto_front(self, gamma: float) -> np.ndarray:
        """The kernel's exact Pareto front [n, K] float64 of discounted returns, sorted; see `Kernel.pareto_front`."""
        return self.kernel.pareto_front(gamma)

    def action_masks(self) -> Any:
        """Allowed actions [B, A] bool now (sb3-contrib's name), all True without masks; None for a Box."""
        mask = self.kernel.action_mask(self._current("action_masks").state)
        size = mask_size(self.single_action_space)
        if mask is None and size is not None:
            mask = torch.ones((self.num_envs, size), dtype=torch.bool, device=self.device)
        return None if mask is None else self._out(mask)

    @property
    def state(self) -> Any:
        """The kernel's current state, fields [B, ...]."""
        return self._current("reading the state").state

    def set_state(self, state: Any, elapsed: Tensor | None = None) -> None:
        """Put all environments into a state, e.g. a stored one or another simulator's.

        Args:
            state: the kernel's, fields [B, ...].
            elapsed: steps of the episodes so far [B] int64; None for 0.
        """
        zeros = torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)
        if not self._seeded:
            self._rng.seed()
            self._seeded = True
        self._carry = Carry(state, zeros if elapsed is None else elapsed.to(zeros))

    def render(self) -> tuple[np.ndarray, ...] | None:
        """One picture [height, width, 3] per environment, where render_mode is "rgb_array"."""
        if self.render_mode is None:
            return None
        state = self._current("render").state
        return tuple(self.kernel.render(tree_map(lambda x, i=i: x[i : i + 1], state)) for i in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """End the episodes; a step then needs a reset."""
        self._carry = None

    # --- Exact resume
    # --------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, np.ndarray]:
        """Everything that the next steps depend on, as arrays by name; see `load_state_dict`."""
        carry = tree_items(self._current("state_dict"), "carry")
        arrays = {name: tensor.detach().cpu().numpy().copy() for name, tensor in carry.items()}
        return {**arrays, "rng": self._rng.get_state().numpy().copy()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Go on where `state_dict` was taken: the next steps are equal, bit for bit.

        Raises:
            ValueError: another environment's, number of copies', dtype's or kind of device's state.
        """
        template = self._carry or self._stepper.initial_carry(torch.Generator(self.device).manual_seed(0))
        wanted = {
            name: (tuple(t.shape), t.numpy(force=True).dtype) for name, t in tree_items(template, "carry").items()
        }
        wanted["rng"] = tuple(self._rng.get_state().shape), np.dtype(np.uint8)
        found = {name: (np.shape(value), np.asarray(value).dtype) for name, value in state.items()}
        if found != wanted:
            wrong = next(n for n in [*wanted, *found] if found.get(n) != wanted.get(n))
            raise ValueError(
                f"This state does not fit {type(self.kernel).__name__} with num_envs={self.num_envs} on "
                f"{self.device}: {wrong!r} is {found.get(wrong, 'missing')} but should be "
                f"{wanted.get(wrong, 'absent')}. Use the environment, num_envs, dtype and kind of device it "
                "was saved with, or start anew with reset(seed=...)."
            )
        tensors = iter(torch.tensor(state[name], device=self.device) for name in tree_items(template, "carry"))
        self._carry = tree_map(lambda _: next(tensors), template)
        self._rng.set_state(torch.tensor(state["rng"]))
        self._seeded = True


def _time_limit(limit: int | None, kernel: Kernel[Any, Any, Any]) -> int | None:
    """The time limit in steps: an own one, none (-1), or the kernel's (None).

    A horizon among the kernel's constants is part of the problem: no time limit goes beyond it.
    """
    if limit is None:
        return kernel.max_episode_steps
    if isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or (limit < 1 and limit != -1):
        raise ValueError(f"max_episode_steps={limit!r} must be a positive integer, or -1 for no limit.")
    if limit == -1:
        return kernel.horizon
    return int(limit) if kernel.horizon is None else min(int(limit), kernel.horizon)


def _reset_mask(options: dict[str, Any] | None, num_envs: int) -> Tensor | None:
    """The mask [B] bool among the options of reset, or None."""
    unknown = sorted(set(options or {}) - {"reset_mask"})
    if unknown:
        raise ValueError(
            f"reset option {unknown[0]!r} is unknown; use 'reset_mask', set_state(), or constants of make."
        )
    if not options:
        return None
    mask = torch.as_tensor(options["reset_mask"])
    if mask.shape != (num_envs,) or mask.dtype != torch.bool:
        raise ValueError(f"reset_mask is {mask.dtype} of shape {tuple(mask.shape)} but must be bool of ({num_envs},).")
    return mask
