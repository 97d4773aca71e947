"""Cheap-talk MDPs: a message about the observation is appended to it, and nothing else changes.

`CheapTalk` is a kernel around any kernel with Box observations, `CheapTalkWrapper` the same as a plain Gymnasium
wrapper around any environment with Box observations. The message functions are in `messages`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from rlsuite_envs.cheap_talk.messages import MessageFunction, MessageParams
from rlsuite_envs.cheap_talk.picture import beside, episode
from rlsuite_envs.checks import check_integer
from rlsuite_envs.kernel import Kernel, make_kernel

__all__ = ["CheapTalk", "CheapTalkParams", "CheapTalkState", "CheapTalkWrapper"]


@dataclass(frozen=True)
class CheapTalkParams(MessageParams):
    """Constants: those of `MessageParams`, and the environment whose observations the messages describe."""

    env: str = "rlsuite/CartPole-v1"
    """The environment: an id of a kernel ("rlsuite/..."), or "module:Class" of one."""
    env_kwargs: Any = ()
    """Constants of the environment, a dict (kept as name-value pairs)."""
    horizon: int | None = None
    """Steps of an episode, >= 1; None for the environment's own limit."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.horizon is not None:
            check_integer(self, "horizon", 1)
        if not isinstance(self.env, str) or not self.env:
            raise ValueError(
                f"env={self.env!r} must be the id of a kernel or 'module:Class'; give a finished kernel as "
                "CheapTalk(params, inner=...)."
            )
        pairs = self.env_kwargs.items() if isinstance(self.env_kwargs, Mapping) else self.env_kwargs
        try:
            constants = dict(pairs)
            hash(tuple(constants.items()))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"env_kwargs={self.env_kwargs!r} must be a dict of hashable constants ({error})."
            ) from error
        object.__setattr__(self, "env_kwargs", tuple(constants.items()))


@dataclass(frozen=True)
class CheapTalkState:
    """The environment's state, and which network gives the messages; also the post-decision state."""

    inner: Any
    """State (or post-decision state) of the environment, fields [B, ...]."""
    channel: Tensor
    """Index of the network whose messages are appended, [B] int64 in [0, P); a row keeps it over restarts."""


class CheapTalk(Kernel[CheapTalkState, CheapTalkState, Any]):
    """Any environment, with a deterministic message about the current observation appended to it.

    ## Description
    A cheap-talk MDP is an MDP with a message space and a deterministic function f of the current state. The
    learner (the victim) observes [s, f(s)]. Whoever chooses f can neither hide nor change s, nor touch dynamics
    and rewards, nor add randomness, and does not see what the learner does: f is fixed while it learns. For the
    same seed and actions, states, rewards, ends and info are those of the environment itself, bit for bit.

    ## Action Space
    The environment's.

    ## Observation Space
    `Box(O + M,)` float32: the environment's observation, flattened, then the message in [-scale, scale]. M is 2
    (`message_dim`), or 0 for `message="none"`. The networks see the observation as it is: neither they nor this
    kernel scale it (the experiments' victims normalise the concatenation themselves).

    ## Rewards
    The environment's.

    ## Starting State
    The environment's. Row b of B hears network b P // B of the P networks, and keeps it when it restarts.

    ## Episode End
    The environment's; truncation after `horizon` steps if given, else after the environment's own limit.

    ## Arguments
    The fields of `CheapTalkParams`. Presets: "CartPole" (201 steps: the release counts from 0 to 200), "Pendulum"
    and "Reacher", the three of the paper's victims that are written as kernels (MinAtar's Breakout is not).

    Source: Adversarial Cheap Talk (arXiv 2211.11030), with the release's defaults; see `messages`.

    Args:
        params: the constants; None takes the defaults.
        inner: a finished kernel to talk about, instead of `params.env`; its device and dtype hold.
        network: a given network, instead of `params.network`.
        device: where tensors are created.
        dtype: of the environment's floating-point numbers; messages are always computed in float32.

    Raises:
        ValueError: an environment that is unknown, no kernel, or has no Box observations; a network that does
            not fit.
    """

    params_class = CheapTalkParams
    params: CheapTalkParams
    presets = {  # noqa: RUF012
        "CartPole": CheapTalkParams(env="rlsuite/CartPole-v1", horizon=201),
        "Pendulum": CheapTalkParams(env="rlsuite_envs.cheap_talk.pendulum:TanhPendulum"),
        "Reacher": CheapTalkParams(env="rlsuite_envs.cheap_talk.reacher:TwoLinkReacher"),
    }

    def __init__(
        self,
        params: CheapTalkParams | None = None,
        *,
        inner: Kernel[Any, Any, Any] | None = None,
        network: nn.Module | tuple[Tensor, ...] | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        params = CheapTalkParams() if params is None else params
        if network is not None:
            params = dataclasses.replace(params, network=network)
        if inner is None:
            inner = _kernel(params.env, dict(params.env_kwargs), device, dtype)
        else:
            device, dtype = inner.device, inner.dtype
        if params.horizon is None:
            # Resolved here, so that both shells see one limit and a picture can name it.
            params = dataclasses.replace(params, horizon=inner.max_episode_steps)
        super().__init__(params, device=device, dtype=dtype)
        self.inner = inner
        box = _box(inner.observation_space, type(inner).__name__)
        self.observation_dim = math.prod(box.shape)
        self.speak = MessageFunction(params, self.observation_dim, self.device)
        self._space = _extended(box, self.speak.dim, params.scale, np.dtype(np.float32))
        # What the environment cannot draw, or how fast, is known only now.
        self.can_render = inner.can_render  # type: ignore[method-assign]
        self.render_fps = inner.render_fps  # type: ignore[misc]

    @property
    def observation_space(self) -> spaces.Box:
        """The flattened observation and the message."""
        return self._space

    @property
    def action_space(self) -> spaces.Space[Any]:
        """The environment's."""
        return self.inner.action_space

    @property
    def reward_dim(self) -> int | None:
        """The environment's."""
        return self.inner.reward_dim

    @property
    def reward_space(self) -> spaces.Box | None:
        """The environment's."""
        return self.inner.reward_space

    @property
    def objective_names(self) -> tuple[str, ...]:
        """The environment's."""
        return self.inner.objective_names

    def initial_state(self, num: int, rng: torch.Generator) -> CheapTalkState:
        """The environment's start states, and the index of each row's network."""
        return CheapTalkState(self.inner.initial_state(num, rng), self.speak.channels(num, self.device))

    def post_decision(self, state: CheapTalkState, action: Any) -> tuple[CheapTalkState, Tensor | None]:
        """The environment's."""
        post, reward = self.inner.post_decision(state.inner, action)
        return CheapTalkState(post, state.channel), reward

    def sample_exogenous(self, state: CheapTalkState, rng: torch.Generator) -> Any:
        """Noise of the environment; a message draws nothing."""
        return self.inner.sample_exogenous(state.inner, rng)

    def transition(self, post_state: CheapTalkState, noise: Any) -> tuple[CheapTalkState, Tensor | None, Tensor]:
        """The environment's."""
        state, reward, terminated = self.inner.transition(post_state.inner, noise)
        return CheapTalkState(state, post_state.channel), reward, terminated

    def carry_over(self, fresh: CheapTalkState, ended: CheapTalkState) -> CheapTalkState:
        """Start states that keep a row's network, and whatever else the environment keeps."""
        return CheapTalkState(self.inner.carry_over(fresh.inner, ended.inner), ended.channel)

    def observe(self, state: CheapTalkState) -> Tensor:
        """The environment's observation and the message about it, [B, O + M] float32."""
        return self._speak_of(self.inner.observe(state.inner), state.channel)

    def observe_post(self, post_state: CheapTalkState) -> Tensor:
        """The environment's post-decision observation and the message about that."""
        return self._speak_of(self.inner.observe_post(post_state.inner), post_state.channel)

    def action_mask(self, state: CheapTalkState) -> Tensor | None:
        """The environment's."""
        return self.inner.action_mask(state.inner)

    def info(self, state: CheapTalkState) -> dict[str, Tensor]:
        """The environment's."""
        return self.inner.info(state.inner)

    def messages(self, state: CheapTalkState) -> Tensor:
        """The messages [B, M] float32 alone."""
        return self.observe(state)[:, self.observation_dim :]

    def _speak_of(self, observation: Any, channel: Tensor) -> Tensor:
        flat = observation.reshape(len(observation), -1).to(torch.float32)
        return torch.cat((flat, self.speak(flat, channel)), dim=-1)

    def render(self, state_row: CheapTalkState) -> np.ndarray:
        """The environment's picture over the message as bars."""
        message = self.messages(state_row)[0].detach().cpu().numpy()
        return beside(self.inner.render(state_row.inner), message, self.params.scale)

    def render_episode(self, states: CheapTalkState, actions: Any, rewards: Tensor) -> np.ndarray:
        """Observation, message and reward over time."""
        seen = self.observe(states).detach().cpu().numpy()
        plain, said = seen[:, : self.observation_dim], seen[:, self.observation_dim :]
        return episode(plain, said, rewards.cpu().numpy(), self.params.scale)


class CheapTalkWrapper(gym.ObservationWrapper[Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Append a message about the observation to it, in any environment with Box observations.

    The function is that of `CheapTalk` with the same constants; with several networks, this environment hears
    `channel`. Everything else stays as it is. Example:
    `CheapTalkWrapper(gym.make("CartPole-v1"), message="random", message_seed=3)`.

    Args:
        env: the environment; its observations are flattened.
        channel: which of the P networks talks, 0..P-1.
        constants: fields of `MessageParams`.

    Raises:
        ValueError: observations that are no Box, or bad constants.
    """

    def __init__(self, env: gym.Env[Any, Any], *, channel: int = 0, **constants: Any) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, channel=channel, **constants)
        gym.ObservationWrapper.__init__(self, env)
        known = [field.name for field in dataclasses.fields(MessageParams)]
        for name in constants:
            if name not in known:
                raise ValueError(
                    f"CheapTalkWrapper has no argument {name}={constants[name]!r}; known: {', '.join(known)}."
                )
        self.params = MessageParams(**constants)
        box = _box(env.observation_space, str(env))
        # float64 observations (MuJoCo's) stay what they are; images become numbers to which a message can be appended.
        self._dtype = box.dtype if np.issubdtype(box.dtype, np.floating) else np.dtype(np.float32)
        device = torch.device("cpu")
        if self.params.network is not None and isinstance(self.params.network.value, nn.Module):
            device = next((p.device for p in self.params.network.value.parameters()), device)
        self.speak = MessageFunction(self.params, math.prod(box.shape), device)
        if isinstance(channel, bool) or not isinstance(channel, int) or not 0 <= channel < self.speak.networks:
            raise ValueError(f"channel={channel!r} must be an integer in 0..{self.speak.networks - 1}.")
        self._channel = torch.tensor([channel], device=device)
        self._device = device
        self.observation_space = _extended(box, self.speak.dim, self.params.scale, self._dtype)

    @torch.no_grad()
    def observation(self, observation: Any) -> np.ndarray:
        """The observation, flattened, and the message about it, [O + M]."""
        flat = np.asarray(observation).reshape(-1)
        row = torch.tensor(flat[None].astype(np.float32), device=self._device)
        message = self.speak(row, self._channel)[0].cpu().numpy()
        return np.concatenate([flat.astype(self._dtype), message.astype(self._dtype)])


def _kernel(
    env: str, constants: dict[str, Any], device: str | torch.device, dtype: torch.dtype
) -> Kernel[Any, Any, Any]:
    """The kernel of an id or "module:Class"."""
    if ":" in env and "/" not in env:
        return make_kernel(env, device=device, dtype=dtype, **constants)
    import rlsuite_envs  # noqa: F401 (registers the ids)

    try:
        spec = gym.spec(env)
    except gym.error.Error as error:
        raise ValueError(f"env={env!r} is no known id: {error}") from error
    if "kernel" not in spec.kwargs:
        raise ValueError(
            f"env={env!r} is not written as a kernel; use CheapTalkWrapper(gym.make({env!r}), ...) instead."
        )
    return make_kernel(device=device, dtype=dtype, **{**spec.kwargs, **constants})


def _box(space: spaces.Space[Any], owner: str) -> spaces.Box:
    if not isinstance(space, spaces.Box):
        raise ValueError(
            f"{owner} observes {space}; a message can be appended to Box observations only "
            "(gymnasium.wrappers.FlattenObservation makes one of most spaces)."
        )
    return space


def _extended(box: spaces.Box, dim: int, scale: float, dtype: np.dtype[Any]) -> spaces.Box:
    """The flattened box with dim entries in [-scale, scale] more."""
    bound = np.full(dim, np.float32(scale))  # messages are float32, whatever the observation is
    low = np.concatenate([box.low.reshape(-1).astype(dtype), -bound.astype(dtype)])
    high = np.concatenate([box.high.reshape(-1).astype(dtype), bound.astype(dtype)])
    return spaces.Box(low, high, dtype=dtype.type)
