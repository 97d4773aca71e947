"""A policy judged against several opponents: nobody, chance, pulses, the adversary it knows, and a newly trained one.

The release of RARL logs the first four after every iteration (`rllab-adv`, `train_adversary.py`): no force, uniformly
random forces, step-shaped ones of fixed and of random size (a pulse about every fifth of the horizon, a tenth of it
long), and the current adversary. QARL's paper adds the worst case: an adversary trained from scratch against the frozen
protagonist.
"""

from __future__ import annotations

from typing import Any

from gymnasium.vector import VectorEnv

from rlsuite.core.agent import Agent
from rlsuite.core.evaluate import Evaluation, Predictor, evaluate
from rlsuite.core.opponents import Learned, Opponent, StepForce, Uniform, Zero
from rlsuite.core.rng import OPPONENT, own_seed
from rlsuite.core.two_player import ADVERSARY, AGENT, Match, Versus

__all__ = ["judge", "panel", "worst_case_adversary"]


def panel(
    game: VectorEnv[Any, Any, Any],
    *,
    horizon: int,
    adv_fraction: float = 1.0,
    known: Opponent | None = None,
    seed: int = 0,
) -> dict[str, Opponent]:
    """The opponents by name: "none", "random", "steps", "random steps" and, if there is one, "known".

    Args:
        game: the game they play.
        horizon: steps of an episode; sets the length of pulses. At least 10.
        adv_fraction: share of its box that the adversary has, in [0, 1].
        known: the adversary the policy was trained against, such as `RARL.opponent()`.
        seed: of their randomness.

    Raises:
        ValueError: a horizon below 10.
    """
    if horizon < 10:
        raise ValueError(f"horizon is {horizon}; pulses of a tenth of it need at least 10 steps")
    side = Versus(game, AGENT, adv_fraction=adv_fraction)
    space, device = side.opponent_space, side.device
    pulses: dict[str, Any] = {"length": horizon / 5, "hold": horizon // 10, "device": device}
    opponents: dict[str, Opponent] = {
        "none": Zero(space),
        "random": Uniform(space, own_seed(seed, OPPONENT), device),
        "steps": StepForce(space, game.num_envs, random_size=False, seed=own_seed(seed, OPPONENT, 1), **pulses),
        "random steps": StepForce(space, game.num_envs, seed=own_seed(seed, OPPONENT, 2), **pulses),
    }
    return opponents if known is None else opponents | {"known": known}


def judge(
    policy: Predictor,
    game: VectorEnv[Any, Any, Any],
    opponents: dict[str, Opponent],
    *,
    episodes: int = 5,
    adv_fraction: float = 1.0,
    seed: int = 0,
    deterministic: bool = True,
) -> dict[str, Evaluation]:
    """Returns of whole episodes against each opponent, all from the same start states.

    Args:
        policy: the protagonist, anything with `predict`.
        game: actions `Tuple((agent, adversary))`.
        opponents: by name, from `panel` or own ones.
        episodes: per opponent.
        adv_fraction: share of its box that the adversary has, in [0, 1].
        seed: of the episodes.
        deterministic: the policy's mode, or samples.
    """
    match = Match(game)
    return {
        name: evaluate(
            policy,
            Versus(match, AGENT, opponent, adv_fraction=adv_fraction),
            episodes=episodes,
            seed=seed,
            deterministic=deterministic,
        )
        for name, opponent in opponents.items()
    }


def worst_case_adversary(
    policy: Predictor,
    game: VectorEnv[Any, Any, Any],
    algorithm: type[Agent],
    total_timesteps: int,
    *,
    adv_fraction: float = 1.0,
    deterministic: bool = True,
    **settings: Any,
) -> Learned:
    """An adversary trained from scratch against a frozen protagonist, as an opponent.

    Args:
        policy: the protagonist; its normalisers and weights stay as they are.
        game: actions `Tuple((agent, adversary))`.
        algorithm: what trains the adversary, such as `PPO` or `SAC`.
        total_timesteps: its training, steps.
        adv_fraction: share of its box that the adversary has, in [0, 1].
        deterministic: whether the protagonist acts by its mode, as it will be judged.
        settings: of the algorithm.
    """
    side = Versus(game, ADVERSARY, Learned(policy, deterministic=deterministic), adv_fraction=adv_fraction)
    adversary: Any = algorithm(side, **settings)
    adversary.learn(total_timesteps)
    return Learned(adversary, deterministic=True)
