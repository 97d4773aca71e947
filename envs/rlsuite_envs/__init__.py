"""Gymnasium environments of rlsuite.

Importing registers them: `gym.make("rlsuite/CartPole-v1")`, `gym.make_vec("rlsuite/CartPole-v1",
num_envs=4096, device="cuda")`. It imports neither torch nor MuJoCo; the environment made does. `make_vector_env` picks
the fastest engine of any Gymnasium id; `Kernel` is the base of an environment of your own, written on tensors.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rlsuite_envs.registration import list_envs, register_envs

if TYPE_CHECKING:
    from rlsuite_envs.kernel import Kernel, make_kernel
    from rlsuite_envs.make import make_vector_env
    from rlsuite_envs.multi_objective.linear_reward import LinearReward, LinearRewardVector
    from rlsuite_envs.multi_objective.single_to_vector import ManyObjectivesVectorEnv
    from rlsuite_envs.single import TensorEnv
    from rlsuite_envs.vector import TensorVectorEnv

__all__ = [
    "Kernel",
    "LinearReward",
    "LinearRewardVector",
    "ManyObjectivesVectorEnv",
    "TensorEnv",
    "TensorVectorEnv",
    "list_envs",
    "make_kernel",
    "make_vector_env",
    "register_envs",
]

_MODULES = {
    "Kernel": "rlsuite_envs.kernel",
    "LinearReward": "rlsuite_envs.multi_objective.linear_reward",
    "LinearRewardVector": "rlsuite_envs.multi_objective.linear_reward",
    "ManyObjectivesVectorEnv": "rlsuite_envs.multi_objective.single_to_vector",
    "TensorEnv": "rlsuite_envs.single",
    "TensorVectorEnv": "rlsuite_envs.vector",
    "make_kernel": "rlsuite_envs.kernel",
    "make_vector_env": "rlsuite_envs.make",
}


def __getattr__(name: str) -> Any:
    """Import a name's module when it is first used: `import rlsuite_envs` alone stays light."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'rlsuite_envs' has no attribute {name!r}")


register_envs()
