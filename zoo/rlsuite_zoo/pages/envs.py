"""`rlsuite results envs`: PPO beside random play in every environment of ours, as one page.

Each id is trained once with the same recipe, without tuning; the table says where that is enough to beat random
play and where not (in the sparse mazes, which were made to defeat such learners, it need not be). Runs are
kept and found again, as those of the other pages.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from PIL import Image
from scipy import stats

from rlsuite.core.evaluate import evaluate
from rlsuite.core.statistics import bootstrap_interval
from rlsuite.sb3 import Predictor
from rlsuite_envs.drawing import figure
from rlsuite_envs.make import make_vector_env
from rlsuite_envs.registration import KERNELS
from rlsuite_zoo.episodes.show import episode_picture
from rlsuite_zoo.episodes.video import VideoError
from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.files import write_json, write_text
from rlsuite_zoo.options import PageOptions
from rlsuite_zoo.pages.suite_page import provenance
from rlsuite_zoo.report.paged import write_paged
from rlsuite_zoo.runs.display import out_console
from rlsuite_zoo.runs.evaluation import own_evaluation
from rlsuite_zoo.runs.folder import RunFolder
from rlsuite_zoo.runs.launch import RunFailed, launch_missing
from rlsuite_zoo.runs.models import load_policy
from rlsuite_zoo.runs.random_policy import RandomPolicy
from rlsuite_zoo.runs.recipe import parse_count, parse_seeds
from rlsuite_zoo.runs.spec import make_spec, safe_name

STEPS = 200_000
EPISODES = 100
RECIPE = "kernels"
EPISODE_SEED = 77
PICTURE_WIDTH = 800  # pixels
LEFT_OUT = ("rlsuite/ImageHardMaze-v0",)  # 28,224 numbers an observation are for convolutions
ALSO = (
    "rlsuite/LotSizing-20x10-v0",
    "rlsuite/LotSizing-25x10-v0",
    "rlsuite/LotSizing-25x15-v0",
    "rlsuite/PointMaze-UMazeDense-v0",
    "rlsuite/HardMaze-Dense-v0",
    "rlsuite/FastsimMaze-Dense-v0",
    "rlsuite/CollectBall-Dense-v0",
    "rlsuite/RedundantArm-Dense-v0",
    "rlsuite/Curling-Dense-v0",
)
"""Presets played in addition to the first id of every kernel, without --only."""
FAMILIES = {
    "inventory": "Inventory",
    "cheap_talk": "Cheap talk",
    "coverage": "Coverage",
    "mazes": "Mazes",
    "classic": "Classic control",
}


@dataclass(frozen=True)
class Row:
    """One environment: returns of random play and of PPO's runs."""

    id: str
    random: np.ndarray
    """Returns [E]."""
    sampled: np.ndarray
    """Returns [E] of the trained policies, actions sampled, over all seeds."""
    mode: np.ndarray
    """Returns [E] of the trained policies, by the mode of their distributions."""

    @property
    def verdict(self) -> str:
        """Verdict of Welch's 95 % interval of the difference between sampled and random."""
        difference = self.sampled.mean() - self.random.mean()
        shares = [returns.var(ddof=1) / len(returns) for returns in (self.sampled, self.random)]
        margin = 0.0
        if sum(shares) > 0:  # a start that never varies and a policy that never does leave no doubt
            freedom = sum(shares) ** 2 / sum(v**2 / (EPISODES - 1) for v in shares)
            margin = float(stats.t.ppf(0.975, freedom)) * sum(shares) ** 0.5
        return "better" if difference > margin else "worse" if difference < -margin else "no difference shown"


def environments(only: str) -> dict[str, list[str]]:
    """Our ids by family: those named, all of a family that is named, or one of every kernel and its dense variants.

    Raises:
        UsageError: an unknown one; names the nearest.
    """
    found: dict[str, list[str]] = {}
    for entry in KERNELS:
        family = entry.kernel.partition(".")[0]
        if family in FAMILIES and entry.objectives is None:  # PPO needs one number
            found.setdefault(family, []).append(entry.id)
    wanted = [word.strip() for word in only.split(",") if word.strip()]
    known = {*found, *(id for ids in found.values() for id in ids)}
    for word in wanted:
        if word not in known:
            raise unknown("environment or family", word, known)
    if not wanted:
        wanted = [*{entry.kernel: entry.id for entry in reversed(KERNELS)}.values(), *ALSO]
        wanted = [id for id in wanted if id not in LEFT_OUT]
    found = {family: [id for id in ids if family in wanted or id in wanted] for family, ids in found.items()}
    return {family: ids for family, ids in found.items() if ids}


def make_results(options: PageOptions) -> None:
    """Train what is missing, then write `<out>/envs.md`, `.csv` and `.png`.

    Raises:
        UsageError: bad options, or nothing to report. RunFailed: some runs failed (the page has the others).
    """
    total = parse_count(options.steps, "--steps") if options.steps else STEPS
    numbers = parse_seeds(options.seeds) if options.seeds else [0]
    families = environments(options.only)
    root = Path(options.runs) / "envs" / f"{total}-steps"
    folders = {
        id: [RunFolder(root / safe_name(id) / f"seed{seed}") for seed in numbers]
        for ids in families.values()
        for id in ids
    }
    failure: RunFailed | None = None
    if not options.report_only:
        todo = _prepare(folders, numbers, total)
        failure = launch_missing(todo, options.jobs, root)
    rows = {}
    for id, group in folders.items():
        finished = [folder for folder in group if folder.finished]
        if finished:
            rows[id] = _row(id, finished, root)
    if rows:
        _write(families, rows, [f for group in folders.values() for f in group if f.finished], total, Path(options.out))
    elif failure is None:
        raise UsageError(f"no finished run in {root} to report; leave --report-only out to train them")
    if failure is not None:
        raise failure


def _prepare(folders: dict[str, list[RunFolder]], seeds: list[int], steps: int) -> list[RunFolder]:
    todo = []
    for id, group in folders.items():
        for folder, seed in zip(group, seeds, strict=True):
            if not folder.config.exists():
                spec = make_spec("ppo", id, seed=seed, steps=str(steps), recipe=RECIPE, eval_episodes=EPISODES)
                RunFolder.create(folder.path, spec)
            if not folder.finished:
                todo.append(folder)
    return todo


def _row(id: str, folders: list[RunFolder], root: Path) -> Row:
    modes = [record["returns"] for folder in folders if (record := own_evaluation(folder))]
    sampled = [_returns(id, folder.path / "sampled.json", partial(_trained_policy, folder)) for folder in folders]
    random = _returns(id, root / safe_name(id) / "random.json", _random_policy)
    return Row(id, random, np.concatenate(sampled), np.concatenate(modes))


def _trained_policy(folder: RunFolder, env: VectorEnv[Any, Any, Any]) -> Predictor:
    return load_policy(folder, folder.last)


def _random_policy(env: VectorEnv[Any, Any, Any]) -> Predictor:
    return RandomPolicy(env, EPISODE_SEED)


def _returns(id: str, file: Path, policy: Callable[[VectorEnv[Any, Any, Any]], Predictor]) -> np.ndarray:
    """Returns [E] of a policy that samples its actions, kept in the folder of the runs."""
    if not file.exists():
        env = make_vector_env(id, EPISODES)
        torch.set_num_threads(1)  # a hundred copies are too few for two
        try:
            result = evaluate(policy(env), env, episodes=EPISODES, seed=EPISODE_SEED, deterministic=False)
        finally:
            env.close()
        write_json(file, {"seed": EPISODE_SEED, "returns": [float(x) for x in result.returns]})
    return np.asarray(json.loads(file.read_text(encoding="utf-8"))["returns"])


def _write(
    families: dict[str, list[str]], rows: dict[str, Row], folders: list[RunFolder], steps: int, out: Path
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    pictures = _pictures(folders, out)
    better = sum(row.verdict == "better" for row in rows.values())
    parts = [
        "# PPO beside random play in every environment",
        "One recipe (`ppo`, recipe `kernels`) for all, untuned: the table shows that every environment can be trained "
        "on, not how far one gets. Sparse-reward mazes are there because such learners fail in them.",
        provenance(folders, steps),
        f"Mean return and its 95 % bootstrap interval over {EPISODES} episodes a seed. The verdict is Welch's 95 % "
        "interval of the difference between the trained policy, its actions sampled as in training, and random play: "
        f"PPO is better in {better} of {len(rows)}. The policy's mode is another policy: without chance it may walk in "
        "circles.",
        "![improvement over random play](envs.png)",
    ]
    csv = ["environment,random_mean,sampled_mean,mode_mean,verdict"]
    for family, ids in families.items():
        lines = [
            f"## {FAMILIES[family]}",
            "",
            "| environment | random play | PPO, sampled | PPO, mode | verdict |",
            "|---|---:|---:|---:|---|",
        ]
        for id in ids:
            if id not in rows:
                continue
            row = rows[id]
            name = id.removeprefix("rlsuite/")
            lines.append(f"| {name} | {_cell(row.random)} | {_cell(row.sampled)} | {_cell(row.mode)} | {row.verdict} |")
            csv.append(f"{id},{row.random.mean():.6g},{row.sampled.mean():.6g},{row.mode.mean():.6g},{row.verdict}")
        parts.append("\n".join(lines))
        parts += [f"{id}:\n\n![an episode of {id}]({pictures[id]})" for id in ids if id in pictures]
    others = [id.removeprefix("rlsuite/") for id, row in rows.items() if row.verdict != "better"]
    findings = [
        f"PPO with one untuned recipe is better than random play in {better} of {len(rows)} environments.",
        f"Not shown to be better in: {', '.join(others) or 'none'}.",
    ]
    write_paged(out / "envs.md", "\n\n".join(parts), findings)
    write_text(out / "envs.csv", "\n".join(csv) + "\n")
    _draw(families, rows, out / "envs.png")
    out_console().print(f"wrote {out / 'envs.md'}: PPO is better than random play in {better} of {len(rows)}")


def _pictures(folders: list[RunFolder], out: Path) -> dict[str, str]:
    """An episode of the trained policy in the first id of every kernel, by id; paths relative to the page."""
    first = {entry.kernel: entry.id for entry in reversed(KERNELS)}.values()
    pictures: dict[str, str] = {}
    for folder in folders:
        id = folder.spec().env
        if id not in first or id in pictures or id.startswith("rlsuite/Probe"):
            continue
        try:
            drawn = episode_picture(id, load_policy(folder, folder.last), EPISODE_SEED)
        except VideoError as error:  # without graphics the page has its numbers still
            out_console().print(f"no picture of {id}: {error}")
            continue
        image = Image.fromarray(drawn)
        image.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH))
        path = out / "envs" / f"{safe_name(id.removeprefix('rlsuite/'))}.png"
        path.parent.mkdir(exist_ok=True)
        image.quantize(256).save(path, optimize=True)  # fewer colours would make two lines of one
        pictures[id] = f"envs/{path.name}"
    return pictures


def _cell(returns: np.ndarray) -> str:
    interval = bootstrap_interval(returns)
    mean, low, high = (_number(x) for x in (interval.estimate, interval.low, interval.high))
    return f"{mean} [{low}, {high}]"


def _number(value: float) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def _draw(families: dict[str, list[str]], rows: dict[str, Row], path: Path) -> None:
    """For each environment the improvement, in standard deviations of random play's return."""
    names = [id for ids in families.values() for id in ids if id in rows]
    drawn, axes = figure(1, 1, width=8, height=1.2 + 0.2 * len(names))
    ax: Any = axes[0, 0]
    colors = {"better": "tab:green", "worse": "tab:red", "no difference shown": "tab:gray"}
    for i, id in enumerate(names):
        row = rows[id]
        spread = row.random.std() or 1.0
        effect = (row.sampled.mean() - row.random.mean()) / spread
        ax.barh(i, effect, color=colors[row.verdict])
    ax.set_yticks(range(len(names)), [name.removeprefix("rlsuite/") for name in names], fontsize=7)
    ax.invert_yaxis()
    ax.margins(y=0.01)
    ax.set_xscale("symlog", linthresh=1)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_xlabel("PPO (sampled) minus random play, in standard deviations of random play's return")
    handles = [ax.barh(0, 0, color=color, label=name) for name, color in colors.items()]
    ax.legend(handles=handles, loc="lower right", fontsize=8)
    drawn.savefig(path, dpi=100)
