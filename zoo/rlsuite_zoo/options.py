"""The words of the commands: one frozen dataclass each, which the command line is read into and the command is given.

Importing this is cheap: what a command does is imported when it is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro
from tyro.conf import Positional

from rlsuite_zoo.pages.registry import PAGES

__all__ = [
    "AttackOptions",
    "CertifyOptions",
    "EvaluateOptions",
    "FrontOptions",
    "InventoryOptions",
    "ListOptions",
    "PageOptions",
    "PlotOptions",
    "ShowOptions",
    "SweepOptions",
    "TrainOptions",
    "VictimsOptions",
]


@dataclass(frozen=True)
class ListOptions:
    """List algorithms, environments and recipes."""

    what: Positional[str] = "all"
    """all, algorithms, envs or recipes."""


@dataclass(frozen=True)
class TrainOptions:
    """Train one or several seeds, each in a run folder of its own; `train ALGO ENV --help` lists hyper-parameters."""

    algo: Positional[str] = ""
    """Algorithm, such as bpo, ppo, sac or sb3:ppo (`rlsuite list algorithms`)."""
    env: Positional[str] = ""
    """Gymnasium id, such as Hopper-v5 or rlsuite/CartPole-v1 (`rlsuite list envs`)."""
    settings: Positional[tuple[str, ...]] = ()
    """Hyper-parameters as key=value or config.key=value; env.key=value for the environment."""
    steps: str = ""
    """Environment steps, such as 1e6 (default: the recipe's)."""
    seeds: str = "0"
    """Such as 0, 0-4 or 0,3,7."""
    num_envs: str = ""
    """Copies of the environment (default: the recipe's)."""
    device: str = "auto"
    """auto, cpu or cuda."""
    recipe: str = ""
    """Named variant of the recipe (`rlsuite list recipes`), or a file of your own (.yaml)."""
    jobs: int | None = None
    """Runs at a time (default: one per core)."""
    out: str = "runs"
    """Folder of all runs."""
    name: str = ""
    """Folder of this training below OUT/ALGO/ENV (default: the time)."""
    checkpoint_every: str = ""
    """Steps between checkpoints (default: a twentieth of the steps)."""
    eval_every: str = ""
    """Steps between evaluations during training (default: none)."""
    eval_episodes: int = 20
    """Episodes of an evaluation; 0 for none at the end."""
    eval_stochastic: bool = False
    """Evaluations sample the actions (some recipes say so themselves)."""
    resume: str = ""
    """Run folder (or a folder of several) to go on with; takes --steps and --jobs, nothing else."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Evaluate trained runs: mean return with its 95 % interval; writes evaluation.json."""

    run: Positional[str]
    """Run folder, or a folder of several."""
    episodes: int = 20
    """Number of episodes."""
    render: str = ""
    """Also write a video of one episode to this .mp4 file."""
    stochastic: bool = False
    """Sample the actions instead of taking the distribution's mode (default: as the run says)."""
    seed: int | None = None
    """Seed of the episodes (default: derived from the run's)."""
    checkpoint: str = "last"
    """Checkpoint to evaluate: last or best."""
    weights: str = ""
    """Of the objectives, such as 0.3,0.7, where there are several (default: equal ones)."""


@dataclass(frozen=True)
class FrontOptions:
    """Measure the sets of policies of trained runs: indicators, a picture of the fronts, an HTML page, CSV, JSON."""

    runs: Positional[tuple[str, ...]]
    """Run folders, or folders of several; runs that differ in their seed alone are averaged."""
    measured: bool = True
    """Play every policy again, on episodes that did not select it; without, its returns as selected are reported."""
    episodes: int = 20
    """Episodes of every policy."""
    gamma: float | None = None
    """Discount of the returns (default: the run's eval_gamma)."""
    seed: int = 0
    """Seed of the episodes."""
    stochastic: bool = False
    """Sample the actions instead of taking the distributions' modes (default: as the run says)."""
    weights: str = ""
    """Of the objectives, such as 0.3,0.7: tells which policy plays for them, and what it gets."""
    reference: str = ""
    """Reference point of the hypervolume, such as --reference=-100,-100 (default: the runs' own)."""
    true_front: bool = False
    """Compare with the environment's exact front, where it knows it."""
    jobs: int | None = None
    """Runs at a time (default: one per core)."""
    out: str = ""
    """Folder of the page (default: RUN/front; of several, `front` in the folder that holds them)."""


@dataclass(frozen=True)
class PlotOptions:
    """Draw learning curves: mean and 95 % interval over seeds, one panel per environment."""

    runs: Positional[tuple[str, ...]]
    """Run folders, or folders of several."""
    out: str = "learning_curves.png"
    """Picture to write (.png, .pdf or .svg)."""
    metric: str = "rollout/ep_rew_mean"
    """Column of progress.csv."""
    smooth: float = 0.02
    """Width of the moving average, as a share of the curve; 0 for none."""
    title: str = ""
    """Above the picture."""


@dataclass(frozen=True)
class ShowOptions:
    """Draw one episode of an environment: a picture of the whole (.png) or a film (.mp4); or print its text.

    Films need the extra `video` (pip install "rlsuite[video]"). Gymnasium's RecordVideo wrapper, which films in your
    own code, needs another package: pip install moviepy.
    """

    env: Positional[str] = ""
    """Gymnasium id, such as rlsuite/HardMaze-v0 (`rlsuite list envs`; default: the one that --policy was trained in,
    with its constants)."""
    settings: Positional[tuple[str, ...]] = ()
    """The environment's constants as key=value."""
    policy: str = "random"
    """random, a run folder, or a checkpoint."""
    out: str = ""
    """File to write (default: a .png named after the environment)."""
    seed: int = 0
    """Seed of the episode."""
    steps: int = 0
    """Stop after so many steps; 0 for the whole episode."""
    stochastic: bool = False
    """Sample the trained policy's actions instead of taking the distribution's mode (default: as its run says)."""
    checkpoint: str = "last"
    """Checkpoint of a run folder: last or best."""
    weights: str = ""
    """Of the objectives, such as 0.3,0.7, where --policy is a set: its policy for them plays (default: equal ones)."""
    text: bool = False
    """Draw nothing; print what the environment is: observations, actions, reward, constants."""


@dataclass(frozen=True)
class PageOptions:
    """Reproduce a results page: train what is missing, then write tables and curves. Finished runs are kept."""

    page: Annotated[
        str,
        tyro.conf.Positional,
        tyro.conf.arg(help="; ".join(f"{name}: {page.about}" for name, page in PAGES.items())),
    ]
    seeds: str = ""
    """Seeds of the runs, such as 0-4 (default: the page's)."""
    steps: str = ""
    """Environment steps of each run (default: the page's); of act: generations."""
    jobs: int | None = None
    """Runs at a time (default: one per core)."""
    only: str = ""
    """Environments (of envs: or families; of hdpo: or groups; of subpo, smoothing, act: tasks), separated by commas."""
    report_only: bool = False
    """Write the page from the runs that exist, train nothing."""
    keep: bool = False
    """Let rows of the page's tables stay whose runs are not in --runs (bpo, sac, pdppo, attacks)."""
    runs: str = "runs/results"
    """Folder of the runs."""
    out: str = "results"
    """Folder of the page and its pictures."""


@dataclass(frozen=True)
class AttackOptions:
    """Attack trained runs: return against the attack's budget, as an HTML page, CSV, JSON and a picture."""

    run: Positional[str]
    """Run folder, or a folder of several (their mean is reported)."""
    attacks: str = "all"
    """Names of attacks, separated by commas, or: all (that the policy can suffer), observations, or actions."""
    eps: str = "0:0.3:0.05"
    """Budgets per step: first:last:step, or numbers separated by commas."""
    norm: str = "linf"
    """Norm of the budget: linf or l2."""
    unit: str = "auto"
    """Unit of the budget: auto (standard deviations of each observation entry) or raw (the observation's own)."""
    episodes: int = 20
    """Episodes of every run, attack and budget."""
    seed: int = 0
    """Seed of the attacks."""
    effort: float = 1.0
    """Factor on the default training of the attacks that learn."""
    jobs: int | None = None
    """Cells at a time (default: one per core)."""
    quick: bool = False
    """Four episodes and attacks that hardly learn: to see that it works."""
    report_only: bool = False
    """Write the page from what was played, play nothing."""
    out: str = ""
    """Folder of the page (default: RUN/attacks)."""


@dataclass(frozen=True)
class CertifyOptions:
    """Certify trained runs by smoothing: the return that is left under any attack on observations, with its terms."""

    run: Positional[str]
    """Run folder, or a folder of several; best trained under the same noise."""
    sigma: str = "0.2"
    """Noise, observation units: numbers separated by commas, or first:last:step."""
    budgets: str = "0:1:0.1"
    """Total L2 norms of an episode's attack, observation units."""
    method: str = "dkw"
    """Certificate: dkw (mean return), ladder (mean of integer returns), success, percentile or expectation."""
    episodes: int = 10_000
    """Clean smoothed episodes N of each run and noise."""
    alpha: float = 0.05
    """Failure probability of the certificate, in (0, 1)."""
    minimum: float | None = None
    """The least possible return (dkw, expectation; default 0)."""
    maximum: float | None = None
    """The greatest possible return (expectation)."""
    ladder: int = 0
    """The greatest integer return (ladder)."""
    q: float | None = None
    """The quantile (percentile; default 0.5)."""
    above: float = 0.0
    """An episode with a larger return is a success (success)."""
    attacked: int = 0
    """Episodes under the tightness attack for each budget; 0 for none."""
    seed: int = 0
    """Seed of episodes and noise."""
    jobs: int | None = None
    """Batches at a time (default: one per core)."""
    quick: bool = False
    """Few episodes: to see that it works."""
    report_only: bool = False
    """Certify what was played, play nothing."""
    out: str = ""
    """Folder of the page (default: RUN/certify)."""

    @property
    def of_method(self) -> dict[str, float]:
        """The numbers that the certificate's method takes."""
        given = {"minimum": self.minimum, "maximum": self.maximum, "ladder": self.ladder or None, "q": self.q}
        found = {name: value for name, value in given.items() if value is not None}
        return {"minimum": 0.0, **found} if self.method in ("dkw", "expectation") else found


@dataclass(frozen=True)
class SweepOptions:
    """Map the return of trained runs over mass, friction and pushes (MuJoCo tasks): heat maps, worst cell, CVaR."""

    runs: Positional[tuple[str, ...]]
    """Run folders, or folders of several; runs that differ in their seed alone are averaged."""
    body: str = ""
    """Name of the body whose mass is varied (default: the torso or pole)."""
    mass: str = "0.5:1.5:0.1"
    """Scales of the mass relative to the model: first:last:step, or numbers separated by commas."""
    friction: str = "0.5:1.5:0.1"
    """Scales of all frictions."""
    force: str = "0:10:2"
    """Strengths of unlearned pushes, N, on tasks with an adversary (Hopper, Walker2d, HalfCheetah, ...)."""
    episodes: int = 5
    """Episodes of a cell."""
    seed: int = 0
    """Seed of the initial states."""
    jobs: int | None = None
    """Maps at a time (default: one per core)."""
    quick: bool = False
    """Three by three cells of one episode: to see that it works."""
    report_only: bool = False
    """Write the page from what was played, play nothing."""
    out: str = "results"
    """Folder of the page."""


@dataclass(frozen=True)
class InventoryOptions:
    """Compare inventory policies, rules and learned ones, on the same demands; finished cells are kept."""

    scenarios: str = ""
    """Scenarios: names or groups (core, marl, networks, all, divergent, serial), separated by commas; default core."""
    policies: str = "all"
    """Names of policies, separated by commas, or all."""
    agents: tuple[str, ...] = ()
    """Run folders or checkpoints of learned policies, which become rows."""
    weights: str = ""
    """Of the objectives, such as 0.3,0.7: which policy of an agent that is a set plays (default: for equal ones)."""
    episodes: int = 0
    """Demand paths of each cell; 0 for the default, 30 (4 with --quick)."""
    seed: int = 0
    """Seed of the demands."""
    jobs: int | None = None
    """Cells at a time (default: one per core)."""
    quick: bool = False
    """Few episodes, little tuning, three scenarios: to see that it works."""
    report_only: bool = False
    """Write the page from the cells that exist, play nothing."""
    cells: str = "runs/benchmark/inventory"
    """Folder of the cells."""
    out: str = "results"
    """Folder of the page, its table and its picture."""


@dataclass(frozen=True)
class VictimsOptions:
    """Compare trained runs under every attack that they can suffer; finished cells are kept."""

    runs: tuple[str, ...] = ()
    """Victims: run folders, or folders of several."""
    attacks: str = "all"
    """Names of attacks, separated by commas, or: all, observations, or actions."""
    eps: float | None = None
    """Budget per step; default the papers' (Hopper .075, Walker2d .05, HalfCheetah and Ant .15, others .1)."""
    norm: str = "linf"
    """Norm of the budget: linf or l2."""
    unit: str = "auto"
    """Unit of the budget: auto (standard deviations of each observation entry) or raw."""
    episodes: int = 20
    """Episodes of every run and attack (4 with --quick)."""
    seed: int = 0
    """Seed of the attacks."""
    effort: float = 1.0
    """Factor on the default training of the attacks that learn."""
    jobs: int | None = None
    """Cells at a time (default: one per core)."""
    quick: bool = False
    """Few episodes and attacks that hardly learn: to see that it works."""
    report_only: bool = False
    """Write the page from the cells that exist, play nothing."""
    out: str = "results"
    """Folder of the page, its table and its picture."""
