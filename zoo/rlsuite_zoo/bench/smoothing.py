"""`rlsuite bench smoothing`: how long the episodes of a certificate take, as one batch and as a loop of `predict`.

A small PPO is trained on noisy 200-step CartPole. Its smoothed episodes, 10,000 for a certificate, are played as one
batch. Beside it a Python loop plays fewer, one after the other: Stable-Baselines3's `predict` with the same network
(its weights copied) and noise in Gymnasium's environment. The loop's time per episode is multiplied to N, so that the
ratio is between the two times for all; both mean returns are printed, since both play the same policy.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from rich.console import Console
from rich.table import Table
from stable_baselines3 import PPO as SB3PPO

from rlsuite import PPO
from rlsuite.smoothing.certificates import certify_ladder
from rlsuite.smoothing.episodes import smoothed_returns
from rlsuite.smoothing.noise import NoisyVectorObservation
from rlsuite.smoothing.sample_size import check_episodes
from rlsuite_envs.make import make_vector_env
from rlsuite_zoo.bench.report import write_report
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.provenance import machine

__all__ = ["main"]

ENV = "rlsuite/CartPole-v1"
LIMIT = 200  # steps: the paper's CartPole


def main(
    *,
    episodes: int = 10_000,
    peer_episodes: int = 100,
    sigma: float = 0.2,
    train_steps: int = 100_000,
    repeats: int = 3,
    out: Path | None = None,
) -> dict[str, Any]:
    """Measure the episodes of a certificate as one batch and as a loop; print times, ratio and the certificate.

    Args:
        episodes: N, of the batch.
        peer_episodes: episodes of the loop, from which its time for N is extrapolated.
        sigma: noise, observation units.
        train_steps: environment steps of PPO's training.
        repeats: measurements of the batch; the median counts.
        out: folder for smoothing_speed.json and smoothing_speed.md.
    """
    if min(peer_episodes, train_steps, repeats) < 1:
        raise UsageError("--peer-episodes, --train-steps and --repeats must be at least 1")
    try:
        check_episodes(episodes, "ladder", thresholds=LIMIT)
        venv = NoisyVectorObservation(make_vector_env(ENV, 8, env_kwargs={"max_episode_steps": LIMIT}), sigma)
    except ValueError as error:
        raise UsageError(str(error)) from error
    agent = PPO(venv, n_steps=128, batch_size=256, learning_rate=1e-3, device="cpu").learn(train_steps)
    batch, returns = _batch(agent, sigma, episodes, repeats)
    loop, peer_returns = _loop(_copy(agent), sigma, peer_episodes)
    return _report(batch, loop * episodes, returns, peer_returns, sigma, out)


def _batch(agent: PPO, sigma: float, episodes: int, repeats: int) -> tuple[float, np.ndarray]:
    """Median seconds of all episodes as one batch, and their returns."""
    kwargs = {"max_episode_steps": LIMIT}
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        run = smoothed_returns(agent, ENV, sigma=sigma, episodes=episodes, env_kwargs=kwargs)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken), run.returns


def _copy(agent: PPO) -> SB3PPO:
    """Stable-Baselines3's PPO with the actor of ours."""
    model = SB3PPO("MlpPolicy", "CartPole-v1", device="cpu", policy_kwargs={"net_arch": list(agent.config.net_arch)})
    theirs = [*model.policy.mlp_extractor.policy_net, model.policy.action_net]
    ours = agent.parts.policy.actor
    for mine, other in zip(ours, theirs, strict=True):
        other.load_state_dict(mine.state_dict())
    return model


def _loop(model: SB3PPO, sigma: float, episodes: int) -> tuple[float, np.ndarray]:
    """Seconds per episode of `predict` in a Python loop, and the returns."""
    env = gym.make("CartPole-v1", max_episode_steps=LIMIT)
    rng = np.random.default_rng(0)
    returns = np.zeros(episodes)
    start = time.perf_counter()
    for i in range(episodes):
        obs, _ = env.reset(seed=i)
        done = False
        while not done:
            noisy = (obs + sigma * rng.standard_normal(4)).astype(np.float32)
            action, _ = model.predict(noisy, deterministic=True)
            obs, reward, terminated, truncated, _ = env.step(action)
            returns[i] += float(reward)
            done = terminated or truncated
    seconds = (time.perf_counter() - start) / episodes
    env.close()
    return seconds, returns


def _report(
    batch: float,
    loop: float,
    returns: np.ndarray,
    peer_returns: np.ndarray,
    sigma: float,
    out: Path | None,
) -> dict[str, Any]:
    """Print and write the table."""
    n, peers = len(returns), len(peer_returns)
    table = Table(title=f"{n:,} smoothed CartPole episodes of at most {LIMIT} steps")
    for head in ("", "seconds", "mean return", "episodes played"):
        table.add_column(head, justify="left" if not head else "right")
    table.add_row("rlsuite, one batch", f"{batch:.2f}", f"{returns.mean():.1f}", f"{n:,}")
    table.add_row(
        "loop of Stable-Baselines3's predict (extrapolated)",
        f"{loop:.2f}",
        f"{peer_returns.mean():.1f}",
        f"{peers:,}",
    )
    console = Console()
    console.print(table)
    ratio = loop / batch
    console.print(f"ratio {ratio:,.0f}; the loop's time is extrapolated from {peers:,} episodes")
    certificate = certify_ladder(returns, [0.0, sigma / 2, sigma, 2 * sigma], sigma, ladder=LIMIT)
    console.print(str(certificate), highlight=False)
    result = {
        "machine": machine(),
        "seconds": {"batch": batch, "loop, extrapolated": loop},
        "episodes": {"batch": n, "loop": peers},
        "mean_return": {"batch": float(returns.mean()), "loop": float(peer_returns.mean())},
        "certificate": certificate.to_dict(),
        "ratios": {"loop (extrapolated) to batch": ratio},
    }
    write_report(result, table, out, "smoothing_speed")
    return result


if __name__ == "__main__":
    main()
