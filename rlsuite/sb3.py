"""Adapters to Stable-Baselines3, both ways.

| you have | what you get | call |
|---|---|---|
| a Gymnasium vector env (ours, or any SAME_STEP one) | an SB3 `VecEnv` | `as_vec_env(vector_env)` |
| one of our agents, or anything with `predict` | an SB3 policy (an expert, an opponent) | `as_model(agent)` |
| an SB3 model, perhaps with `VecNormalize` | a policy on raw observations | `as_policy(model)` |
| an SB3 zip | its parameters; nothing in it is run | `load_parameters(path, model)` |

Our agents carry SB3's surface themselves (`predict`, `logger`, `get_env`, `save`), so its callbacks and
`evaluate_policy` need no adapter. A stranger's SB3 zip is never unpickled here: SB3's `load` runs code that
the file holds, `load_parameters` reads the weights alone.

Shapes: B environments.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecNormalize

from rlsuite.core.evaluate import Predictor
from rlsuite.core.vec_env import VectorEnvAdapter, as_vec_env, to_numpy

__all__ = [
    "AgentPolicy",
    "SB3Policy",
    "VectorEnvAdapter",
    "as_model",
    "as_policy",
    "as_vec_env",
    "load_parameters",
]

MAX_MEMBER_BYTES = 4 * 2**30
"""Refuse zip members that unpack to more (bytes): a small file must not fill the memory."""


class AgentPolicy(BasePolicy):
    """An SB3 policy that asks one of our agents (or anything with `predict`) for its actions."""

    def __init__(self, agent: Predictor, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        super().__init__(observation_space, action_space)
        self.agent = agent

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """The agent's answer, unchanged."""
        return self.agent.predict(observation, state, episode_start, deterministic)

    def _predict(self, observation: Any, deterministic: bool = False) -> torch.Tensor:
        obs = (
            {k: to_numpy(v) for k, v in observation.items()} if isinstance(observation, dict) else to_numpy(observation)
        )
        action, _ = self.agent.predict(obs, None, None, deterministic)
        return torch.as_tensor(np.asarray(action), device=self.device)


def as_model(
    agent: Predictor,
    observation_space: spaces.Space[Any] | None = None,
    action_space: spaces.Space[Any] | None = None,
) -> AgentPolicy:
    """An agent as an SB3 policy: `evaluate_policy(as_model(agent), env)`, an expert or opponent in SB3 code.

    Args:
        agent: has `predict`; its own spaces are used unless given.
        observation_space: of one environment.
        action_space: of one environment.

    Raises:
        TypeError: no `predict`, or no spaces to be found.
    """
    if not callable(getattr(agent, "predict", None)):
        raise TypeError(f"as_model needs an object with predict(), not {type(agent).__name__}")
    observation_space = observation_space or getattr(agent, "observation_space", None)
    action_space = action_space or getattr(agent, "action_space", None)
    if observation_space is None or action_space is None:
        raise TypeError(f"{type(agent).__name__} has no observation_space and action_space; pass both to as_model")
    return AgentPolicy(agent, observation_space, action_space)


class SB3Policy:
    """An SB3 model as a policy on raw observations: its `VecNormalize` statistics are applied, frozen.

    It counts as one of ours wherever a policy is wanted: evaluation, a victim, a baseline, an opponent.
    """

    def __init__(self, model: Predictor, vec_normalize: VecNormalize | None = None) -> None:
        self.model = model
        self.vec_normalize = vec_normalize
        self.observation_space: spaces.Space[Any] | None = getattr(model, "observation_space", None)
        self.action_space: spaces.Space[Any] | None = getattr(model, "action_space", None)

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions for raw observations [B, ...] (tensors too), ready for the environment."""
        obs = (
            {k: to_numpy(v) for k, v in observation.items()} if isinstance(observation, dict) else to_numpy(observation)
        )
        if self.vec_normalize is not None:
            obs = self.vec_normalize.normalize_obs(obs)
        return self.model.predict(obs, state, episode_start, deterministic)


def as_policy(model: Predictor, vec_normalize: VecNormalize | None = None) -> SB3Policy:
    """An SB3 model where we want a policy.

    Args:
        model: an SB3 algorithm or policy.
        vec_normalize: the normaliser it was trained under; found by itself when the model carries one.

    Raises:
        TypeError: the model has no `predict`.
    """
    if not callable(getattr(model, "predict", None)):
        raise TypeError(f"as_policy needs an SB3 model or policy with predict(), not {type(model).__name__}")
    if vec_normalize is None and isinstance(model, BaseAlgorithm):
        vec_normalize = model.get_vec_normalize_env()
    return SB3Policy(model, vec_normalize)


def load_parameters(path: str | Path, model: BaseAlgorithm) -> None:
    """Put an SB3 zip's networks and optimisers into a model of the same shape, without unpickling anything.

    Args:
        path: zip written by SB3's `save`.
        model: built with the same algorithm, spaces and network sizes.

    Raises:
        ValueError: no SB3 zip, too large, holding more than tensors, or of another shape; names the file.
    """
    content = {name.removesuffix(".pth"): value for name, value in _tensor_members(path, model.device).items()}
    variables = content.pop("pytorch_variables", None) or {}  # SB3 keeps SAC's entropy coefficient apart
    try:
        model.set_parameters(content, exact_match=True, device=model.device)
        for name, value in variables.items():
            getattr(model, name).data.copy_(value)
    except (ValueError, RuntimeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} does not fit this {type(model).__name__}: {error}") from error


def _tensor_members(path: str | Path, device: torch.device) -> dict[str, Any]:
    """The `.pth` members of a zip, read by torch's weights-only loader."""
    members: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.file_size > MAX_MEMBER_BYTES:
                    raise ValueError(f"{path}: {member.filename} unpacks to {member.file_size} bytes; refused")
                if member.filename.endswith(".pth"):
                    file = io.BytesIO(archive.read(member))
                    members[member.filename] = torch.load(file, map_location=device, weights_only=True)
    except ValueError:
        raise
    except Exception as error:  # a broken or refused payload surfaces as many types, from zipfile's to torch's
        raise ValueError(f"{path} was not loaded: it is no Stable-Baselines3 zip of tensors ({error})") from error
    if not members:
        raise ValueError(f"{path} holds no parameters (*.pth); it was not written by Stable-Baselines3's save()")
    return members
