"""Environments as pure functions on batched tensors: the protocol every rlsuite family is written in.

A kernel holds constants only (`params`, `device`, `dtype`); everything that changes is in a frozen dataclass
of tensors, its state, which functions take and return. Powell's split separates what the action causes from
what chance causes, so that an algorithm can value the moment between them, replay the same noise, or
differentiate::

    post, reward_a = kernel.post_decision(state, action)      # deterministic
    noise          = kernel.sample_exogenous(state, rng)      # demand, gusts, ...; None where there is none
    state, reward_b, terminated = kernel.transition(post, noise)

The reward of the step is reward_a + reward_b (None stands for "no part here"). In a deterministic environment
the post-decision state is the next state already, and `transition` hands it on. An environment whose action
and noise cannot be told apart lets `post_decision` carry state and action on, in a dataclass of its own.

Shapes: B environments first, always: state fields [B, ...], reward [B] (or [B, K] with K objectives, as in
mo-gymnasium), terminated [B] bool, observations [B, *obs_shape] or a dict of such tensors. Two players are an
action space `spaces.Tuple((agent, adversary))`; the kernel then receives a tuple of two tensors.

Contract: functions never write into their arguments, hold no random state, and `observe` returns tensors of
its own (a caller may change what it was given). No function reads a tensor's value back to Python: that would
stall a GPU.

Source: W. B. Powell, Approximate Dynamic Programming, 2nd ed. 2011, section 4.6 (post-decision states).
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, ClassVar, Generic, TypeVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.constants import check_types, named_errors, plain, try_out

__all__ = ["Kernel", "as_device", "make_kernel", "tree_items", "tree_map"]

StateT = TypeVar("StateT")
PostT = TypeVar("PostT")
NoiseT = TypeVar("NoiseT")
TreeT = TypeVar("TreeT")
KernelT = TypeVar("KernelT", bound="Kernel[Any, Any, Any]")

Observation = Tensor | dict[str, Tensor]


class Kernel(ABC, Generic[StateT, PostT, NoiseT]):
    """One family of environments as batched pure functions; see the module for the protocol.

    A subclass sets `params_class` (a frozen dataclass whose `__post_init__` raises ValueError on bad values),
    may name `presets` of it (and, in `preset_argument`, what the family calls them), and implements the
    abstract functions. The two shells do everything else.

    Args:
        params: the constants; None takes the defaults of `params_class`.
        device: where `initial_state` creates its tensors.
        dtype: torch.float32 or torch.float64, of the state's and the reward's floating-point numbers.

    Raises:
        ValueError: unusable device or dtype; TypeError: params of another class.
    """

    params_class: ClassVar[type]
    presets: ClassVar[Mapping[str, Any]] = {}
    preset_argument: ClassVar[str] = "preset"
    render_fps: ClassVar[int] = 30

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        params = self.params_class() if params is None else params
        if not isinstance(params, self.params_class):
            raise TypeError(
                f"params={params!r} must be a {self.params_class.__name__}; "
                f"make one with {type(self).__name__}.params_class(...)."
            )
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype={dtype} must be torch.float32 or torch.float64.")
        self.params = params
        self.device = as_device(device)
        self.dtype = dtype

    @property
    @abstractmethod
    def observation_space(self) -> spaces.Space[Any]:
        """Space of one environment's observation."""

    @property
    @abstractmethod
    def action_space(self) -> spaces.Space[Any]:
        """Space of one environment's action; a Tuple of two for two players."""

    @property
    def max_episode_steps(self) -> int | None:
        """Steps after which an episode is truncated where nobody says otherwise; None for never.

        A kernel whose constants have a `horizon` takes that one.
        """
        return getattr(self.params, "horizon", None)

    @property
    def horizon(self) -> int | None:
        """The time limit that is part of the problem, in steps; None where there is none, or others may set it.

        Kernels whose constants have a `horizon` (None there lets the kernel compute it) are truncated there, whoever
        makes them.
        """
        return self.max_episode_steps if hasattr(self.params, "horizon") else None

    @property
    def reward_dim(self) -> int | None:
        """K for a reward vector [B, K], None for a scalar reward [B]."""
        return None

    @property
    def reward_space(self) -> spaces.Box | None:
        """Box [K] in which the reward vectors of single steps lie, of the kernel's dtype; None for a scalar reward.

        Unbounded unless the kernel knows better. As in mo-gymnasium, whose wrappers read K from it.
        """
        if self.reward_dim is None:
            return None
        return spaces.Box(-np.inf, np.inf, (self.reward_dim,), dtype=self._reward_dtype)

    @property
    def _reward_dtype(self) -> Any:
        return np.float64 if self.dtype == torch.float64 else np.float32

    @property
    def objective_names(self) -> tuple[str, ...]:
        """What each of the K objectives is, in a word or two, for pictures and messages; empty for a scalar reward."""
        return tuple(f"objective {k}" for k in range(self.reward_dim or 0))

    @abstractmethod
    def initial_state(self, num: int, rng: torch.Generator) -> StateT:
        """Start states of num episodes, drawn from rng, on `self.device`."""

    @abstractmethod
    def post_decision(self, state: StateT, action: Any) -> tuple[PostT, Tensor | None]:
        """What the action causes for certain: the post-decision state, and its reward [B] or None.

        Actions are int64 (Discrete, MultiDiscrete, MultiBinary) or floating (Box) tensors [B, *action_shape].
        Box actions may lie outside the box, as in Gymnasium: clip them here. A float64 kernel may be given
        float32 actions, and leaves the promotion to torch as Gymnasium does to NumPy.
        """

    def sample_exogenous(self, state: StateT, rng: torch.Generator) -> NoiseT | None:
        """The randomness of one step, for all B environments; None (the default) where there is none."""
        return None

    @abstractmethod
    def transition(self, post_state: PostT, noise: NoiseT | None) -> tuple[StateT, Tensor | None, Tensor]:
        """What the randomness causes: next state, its reward [B] or None, and terminated [B] bool."""

    @abstractmethod
    def observe(self, state: StateT) -> Observation:
        """What the agent sees of a state: new tensors of the observation space's dtype."""

    def observe_post(self, post_state: PostT) -> Observation:
        """What the agent sees of a post-decision state."""
        raise NotImplementedError(f"{type(self).__name__} does not define observe_post.")

    def action_mask(self, state: StateT) -> Tensor | None:
        """Allowed actions [B, A] bool, True = allowed; None (the default) where all always are.

        A is n for Discrete, the sum of nvec for MultiDiscrete (components one after the other), 2 n for
        MultiBinary (may it be 0, may it be 1, bit after bit), as sb3-contrib's MaskablePPO has it. Every component
        needs an allowed choice in every state.
        """
        return None

    def carry_over(self, fresh: StateT, ended: StateT) -> StateT:
        """The start states of new episodes, given the last states of the ended ones in the same rows.

        What belongs to a row and not to an episode (which of P networks speaks in it) is taken over here.
        """
        return fresh

    def info(self, state: StateT) -> dict[str, Tensor]:
        """Further quantities of a state, name -> [B, ...], for `info`; the same keys always."""
        return {}

    def advance(self, state: StateT, action: Any, noise: NoiseT | None = None) -> tuple[StateT, Tensor, Tensor]:
        """One whole step with given noise: next state, reward [B] or [B, K], terminated [B]."""
        post, caused = self.post_decision(state, action)
        next_state, befallen, terminated = self.transition(post, noise)
        if caused is None:
            reward = self._no_reward(terminated) if befallen is None else befallen
        else:
            reward = caused if befallen is None else caused + befallen
        return next_state, reward, terminated

    def _no_reward(self, terminated: Tensor) -> Tensor:
        shape = terminated.shape if self.reward_dim is None else (*terminated.shape, self.reward_dim)
        return torch.zeros(shape, dtype=self.dtype, device=terminated.device)

    def pareto_front(self, gamma: float) -> np.ndarray:
        """The exact Pareto front of the discounted returns from the start, where the kernel can compute it.

        Args:
            gamma: discount factor in [0, 1]; an episode's return vector is the sum of gamma^t times the reward of step
                t = 0, 1, ...

        Returns:
            Its points [n, K] float64, each once, sorted lexicographically.

        Raises:
            NotImplementedError: not known exactly; `knows_front` says so beforehand.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no front that can be computed exactly; compare with the union of the fronts "
            "that were found instead."
        )

    @classmethod
    def knows_front(cls) -> bool:
        """Whether the kernel defines `pareto_front`."""
        return cls.pareto_front is not Kernel.pareto_front

    def render(self, state_row: StateT) -> np.ndarray:
        """A picture [height, width, 3] uint8 of one environment, given a state of one row (B = 1)."""
        raise NotImplementedError(f"{type(self).__name__} does not draw itself.")

    def render_episode(self, states: StateT, actions: Any, rewards: Tensor) -> np.ndarray:
        """One picture [height, width, 3] uint8 that tells a whole episode of T steps.

        Args:
            states: fields [T + 1, ...], time in place of the environments.
            actions: [T, *action_shape].
            rewards: [T], or [T, K].
        """
        raise NotImplementedError(f"{type(self).__name__} does not draw episodes.")

    @classmethod
    def can_render(cls) -> bool:
        """Whether the kernel defines `render`."""
        return cls.render is not Kernel.render


def tree_map(function: Callable[..., Tensor], tree: TreeT, *others: TreeT) -> TreeT:
    """The tree with function applied to its tensors, and to those at the same place of the others.

    Trees are tensors, dicts, tuples and dataclasses of trees, and None.
    """
    if isinstance(tree, Tensor):
        return function(tree, *others)  # type: ignore[return-value]
    if tree is None:
        return tree
    if isinstance(tree, dict):
        return {key: tree_map(function, tree[key], *(o[key] for o in others)) for key in tree}  # type: ignore
    if isinstance(tree, tuple):
        return tuple(tree_map(function, *parts) for parts in zip(tree, *others, strict=True))  # type: ignore
    kind: Any = type(tree)
    return kind(*[tree_map(function, *(getattr(t, name) for t in (tree, *others))) for name in _fields(kind)])


def tree_items(tree: Any, prefix: str) -> dict[str, Tensor]:
    """The tensors of a tree by their dotted path, e.g. {"state.x": ...}."""
    if isinstance(tree, Tensor):
        return {prefix: tree}
    if tree is None:
        return {}
    if isinstance(tree, dict):
        parts = tree.items()
    elif isinstance(tree, tuple):
        parts = {str(i): part for i, part in enumerate(tree)}.items()
    else:
        kind: Any = type(tree)
        parts = {name: getattr(tree, name) for name in _fields(kind)}.items()
    return {path: leaf for key, part in parts for path, leaf in tree_items(part, f"{prefix}.{key}").items()}


@cache
def _fields(kind: Any) -> tuple[str, ...]:
    if not dataclasses.is_dataclass(kind):
        raise TypeError(f"A state must be a dataclass, dict or tuple of tensors; got {kind.__name__}.")
    return tuple(field.name for field in dataclasses.fields(kind))


def as_device(device: str | torch.device) -> torch.device:
    """The torch device, checked to be there; "auto" is CUDA where there is one, else the CPU.

    Raises:
        ValueError: not a device, or none of that kind on this machine.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise ValueError(
            f"device={device!r} cannot be used here ({str(error).splitlines()[0]}); "
            "use 'cpu', 'cuda' on a machine that has it, or 'auto'."
        ) from error
    return found


def _registered_kernel(name: str) -> type[Kernel[Any, Any, Any]]:
    """The class called "module:Class", of this package or of an id registered with `kwargs={"kernel": name}`."""
    module, _, attribute = name.partition(":")
    registered = {spec.kwargs.get("kernel") for spec in gym.registry.values() if spec.kwargs.get("kernel") == name}
    found: Any = None
    if registered or module.startswith("rlsuite_envs."):
        try:
            found = getattr(importlib.import_module(module), attribute, None)
        except ModuleNotFoundError as error:
            raise ValueError(f"kernel={name!r} names no kernel: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, Kernel)):
        raise ValueError(
            f"kernel={name!r} names no kernel that is registered; give its class, or register an id with "
            f"gym.register(id, entry_point='rlsuite_envs.single:TensorEnv', kwargs={{'kernel': {name!r}}})."
        )
    return found


def make_kernel(
    kernel: str | type[KernelT] | KernelT,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = torch.float32,
    preset: str | None = None,
    **params: Any,
) -> KernelT:
    """A kernel from "module:Class", its class, or a finished kernel (which then takes no further arguments).

    A name is looked up among our own kernels and those of registered ids only: it may come out of a file, and must
    not import whatever it likes.

    Args:
        kernel: what to make.
        device: where its tensors live.
        dtype: "float32" or "float64" (or torch's names).
        preset: name of a set of constants, from `kernel.presets`.
        params: single constants, replacing those of the preset. NumPy's numbers and lists may stand for Python's and
            for tuples. The kernel is tried out for one step with them.

    Raises:
        ValueError: unknown kernel, preset or constant (naming the nearest), or a bad value of one.
        TypeError: a value of a kind that its check cannot compare.
    """
    if isinstance(kernel, Kernel):
        if params or preset is not None:
            raise ValueError(f"{sorted(params) or 'preset'} given beside a finished kernel; set them in its params.")
        return kernel
    kind: Any = _registered_kernel(kernel) if isinstance(kernel, str) else kernel
    if kind.preset_argument in params:
        preset = params.pop(kind.preset_argument)
    for name in params:
        known = [*_fields(kind.params_class), "device", "dtype", kind.preset_argument, "render_mode"]
        if name not in _fields(kind.params_class):
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}."
            raise ValueError(f"{kind.__name__} has no argument {name}={params[name]!r}; {hint}")
    if preset is not None and (not isinstance(preset, str) or preset not in kind.presets):
        close = difflib.get_close_matches(str(preset), kind.presets, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(
            f"{kind.preset_argument}={preset!r} is unknown to {kind.__name__}; {hint}"
            f"known: {', '.join(kind.presets) or 'none'}."
        )
    number = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(number, torch.dtype):
        raise ValueError(f"dtype={dtype!r} must be 'float32' or 'float64'.")
    given = {name: plain(value) for name, value in params.items()}
    origin = "the defaults" if preset is None else f"{kind.preset_argument}={preset!r}"
    with named_errors(kind.__name__, given, origin):
        made_of = kind.params_class if preset is None else partial(dataclasses.replace, kind.presets[preset])
        constants = made_of(**given)
        check_types(constants, given)
        made = kind(constants, device=device, dtype=number)
        if given:
            try_out(made)
    return made
