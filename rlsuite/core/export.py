"""ONNX export of what `predict` does deterministically: normaliser, network, action post-processing, one file."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import nn

from rlsuite.core.actions import ActionSpec
from rlsuite.core.brain import Brain
from rlsuite.core.spaces import flatten_obs
from rlsuite.core.vector import _stack

TOLERANCE = 1e-4


class Exportable(Protocol):
    """Interface that export needs of an agent; `rlsuite.core.agent.Agent` has all of it."""

    observation_space: gym.Space[Any]
    spec: ActionSpec
    brain: Brain
    device: torch.device

    def predict(self, observation: Any, *, deterministic: bool) -> tuple[np.ndarray, Any]: ...  # noqa: D102


class Deployed(nn.Module):
    """Raw observations in, env-ready deterministic actions out; the tensors an agent's `predict` uses.

    A Dict or Tuple observation is one input per part, in the space's order.
    """

    def __init__(self, agent: Exportable) -> None:
        super().__init__()
        self.agent_act = agent.brain.act
        self.spec = agent.spec
        self.space = agent.observation_space
        self.policy = agent.brain.policy
        self.clip = 0.0
        self.mean: torch.Tensor
        self.scale: torch.Tensor
        norm = agent.brain.obs_norm
        if norm is not None:
            self.register_buffer("mean", norm.mean.detach().clone().cpu())
            self.register_buffer("scale", (norm.var + norm.epsilon).rsqrt().detach().cpu())
            self.clip = norm.clip

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        """Actions [B, ...] for observation parts [B, ...]."""
        rows = flatten_obs(self.space, _assemble(self.space, list(parts)), torch.device("cpu"))
        if self.clip:
            rows = ((rows - self.mean) * self.scale).clamp(-self.clip, self.clip)
        return self.spec.to_env(self.agent_act(rows.float(), None, True))


def _assemble(space: gym.Space[Any], parts: list[Any]) -> Any:
    """Build an observation of `space` from its leaves, removed from the front of `parts`."""
    if isinstance(space, spaces.Dict):
        return {key: _assemble(part, parts) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_assemble(part, parts) for part in space.spaces)
    return parts.pop(0)


def _leaves(space: gym.Space[Any], obs: Any, name: str = "obs") -> list[tuple[str, np.ndarray]]:
    """The parts of a batch of observations with their input names ("obs", "obs.key", ...)."""
    if isinstance(space, spaces.Dict):
        return [leaf for key, part in space.spaces.items() for leaf in _leaves(part, obs[key], f"{name}.{key}")]
    if isinstance(space, spaces.Tuple):
        return [leaf for i, part in enumerate(space.spaces) for leaf in _leaves(part, obs[i], f"{name}.{i}")]
    return [(name, np.asarray(obs))]


def export_onnx(agent: Exportable, path: str | os.PathLike[str], *, check: bool = True) -> Path:
    """Write the agent's deterministic policy as ONNX, any batch size, and check it against `predict`.

    Inputs: raw observations in the space's dtype, named "obs" (Dict and Tuple: "obs.key", "obs.0"). Output: "action",
    as `predict(obs, deterministic=True)` gives it. Action masks are not part of the file.

    Args:
        agent: the model; it is exported from the CPU.
        path: of the file; ".onnx" is added when the name lacks it.
        check: run the file with onnxruntime on random observations and compare.

    Returns:
        The path written.

    Raises:
        ImportError: the `export` extra is not installed.
        ValueError: the exported file disagrees with `predict` (nothing is left at `path`), or the model is on a GPU.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ImportError as error:
        raise ImportError(f"ONNX export needs {error.name}: pip install 'rlsuite[export]'") from error
    if agent.device.type != "cpu":
        raise ValueError(f"the model is on {agent.device}; save it and load it with device='cpu' before exporting")
    target = Path(path) if os.fspath(path).endswith(".onnx") else Path(os.fspath(path) + ".onnx")
    agent.observation_space.seed(0)
    obs = _stack([_finite(agent.observation_space.sample()) for _ in range(8)])
    leaves = _leaves(agent.observation_space, obs)
    names = [name for name, _ in leaves]
    module = Deployed(agent).eval()
    inputs = tuple(torch.as_tensor(value) for _, value in leaves)
    module(*inputs)  # bounds and offsets are put on the device at first use, which export must not trace
    batch = torch.export.Dim("batch", min=1)
    temporary = target.with_name(f".{target.name}.tmp.onnx")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own deprecations are not the user's
        torch.onnx.export(
            module,
            inputs,
            str(temporary),
            input_names=names,
            output_names=["action"],
            dynamic_shapes=(tuple({0: batch} for _ in leaves),),
            dynamo=True,
            verbose=False,
            external_data=False,
        )
    try:
        if check:
            session = onnxruntime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
            for rows in (8, 1):
                part = {name: value[:rows] for name, value in leaves}
                (action,) = session.run(["action"], part)
                expected, _ = agent.predict(_first(agent.observation_space, obs, rows), deterministic=True)
                gap = float(np.abs(np.asarray(action, np.float64) - expected).max())
                if gap > TOLERANCE:
                    raise ValueError(
                        f"the ONNX file's actions differ from predict's by {gap:.2g} (limit {TOLERANCE}); not written"
                    )
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _finite(obs: Any) -> Any:
    """A sample of an unbounded Box reaches far; nothing to change, but keep the checker's inputs moderate."""
    return np.clip(obs, -10, 10) if isinstance(obs, np.ndarray) and np.issubdtype(obs.dtype, np.floating) else obs


def _first(space: gym.Space[Any], obs: Any, rows: int) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _first(part, obs[key], rows) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_first(part, obs[i], rows) for i, part in enumerate(space.spaces))
    return obs[:rows]
