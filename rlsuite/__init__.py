"""rlsuite: published deep-RL algorithms that mainstream libraries lack, faithful and fast.

    >>> import rlsuite
    >>> model = rlsuite.PPO("CartPole-v1", num_envs=8, n_steps=64).learn(2_000)
    >>> rlsuite.evaluate(model, "CartPole-v1", episodes=20).interval

Importing registers the environments of `rlsuite_envs` with Gymnasium; an algorithm's module is imported when its name
is first used. Families have faces of their own: `rlsuite.policy_gradient`, `.off_policy`, `.adversarial` (and
`.adversarial.attacks`), `.smoothing`, `.inventory`; what they share is `rlsuite.core`.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

import rlsuite_envs  # registers the environments
from rlsuite.core.faces import face

if TYPE_CHECKING:
    from rlsuite.adversarial.attacks.attacked import AttackedEnv
    from rlsuite.adversarial.attacks.victim import as_victim
    from rlsuite.adversarial.cheap_talk.act import ACT, ACTConfig
    from rlsuite.adversarial.games.qarl import QARL, QARLConfig
    from rlsuite.adversarial.games.rarl import RARL, RARLConfig
    from rlsuite.adversarial.observation.atla import ATLA, ATLAConfig
    from rlsuite.adversarial.observation.protected import PROTECTED, PROTECTEDConfig
    from rlsuite.core.agent import Agent, EnvLike
    from rlsuite.core.checkpoint import CheckpointError
    from rlsuite.core.evaluate import evaluate
    from rlsuite.inventory.pathwise.hdpo import HDPO, HDPOConfig
    from rlsuite.multi_objective.cmorl import CMORL, CMORLConfig
    from rlsuite.multi_objective.pgmorl import PGMORL, PGMORLConfig
    from rlsuite.off_policy.sac import SAC, SACConfig
    from rlsuite.policy_gradient.bpo import BPO, BPOConfig
    from rlsuite.policy_gradient.pdppo import PDPPO, PDPPOConfig
    from rlsuite.policy_gradient.ppo import PPO, PPOConfig
    from rlsuite.policy_gradient.subpo import SubPO, SubPOConfig

__version__ = "0.1.0"
__all__ = [
    "ACT",
    "ALGORITHMS",
    "ATLA",
    "BPO",
    "CMORL",
    "HDPO",
    "PDPPO",
    "PGMORL",
    "PPO",
    "PROTECTED",
    "QARL",
    "RARL",
    "SAC",
    "ACTConfig",
    "ATLAConfig",
    "AttackedEnv",
    "BPOConfig",
    "CMORLConfig",
    "CheckpointError",
    "HDPOConfig",
    "PDPPOConfig",
    "PGMORLConfig",
    "PPOConfig",
    "PROTECTEDConfig",
    "QARLConfig",
    "RARLConfig",
    "SACConfig",
    "SubPO",
    "SubPOConfig",
    "algorithm",
    "as_victim",
    "evaluate",
    "load",
    "rlsuite_envs",
]

ALGORITHMS: dict[str, tuple[str, str]] = {
    "atla": ("rlsuite.adversarial.observation.atla", "ATLA"),
    "bpo": ("rlsuite.policy_gradient.bpo", "BPO"),
    "cmorl": ("rlsuite.multi_objective.cmorl", "CMORL"),
    "hdpo": ("rlsuite.inventory.pathwise.hdpo", "HDPO"),
    "pdppo": ("rlsuite.policy_gradient.pdppo", "PDPPO"),
    "pgmorl": ("rlsuite.multi_objective.pgmorl", "PGMORL"),
    "ppo": ("rlsuite.policy_gradient.ppo", "PPO"),
    "protected": ("rlsuite.adversarial.observation.protected", "PROTECTED"),
    "qarl": ("rlsuite.adversarial.games.qarl", "QARL"),
    "rarl": ("rlsuite.adversarial.games.rarl", "RARL"),
    "sac": ("rlsuite.off_policy.sac", "SAC"),
    "subpo": ("rlsuite.policy_gradient.subpo", "SubPO"),
}
"""Command-line name of each algorithm, with its module and class (imported when first used)."""

_ALGORITHM_NAMES = {path.removeprefix("rlsuite."): f"{cls} {cls}Config" for path, cls in ALGORITHMS.values()}
__getattr__, __dir__, _MODULES = face(
    __name__,
    {
        **_ALGORITHM_NAMES,
        "adversarial.attacks.attacked": "AttackedEnv",
        "adversarial.attacks.victim": "as_victim",
        "adversarial.cheap_talk.act": "ACT ACTConfig",  # an outer loop around learners, no Agent
        "core.checkpoint": "CheckpointError",
        "core.evaluate": "evaluate",
    },
)


def algorithm(name: str) -> type[Agent]:
    """The algorithm called `name` ("ppo", or its class name).

    Raises:
        ValueError: unknown; the message names the nearest.
    """
    path = ALGORITHMS.get(name.lower())
    if path is None:
        from rlsuite.core.config import nearest

        raise ValueError(f"algorithm {name!r} is unknown: {nearest(name.lower(), list(ALGORITHMS))}")
    found: type[Agent] = getattr(importlib.import_module(path[0]), path[1])
    return found


def load(
    path: str | os.PathLike[str],
    env: EnvLike | None = None,
    device: str = "auto",
    *,
    verify: bool = True,
    **kwargs: Any,
) -> Agent:
    """The model in a checkpoint, whichever algorithm it is; nothing in the file is ever executed.

    The arguments are those of `rlsuite.core.agent.Agent.load`.

    Raises:
        CheckpointError: not a readable rlsuite checkpoint, or one of an `ACT`, which is no agent.
        ValueError: an argument that cannot be used here; the message names it.
    """
    from rlsuite.core import restore
    from rlsuite.core.agent import pick_device
    from rlsuite.core.checkpoint import CheckpointError, load_checkpoint

    saved = load_checkpoint(path, verify=verify)
    name = str(saved.meta.get("algorithm"))
    if name == "ACT":
        raise CheckpointError(f"{os.fspath(path)} holds an ACT adversary, not an agent; use rlsuite.ACT.load(path)")
    if name.lower() not in ALGORITHMS:
        raise CheckpointError(
            f"{os.fspath(path)} holds a {name} model, which this version does not know; update rlsuite"
        )
    agent: Agent = restore.read(algorithm(name), saved, env, pick_device(device), **kwargs)
    return agent
