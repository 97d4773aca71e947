"""How a policy's return depends on what it was not trained for: masses, frictions, and pushes of unlearned opponents.

A whole grid is one batch of the MuJoCo pool: each environment has its own masses and frictions, every cell starts from
the unmodified model and meets the same initial states (environment i of every cell is seeded alike).

Source: the mass and friction maps of Pinto et al. 2017 and Reddi et al. 2024 (QARL); `worst` and `tail_mean` (CVaR) are
the usual summaries of a map. The release of the former scales one body's mass and, by an index of bodies, the friction
of some geometry; here the friction of all geometries is scaled, as in the latter.

Shapes: M masses, F frictions, E episodes of a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper

from rlsuite.adversarial.games.panel import judge, panel
from rlsuite.core.config import nearest
from rlsuite.core.evaluate import Predictor, evaluate
from rlsuite_envs.mujoco_ids import MUJOCO_IDS

__all__ = ["TORSO", "check_sweep", "force_sweep", "model_sweep", "tail_mean", "worst"]

TORSO = {
    "Ant-v5": "torso",
    "HalfCheetah-v5": "torso",
    "Hopper-v5": "torso",
    "Humanoid-v5": "torso",
    "HumanoidStandup-v5": "torso",
    "InvertedDoublePendulum-v5": "pole2",
    "InvertedPendulum-v5": "pole",
    "Pusher-v5": "r_forearm_link",
    "Reacher-v5": "body0",
    "Swimmer-v5": "torso",
    "Walker2d-v5": "torso",
}
"""The body whose mass is varied unless another is named."""


def check_sweep(env: str, body: str, mass: Sequence[float], friction: Sequence[float], episodes: int) -> str:
    """The body whose mass a sweep varies, checked before anything is simulated.

    Raises:
        ValueError: not a MuJoCo task of the pool, an unknown body, a scale that is not positive, no episodes.
    """
    id = env.removeprefix("rlsuite/")
    if id not in MUJOCO_IDS:
        raise ValueError(f"masses and frictions are those of MuJoCo tasks ({', '.join(sorted(MUJOCO_IDS))}), not {env}")
    for name, scales in (("mass", mass), ("friction", friction)):
        if not len(scales) or not all(0 < x < float("inf") for x in scales):
            raise ValueError(f"{name} scales must be positive and finite, not {list(scales)}")
    if episodes < 1:
        raise ValueError(f"episodes is {episodes}; it must be at least 1")
    from rlsuite_envs.mujoco.pool import MujocoPool

    body = body or TORSO[id]
    model = MujocoPool(id, 1).model
    known = [model.body(i).name for i in range(1, model.nbody)]
    if body not in known:
        raise ValueError(f"{id} has no body {body!r}: {nearest(body, known)}")
    return body


def model_sweep(
    policy: Predictor,
    env: str,
    *,
    mass: Sequence[float],
    friction: Sequence[float],
    body: str = "",
    episodes: int = 5,
    seed: int = 0,
    deterministic: bool = True,
    env_kwargs: dict[str, Any] | None = None,
    num_threads: int = 1,
) -> np.ndarray:
    """Returns [M, F, E] of a policy over scales of one body's mass and of all frictions.

    Args:
        policy: acts on raw observations.
        env: a task of the MuJoCo pool.
        mass: M scales, relative to the model.
        friction: F scales.
        body: whose mass; "" for the one in `TORSO`.
        episodes: E per cell.
        seed: of the initial states.
        deterministic: the policy's mode, or samples.
        env_kwargs: of the environment.
        num_threads: of the physics.

    Raises:
        ValueError: see `check_sweep`.
    """
    from rlsuite_envs.mujoco.pool import MujocoPool

    body = check_sweep(env, body, mass, friction, episodes)
    shape = (len(mass), len(friction), episodes)
    scale = np.broadcast_to(np.asarray(mass, float)[:, None, None], shape).reshape(-1)
    rub = np.broadcast_to(np.asarray(friction, float)[None, :, None], shape).reshape(-1)
    pool = MujocoPool(env, int(np.prod(shape)), num_threads=num_threads, **(env_kwargs or {}))
    try:
        pool.set_scales(mass={body: scale}, friction=rub)
        found = evaluate(policy, _Alike(pool, episodes), episodes=len(scale), seed=seed, deterministic=deterministic)
    finally:
        pool.close()
    returns = np.empty(len(scale))
    returns[found.envs] = found.returns
    return returns.reshape(shape)


class _Alike(VectorWrapper):
    """Seeds episode e of every cell with seed + e."""

    def __init__(self, env: VectorEnv, episodes: int) -> None:
        super().__init__(env)
        self.episodes = episodes

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        seeds: Any = None if seed is None else [seed + i % self.episodes for i in range(self.num_envs)]
        return self.env.reset(seed=seeds, options=options)


def force_sweep(
    policy: Predictor,
    env: str,
    forces: Sequence[float],
    *,
    episodes: int = 5,
    seed: int = 0,
    deterministic: bool = True,
    env_kwargs: dict[str, Any] | None = None,
) -> dict[str, np.ndarray]:
    """Returns [K, E] under K strengths of forces on the task's bodies, by kind of opponent.

    The opponents are `panel`'s: uniformly random forces, pulses of full size, and pulses of random size, whose largest
    force along an axis is the strength. All strengths meet the same initial states.

    Args:
        policy: acts on raw observations.
        env: a MuJoCo task that has an adversary (`rlsuite_envs.mujoco.two_player.PUSHES`).
        forces: K strengths, N, at least 0.
        episodes: E per strength and opponent.
        seed: of initial states and opponents.
        deterministic: the policy's mode, or samples.
        env_kwargs: of the environment.

    Raises:
        ValueError: a task without an adversary, or a bad number.
    """
    from rlsuite_envs.mujoco.two_player import ForcedPool

    if not len(forces) or not all(0 <= x < float("inf") for x in forces) or episodes < 1:
        raise ValueError(f"forces must be finite and at least 0, episodes at least 1, not {list(forces)}, {episodes}")
    found: dict[str, list[np.ndarray]] = {}
    for force in forces:
        game = ForcedPool(env.removeprefix("rlsuite/"), episodes, max_force=force, num_threads=1, **(env_kwargs or {}))
        try:
            opponents = panel(game, horizon=game.pool.max_episode_steps, seed=seed)
            del opponents["none"]
            judged = judge(policy, game, opponents, episodes=episodes, seed=seed, deterministic=deterministic)
        finally:
            game.close()
        for name, evaluation in judged.items():
            returns = np.empty(episodes)
            returns[evaluation.envs] = evaluation.returns
            found.setdefault(name, []).append(returns)
    return {name: np.array(rows) for name, rows in found.items()}


def worst(returns: np.ndarray) -> float:
    """The least mean return of a cell, for returns [M, F, E]."""
    return float(returns.mean(axis=-1).min())


def tail_mean(returns: np.ndarray, share: float = 0.1) -> float:
    """Mean of the worst `share` of all episodes (CVaR of the return), for returns of any shape.

    Raises:
        ValueError: a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; it must lie in (0, 1]")
    values = np.sort(np.asarray(returns, float).reshape(-1))
    return float(values[: max(1, int(np.ceil(share * len(values))))].mean())
