"""On-policy learners: PPO, BPO (bounded ratios), PDPPO (post-decision critics), SubPO (submodular rewards).

Each is one file that reads from top to bottom: equations, configuration, losses as pure functions, the loop. The exact
theory behind BPO (optimal ratios, soft medians, asymmetric bounds) is in `bounded_ratio`.

>>> from rlsuite.policy_gradient import PPO
>>> model = PPO("CartPole-v1", num_envs=8, n_steps=64).learn(2_000)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsuite.core.faces import face

if TYPE_CHECKING:
    from rlsuite.policy_gradient.bounded_ratio import (
        BoundedRatioLoss,
        RatioBounds,
        optimal_ratio,
        soft_median_loss,
        soft_quantile,
    )
    from rlsuite.policy_gradient.bpo import BPO, BPOConfig, bpo_loss
    from rlsuite.policy_gradient.pdppo import PDPPO, PDPPOConfig
    from rlsuite.policy_gradient.ppo import PPO, PPOConfig, ppo_loss
    from rlsuite.policy_gradient.subpo import SubPO, SubPOConfig

__all__ = [
    "BPO",
    "PDPPO",
    "PPO",
    "BPOConfig",
    "BoundedRatioLoss",
    "PDPPOConfig",
    "PPOConfig",
    "RatioBounds",
    "SubPO",
    "SubPOConfig",
    "bpo_loss",
    "optimal_ratio",
    "ppo_loss",
    "soft_median_loss",
    "soft_quantile",
]

__getattr__, __dir__, _MODULES = face(
    __name__,
    {
        "bounded_ratio": "BoundedRatioLoss RatioBounds optimal_ratio soft_median_loss soft_quantile",
        "bpo": "BPO BPOConfig bpo_loss",
        "pdppo": "PDPPO PDPPOConfig",
        "ppo": "PPO PPOConfig ppo_loss",
        "subpo": "SubPO SubPOConfig",
    },
)
