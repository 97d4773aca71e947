"""What a run is made of: recipe, command line and the algorithm's defaults put together."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.runs.folder import RunSpec
from rlsuite_zoo.runs.models import check_algorithm, check_device, check_env, resolve_config
from rlsuite_zoo.runs.recipe import find_recipe, is_file, parse_count, parse_overrides

__all__ = ["CHECKPOINTS", "check_jobs", "make_spec", "safe_name"]

CHECKPOINTS = 20
"""Number of checkpoints of a run, unless told otherwise."""


def make_spec(
    algo: str,
    env: str,
    settings: Sequence[str] = (),
    *,
    seed: int = 0,
    steps: str = "",
    num_envs: str = "",
    device: str = "auto",
    recipe: str = "",
    checkpoint_every: str = "",
    eval_every: str = "",
    eval_episodes: int = 20,
    eval_stochastic: bool = False,
) -> RunSpec:
    """A run, complete: recipe, command line and the algorithm's defaults put together.

    Raises:
        UsageError: an unknown or impossible part.
    """
    check_algorithm(algo)
    check_env(env)
    check_device(device)
    found = find_recipe(algo, env, recipe or None)
    if recipe and is_file(recipe):
        try:
            resolve_config(algo, found.config)
        except UsageError as error:
            raise UsageError(f"{recipe}: config: {error}") from error
    config, env_kwargs = parse_overrides(settings)
    if eval_episodes < 0:
        raise UsageError(f"--eval-episodes is {eval_episodes}; it must be at least 0")
    total = parse_count(steps, "--steps") if steps else found.steps
    checkpoint = parse_count(checkpoint_every, "--checkpoint-every") if checkpoint_every else 0
    return RunSpec(
        algo=algo,
        env=env,
        seed=seed,
        steps=total,
        num_envs=parse_count(num_envs, "--num-envs") if num_envs else found.num_envs,
        recipe=found.name,
        device=device,
        config=resolve_config(algo, {**found.config, **config}),
        env_kwargs={**found.env, **env_kwargs},
        checkpoint_every=checkpoint or max(1, total // CHECKPOINTS),
        eval_every=parse_count(eval_every, "--eval-every") if eval_every else 0,
        eval_episodes=eval_episodes,
        eval_stochastic=eval_stochastic or found.eval_stochastic,
        label=" ".join(settings),
    )


def safe_name(text: str) -> str:
    """An algorithm or environment as one folder name."""
    return re.sub(r"[/:\\]", "-", text)


def check_jobs(jobs: int | None) -> None:
    """Raise unless at least one job runs at a time.

    Raises:
        UsageError: fewer.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs is {jobs}; it must be at least 1")
