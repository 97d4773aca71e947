"""`rlsuite bench act`: cheap talk's victims trained at once beside the same victims trained one after the other.

A generation of the adversary is a population of whole PPO trainings, so that trainings per second are its speed. Three
ways take turns in one process with one thread: all victims as one batched network; the same code with one victim at a
time; and `rlsuite.PPO`, as fast as it is for one learner, with the same environment, network size, rollouts, epochs and
steps (its losses, separate networks for policy and value, cost about twice the arithmetic). Seconds are those of the
processor, which on an idle machine are the clock's: whatever else runs does not count.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from rlsuite.adversarial.cheap_talk.victims import VICTIMS, Victims
from rlsuite.policy_gradient.ppo import PPO
from rlsuite_envs.cheap_talk.messages import random_weights
from rlsuite_envs.cheap_talk.wrapper import CheapTalk
from rlsuite_zoo.bench.report import write_report
from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.provenance import machine

BATCHED, ALONE, AGENT = "all victims at once", "one victim at a time, same code", "one rlsuite.PPO at a time"


def main(
    *,
    env: str = "CartPole",
    victims: int = 64,
    updates: int | None = None,
    alone: int = 2,
    repeats: int = 3,
    out: Path | None = None,
) -> dict[str, Any]:
    """Measure each way `repeats` times in turn; print a table of medians and ratios.

    Args:
        env: CartPole, Pendulum or Reacher.
        victims: trained at once, each under a message function of its own.
        updates: rollouts of a training; all of the experiments' by default.
        alone: trainings of one measurement where they come one after the other.
        repeats: measurements of each way; the median counts.
        out: folder for act_speed.json and act_speed.md.
    """
    if env not in VICTIMS:
        raise unknown("victim", env, VICTIMS)
    if not 1 <= alone <= victims:
        raise UsageError(f"alone={alone} must lie in 1..victims={victims}; lower it, or raise victims")
    config = VICTIMS[env] if updates is None else dataclasses.replace(VICTIMS[env], n_updates=updates)
    networks = random_weights(CheapTalk(CheapTalk.presets[env]).observation_dim, networks=victims)
    ways: dict[str, tuple[int, Callable[[int], None]]] = {
        BATCHED: (1, lambda _: _train(env, config, networks)),
        ALONE: (alone, lambda i: _train(env, config, tuple(w[i : i + 1] for w in networks))),
        AGENT: (alone, lambda i: _train_agent(env, config, i)),
    }
    console = Console()
    rates: dict[str, list[float]] = {name: [] for name in ways}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _train_agent(env, dataclasses.replace(config, n_updates=1), 0)  # imports and first calls are not the speed
        for repeat in range(repeats):
            for name, (calls, train) in ways.items():
                start = time.process_time()
                for i in range(calls):
                    train(i)
                count = victims if name == BATCHED else calls
                rates[name].append(count / (time.process_time() - start))
                console.print(f"[{repeat + 1}/{repeats}] {name}: {rates[name][-1]:.3g} trainings per CPU s")
    finally:
        torch.set_num_threads(threads)
    setting = {"env": env, "victims": victims, "alone": alone, "victim": dataclasses.asdict(config)}
    return _report(setting, config.timesteps, rates, console, out)


def _train(env: str, config: Any, networks: tuple[torch.Tensor, ...]) -> None:
    Victims(CheapTalk(CheapTalk.presets[env], network=networks), config, [0]).train()


def _train_agent(env: str, config: Any, seed: int) -> None:
    model = PPO(
        f"rlsuite/CheapTalk-{env}-v0",
        num_envs=config.num_envs,
        env_kwargs={"message_seed": seed},
        device="cpu",
        seed=seed,
        n_steps=config.n_steps,
        batch_size=config.n_steps * config.num_envs,
        n_epochs=config.n_epochs,
        learning_rate=config.learning_rate,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range_vf=config.clip_range,
        ent_coef=config.ent_coef,
        net_arch=(config.hidden, config.hidden),
        activation=config.activation,
        normalize_obs=True,
    )
    model.learn(config.timesteps, log_interval=None)


def _report(
    setting: dict[str, Any],
    timesteps: int,
    rates: dict[str, list[float]],
    console: Console,
    out: Path | None,
) -> dict[str, Any]:
    medians = {name: statistics.median(values) for name, values in rates.items()}
    table = Table(title=f"Cheap talk's victims, {setting['env']}, {timesteps:,} steps per training")
    for column in ("", "trainings/CPU s (median)", "least - most", "steps/CPU s", "at once is ... times"):
        table.add_column(column, justify="left" if not column else "right")
    for name, values in rates.items():
        label = f"{name} ({setting['victims']})" if name == BATCHED else name
        table.add_row(
            label,
            f"{medians[name]:.3g}",
            f"{min(values):.3g} - {max(values):.3g}",
            f"{medians[name] * timesteps:,.0f}",
            f"{medians[BATCHED] / medians[name]:.1f}",
        )
    console.print(table)
    result: dict[str, Any] = {
        "benchmark": "act",
        "setting": setting,
        "rates": rates,
        "medians": medians,
        "ratios": {f"at once / {name}": medians[BATCHED] / medians[name] for name in (ALONE, AGENT)},
        "machine": machine(),
    }
    console.print(", ".join(f"{name} = {ratio:.2f}" for name, ratio in result["ratios"].items()))
    write_report(result, table, out, "act_speed")
    return result
