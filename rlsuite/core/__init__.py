"""What the algorithm families share: rollouts, targets, networks, normalisers, buffers, checkpoints, evaluation.

What one family alone needs does not live here. The data go from `Stepper` (the environment) through `collect.collect`,
`Rollout`, `gae`, minibatches and a back end's gradient to `FlatAdam`; `Agent` wires this to `learn`, `predict`, `save`
and `load`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsuite.core.faces import face

if TYPE_CHECKING:
    from rlsuite.core.actions import action_spec
    from rlsuite.core.agent import Agent
    from rlsuite.core.brain import Brain, PolicyOutput
    from rlsuite.core.buffers import ReplayBatch, ReplayBuffer
    from rlsuite.core.checkpoint import CheckpointError, CheckpointNotFoundError, load_checkpoint, save_checkpoint
    from rlsuite.core.collect import EpisodeStats, Runner
    from rlsuite.core.evaluate import Evaluation, Predictor
    from rlsuite.core.export import export_onnx
    from rlsuite.core.networks import ActorCritic, FlatParameters
    from rlsuite.core.normalize import ReturnNorm, RunningNorm
    from rlsuite.core.optim import FlatAdam
    from rlsuite.core.returns import gae, n_step_return
    from rlsuite.core.rng import own_seed
    from rlsuite.core.schedules import parse_schedule
    from rlsuite.core.session import Session
    from rlsuite.core.spaces import flatten_obs
    from rlsuite.core.statistics import Interval, bootstrap_interval, iqm
    from rlsuite.core.types import Rollout
    from rlsuite.core.vec_env import as_vec_env
    from rlsuite.core.vector import Stepper

__all__ = [
    "ActorCritic",
    "Agent",
    "Brain",
    "CheckpointError",
    "CheckpointNotFoundError",
    "EpisodeStats",
    "Evaluation",
    "FlatAdam",
    "FlatParameters",
    "Interval",
    "PolicyOutput",
    "Predictor",
    "ReplayBatch",
    "ReplayBuffer",
    "ReturnNorm",
    "Rollout",
    "Runner",
    "RunningNorm",
    "Session",
    "Stepper",
    "action_spec",
    "as_vec_env",
    "bootstrap_interval",
    "export_onnx",
    "flatten_obs",
    "gae",
    "iqm",
    "load_checkpoint",
    "n_step_return",
    "own_seed",
    "parse_schedule",
    "save_checkpoint",
]

__getattr__, __dir__, _MODULES = face(
    __name__,
    {
        "actions": "action_spec",
        "agent": "Agent",
        "brain": "Brain PolicyOutput",
        "buffers": "ReplayBatch ReplayBuffer",
        "checkpoint": "CheckpointError CheckpointNotFoundError load_checkpoint save_checkpoint",
        "collect": "EpisodeStats Runner",
        "evaluate": "Evaluation Predictor",
        "export": "export_onnx",
        "networks": "ActorCritic FlatParameters",
        "normalize": "ReturnNorm RunningNorm",
        "optim": "FlatAdam",
        "returns": "gae n_step_return",
        "rng": "own_seed",
        "schedules": "parse_schedule",
        "session": "Session",
        "spaces": "flatten_obs",
        "statistics": "Interval bootstrap_interval iqm",
        "types": "Rollout",
        "vec_env": "as_vec_env",
        "vector": "Stepper",
    },
)
