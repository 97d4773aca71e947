"""Policy smoothing: noisy observations, and what return they certify under attack (arXiv 2106.11420).

| step | module |
|---|---|
| train under noise | `noise`: wrappers for single and vector environments, noise before frame stacks |
| act behind noise | `smoothed`: any policy with `predict`, one draw per step and frame |
| play thousands of episodes at once | `episodes` |
| certify returns | `planning` (how many episodes), `survival`, `certificates`, `certify` (all in one call) |
| attack, to see how tight it is | `attack`, with the insides of models from `victims` |

    venv = NoisyVectorObservation(make_vector_env("rlsuite/CartPole-v1", 16), sigma=0.2)
    model = PPO(venv, n_steps=128).learn(300_000)
    print(certify_policy(model, "rlsuite/CartPole-v1", [0.1, 0.2, 0.4], sigma=0.2, method="ladder", ladder=500))

    attack = ScoreAttack(scores_of(model), ScoreAttackConfig(budget=0.4, sigma=0.2))
    smoothed_returns(model, "rlsuite/CartPole-v1", sigma=0.2, episodes=1_000, attack=attack).returns.mean()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsuite.core.faces import face

if TYPE_CHECKING:
    from rlsuite.smoothing.certificates import (
        Certificate,
        certify_dkw,
        certify_expectation,
        certify_ladder,
        certify_percentile,
        certify_success,
    )
    from rlsuite.smoothing.certify import certify_policy, certify_returns
    from rlsuite.smoothing.episodes import SmoothedReturns, smoothed_returns
    from rlsuite.smoothing.noise import NoisyObservation, NoisyVectorObservation, StackVectorObservation
    from rlsuite.smoothing.sample_size import episodes_needed
    from rlsuite.smoothing.smoothed import SmoothedPolicy
    from rlsuite.smoothing.tightness import ActionAttack, ActionAttackConfig, ScoreAttack, ScoreAttackConfig
    from rlsuite.smoothing.victims import actions_of, scores_of

__all__ = [
    "ActionAttack",
    "ActionAttackConfig",
    "Certificate",
    "NoisyObservation",
    "NoisyVectorObservation",
    "ScoreAttack",
    "ScoreAttackConfig",
    "SmoothedPolicy",
    "SmoothedReturns",
    "StackVectorObservation",
    "actions_of",
    "certify_dkw",
    "certify_expectation",
    "certify_ladder",
    "certify_percentile",
    "certify_policy",
    "certify_returns",
    "certify_success",
    "episodes_needed",
    "scores_of",
    "smoothed_returns",
]

__getattr__, __dir__, _MODULES = face(
    __name__,
    {
        "certificates": "Certificate certify_dkw certify_expectation certify_ladder certify_percentile certify_success",
        "certify": "certify_policy certify_returns",
        "episodes": "SmoothedReturns smoothed_returns",
        "noise": "NoisyObservation NoisyVectorObservation StackVectorObservation",
        "sample_size": "episodes_needed",
        "smoothed": "SmoothedPolicy",
        "tightness": "ActionAttack ActionAttackConfig ScoreAttack ScoreAttackConfig",
        "victims": "actions_of scores_of",
    },
)
