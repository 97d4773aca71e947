"""`rlsuite results forces`: SAC, RARL and QARL where nobody pushes, under every kind of push, and in changed bodies.

The suite `forces` trains the protagonists; each then meets the panel of opponents, the adversaries of all other runs,
some trained from scratch against it, and a map of masses and frictions. What was played stays in `RUN/forces.json` and
`RUN/robustness/`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlsuite import PPO
from rlsuite.adversarial.attacks.learned import discount_for
from rlsuite.adversarial.games.panel import judge, panel, worst_case_adversary
from rlsuite.adversarial.games.sweep import check_sweep
from rlsuite.core.opponents import Opponent
from rlsuite.core.rng import OPPONENT, own_seed
from rlsuite.core.two_player import AGENT, Versus
from rlsuite_envs.make import make_vector_env
from rlsuite_envs.mujoco_ids import MUJOCO_IDS
from rlsuite_envs.two_player.make import as_game
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.options import PageOptions
from rlsuite_zoo.pages.forces.page import NEW, RIVAL, write_forces
from rlsuite_zoo.pages.suite_page import trained_suite
from rlsuite_zoo.robustness.sweep import Sweep, play_sweep, read_sweep
from rlsuite_zoo.runs import kept
from rlsuite_zoo.runs.folder import RunFolder
from rlsuite_zoo.runs.models import load_policy, quiet_mujoco

__all__ = ["SCALES", "Trial", "make_results", "play_trial", "read_trial"]

SCALES = tuple(float(x) for x in np.linspace(0.5, 1.5, 11).round(2))
"""Scales of the torso's mass, and of all frictions."""
EPISODES, ADVERSARY_STEPS = 20, 100_000
FORMAT = 3
"""Number of the files' format; a change of what a trial does raises it."""
NUM_ENVS = 16
ADVERSARY: dict[str, Any] = {
    "n_steps": 128,
    "batch_size": 256,
    "n_epochs": 10,
    "learning_rate": "linear:1e-3",
    "normalize_obs": True,
    "normalize_reward": True,
    "device": "cpu",
}
"""Hyper-parameters of the PPO that learns to push."""
FIRST_STD = 0.4
"""First standard deviation of the adversary's actions, in half widths of its box."""


@dataclass(frozen=True)
class Trial:
    """One protagonist's opponents; trials with equal fields have equal results."""

    run: str
    episodes: int
    """Episodes against each opponent, all from the same initial states."""
    adversary_steps: int
    """Environment steps of each new adversary's training."""
    adversaries: int = 2
    """Number of new adversaries, from different seeds; the strongest one counts."""
    rivals: tuple[str, ...] = ()
    """Other runs of the task that have trained an adversary; the protagonist meets all of these."""
    seed: int = 77_000
    """Seed of episodes, opponents and adversaries, the same for all protagonists."""

    @property
    def path(self) -> Path:
        """File in which the outcome is kept."""
        return Path(self.run) / "forces.json"

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the models that decides a trial."""
        return kept.plain({**asdict(self), "format": FORMAT}, "run", "rivals")

    @property
    def checkpoints(self) -> list[Path]:
        """The protagonist and its rivals."""
        return [RunFolder(run).last for run in (self.run, *self.rivals)]


def read_trial(trial: Trial) -> dict[str, np.ndarray] | None:
    """Returns [E] by opponent, or None if it was not played, or with other settings."""
    record = kept.read(trial)
    return None if record is None else {name: np.array(values) for name, values in record["returns"].items()}


def play_trial(trial: Trial) -> None:
    """Play and keep a trial."""
    key = kept.key_of(trial)  # of the checkpoints that are read now
    folder = RunFolder(trial.run)
    spec, policy = folder.spec(), load_policy(folder, folder.last)
    quiet_mujoco(spec.env)

    def game(num_envs: int) -> Any:
        return as_game(make_vector_env(spec.env, num_envs, num_threads=1, env_kwargs=dict(spec.env_kwargs)))

    match = game(trial.episodes)
    known = _adversary(policy, trial.seed) if _trained_adversary(folder) else None
    opponents = panel(match, horizon=_horizon(match), known=known, seed=trial.seed)
    for number, rival in enumerate(trial.rivals):
        other = RunFolder(rival)
        opponents[f"{RIVAL} {number}"] = _adversary(load_policy(other, other.last), trial.seed)
    gamma = discount_for(spec.env, env_kwargs=dict(spec.env_kwargs))
    for number in range(trial.adversaries):
        training = game(NUM_ENVS)
        box: Any = Versus(training, AGENT).opponent_space
        settings = {
            **ADVERSARY,
            "gamma": gamma,
            "log_std_init": float(np.log(FIRST_STD * box.high.max())),
            "seed": own_seed(trial.seed, OPPONENT, 1 + number),
        }
        opponents[f"{NEW} {number}"] = worst_case_adversary(policy, training, PPO, trial.adversary_steps, **settings)
        training.close()
    common: dict[str, Any] = {"episodes": trial.episodes, "seed": trial.seed}
    judged = judge(policy, match, opponents, **common)
    returns = {}
    for name, found in judged.items():
        by_start = np.empty(trial.episodes)
        by_start[found.envs] = found.returns
        returns[name] = by_start.tolist()
    match.close()
    kept.write(trial, key, {"returns": returns})


def _trained_adversary(folder: RunFolder) -> bool:
    """Whether a run has trained an adversary as well as its protagonist."""
    return folder.spec().config.get("adversary") not in ("none", "random")


def _adversary(model: Any, seed: int) -> Opponent:
    opponent: Opponent = model.opponent(seed)
    return opponent


def _horizon(game: Any) -> int:
    """Steps of an episode."""
    pool = getattr(game, "pool", None)
    return int(pool.max_episode_steps if pool is not None else game.kernel.horizon)


def make_results(options: PageOptions) -> None:
    """Train and play what is missing, then write `<out>/forces.md`, `.csv` and pictures.

    Raises:
        UsageError: bad options, or nothing to report. RunFailed: some runs failed. Interrupted: stopped by the user.
    """
    found = trained_suite("forces", options)
    everyone = [folder for group in found.cells.values() for folder in group]
    trials = {str(folder.path): _trial(folder, everyone) for folder in everyone}
    sweeps = {str(folder.path): sweep for folder in everyone if (sweep := _sweep(folder)) is not None}
    if not options.report_only:
        name = _run_name
        kept.play_missing([*trials.values()], play_trial, jobs=options.jobs, name=name, what="protagonists' trials")
        kept.play_missing([*sweeps.values()], play_sweep, jobs=options.jobs, name=name, what="maps")
    played = {run: returns for run, trial in trials.items() if (returns := read_trial(trial)) is not None}
    if not played:
        raise UsageError("no protagonist was tried; leave --report-only out")
    swept = {run: (sweep, outcome) for run, sweep in sweeps.items() if (outcome := read_sweep(sweep)) is not None}
    missing = len(trials) - len(played), len(sweeps) - len(swept)
    if any(missing):
        print(f"left out of the tables: {missing[0]} protagonists that were not tried, {missing[1]} maps not played")
    write_forces(found, played, swept, ADVERSARY_STEPS, Path(options.out))
    if found.failure is not None:
        raise found.failure


def _run_name(cell: Trial | Sweep) -> str:
    return Path(cell.run).name


def _trial(folder: RunFolder, everyone: list[RunFolder]) -> Trial:
    """A protagonist's trial; rivals are the other runs of its task that have an adversary."""
    env = folder.spec().env
    rivals = (f for f in everyone if f.path != folder.path and f.spec().env == env and _trained_adversary(f))
    return Trial(str(folder.path), EPISODES, ADVERSARY_STEPS, rivals=tuple(str(f.path) for f in rivals))


def _sweep(folder: RunFolder) -> Sweep | None:
    """The map of a MuJoCo task: an episode a cell, as in QARL's paper."""
    spec = folder.spec()
    if spec.env.removeprefix("rlsuite/") not in MUJOCO_IDS:
        return None
    quiet_mujoco(spec.env)
    body = check_sweep(spec.env, "", SCALES, SCALES, 1)
    return Sweep(str(folder.path), body, SCALES, SCALES, 1, seed=0)
