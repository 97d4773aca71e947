"""The tasks of `rlsuite results smoothing`: what is trained under which noise, certified and attacked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv, VectorWrapper
from torch import Tensor

import rlsuite
from rlsuite import PPO
from rlsuite.smoothing.certificates import Certificate, certify_ladder, certify_success
from rlsuite.smoothing.episodes import SmoothedReturns, smoothed_returns
from rlsuite.smoothing.noise import NoisyVectorObservation, StackVectorObservation
from rlsuite.smoothing.smoothed import Attack
from rlsuite.smoothing.tightness import ActionAttack, ActionAttackConfig, ScoreAttack, ScoreAttackConfig
from rlsuite.smoothing.victims import actions_of, scores_of
from rlsuite_envs.make import make_vector_env
from rlsuite_zoo.runs import kept

CHOOSING, CERTIFYING, ATTACKING = 3_000_017, 4_000_037, 5_000_011
"""Seeds of the three kinds of test episodes: the seed of training that is certified must not be chosen by its
certificate's own episodes, nor by ones whose seeds (seed + environment) are among them."""


@dataclass(frozen=True)
class Sizes:
    """Numbers of episodes and draws of a measurement."""

    choosing: int = 1_000
    """Episodes that choose between training seeds."""
    certifying: int = 10_000
    """Clean episodes of a certificate (the paper's number)."""
    attacking: int = 200
    """Attacked episodes per point."""
    noise_draws: int = 16
    """Draws over which an attack averages (the paper's scripts: 128)."""
    alpha: float = 0.05
    """Failure probability of each certificate."""


@dataclass(frozen=True)
class Task:
    """An environment, the noises under which PPO learns it, and the budgets that are certified and attacked."""

    key: str
    title: str
    env: str
    sigmas: tuple[float, ...]
    """Noises, observation units; 0 is the plain policy, attacked for comparison."""
    frames: int = 1
    limit: int = 200
    """Steps of an episode; the largest return, where each step pays 1."""
    steps: int = 300_000
    """Environment steps of training."""
    config: dict[str, Any] = field(default_factory=dict)
    """Hyper-parameters: fields of PPOConfig by name."""
    num_envs: int = 16
    success: bool = False
    """Whether a positive return is a success, and the success probability is certified instead of the mean."""
    budgets: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0)
    """Budgets of the attacks, total L2 norms of an episode, observation units."""
    thresholds: tuple[float, ...] = (0.0, 1.0, 2.0)
    """The attacks' q_gap, or penalty; the worst counts."""

    def score(self, returns: np.ndarray) -> np.ndarray:
        """Reported score [N] of each episode."""
        return (returns > 0).astype(np.float64) if self.success else returns

    @property
    def grid(self) -> np.ndarray:
        """Budgets of the certificate's curve, [G], the attacks' among them."""
        return np.union1d(np.linspace(0, self.budgets[-1], 51), self.budgets)


CARTPOLE: dict[str, Any] = {
    "env": "rlsuite/CartPole-v1",
    "sigmas": (0.0, 0.2, 0.4, 0.6, 0.8),
    "config": {"n_steps": 256, "batch_size": 512, "learning_rate": "linear:1e-3", "gamma": 0.98},
}
TASKS = (
    Task("cartpole-1", "CartPole, one frame", **CARTPOLE),
    Task("cartpole-5", "CartPole, five frames", frames=5, **CARTPOLE),
    Task(
        "mountain-car",
        "Mountain car with a throttle, five frames",
        "rlsuite/MountainCarContinuous-v1",
        (0.0, 0.2, 0.4),
        frames=5,
        limit=999,
        success=True,
        budgets=(0.2, 0.5, 1.0, 2.0, 4.0),
        thresholds=(1.0, 10.0, 100.0),
        config={
            "n_steps": 512,
            "batch_size": 1024,
            "learning_rate": "linear:1e-3",
            "gamma": 0.99,
            "normalize_obs": True,
            "normalize_reward": True,
        },
    ),
)


class EnergyShaping(VectorWrapper[Any, Any, Any, Any, Any]):
    """Training reward of the mountain car: its own plus what its energy grew by, scaled so that the climb is worth 110.

    Over an episode the addition is the energy at its end less that at its start: a slope to learn on, where the task
    itself pays on arrival only.
    """

    SCALE = 100 / 0.0015  # the climb from the valley's bottom to the flag is 0.00165 high

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        self.output = getattr(env, "output", "numpy")
        self.device = getattr(env, "device", torch.device("cpu"))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Remember the first energies."""
        obs, info = self.env.reset(seed=seed, options=options)
        self._energy = self._energies(obs)
        return obs, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """The environment's step with the shaped reward."""
        obs, reward, terminated, truncated, info = self.env.step(actions)
        last = obs if info.get("final_obs") is None else _where(terminated | truncated, info["final_obs"], obs)
        reward = reward + self.SCALE * (self._energies(last) - self._energy)
        self._energy = self._energies(obs)
        return obs, reward, terminated, truncated, info

    @staticmethod
    def _energies(obs: Tensor) -> Tensor:
        return 0.5 * obs[:, 1].square() + 0.0025 / 3 * torch.sin(3 * obs[:, 0])


def _where(rows: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(rows[:, None], one, other)


def train(task: Task, sigma: float, seed: int, path: Path) -> None:
    """Train PPO under noise sigma and write its checkpoint."""
    venv: Any = make_vector_env(task.env, task.num_envs, env_kwargs={"max_episode_steps": task.limit})
    if task.success:
        venv = EnergyShaping(venv)
    venv = NoisyVectorObservation(venv, sigma)
    if task.frames > 1:
        venv = StackVectorObservation(venv, task.frames)
    agent = PPO(venv, device="cpu", seed=seed, **task.config)
    agent.learn(task.steps, log_interval=None)
    path.parent.mkdir(parents=True, exist_ok=True)
    agent.save(path)
    venv.close()


def episodes(
    task: Task, agent: Any, sigma: float, count: int, seed: int, attack: Attack | None = None
) -> SmoothedReturns:
    """Episodes of a trained policy behind noise."""
    return smoothed_returns(
        agent,
        task.env,
        sigma=sigma,
        episodes=count,
        seed=seed,
        frames=task.frames,
        attack=attack,
        env_kwargs={"max_episode_steps": task.limit},
    )


def attack_of(task: Task, agent: Any, sigma: float, budget: float, threshold: float, draws: int) -> Attack:
    """The task's adversary: towards worse actions, or (mountain car) against the direction of travel."""
    if not task.success:
        config = ScoreAttackConfig(budget, sigma, threshold, step_size=0.05, noise_draws=draws)
        return ScoreAttack(scores_of(agent), config)
    slow = ActionAttackConfig(budget, sigma, threshold, step_size=0.05, steps=20, noise_draws=draws)
    return ActionAttack(actions_of(agent), slow, against_travel)


def against_travel(frame: Tensor, action: Tensor) -> Tensor:
    """Throttle along the true velocity, which the adversary wants small; not clipped, lest its gradient vanish."""
    return action[:, 0] * frame[:, 1].sign()


@dataclass(frozen=True)
class Cell:
    """One task under one noise, with the training seeds' models in its folder."""

    task: Task
    sigma: float
    folder: Path
    seeds: tuple[int, ...] = (0, 1)
    """Seeds of training, among whose policies the best is chosen."""
    sizes: Sizes = field(default_factory=Sizes)

    @property
    def path(self) -> Path:
        """File in which the measurements are kept."""
        return self.folder / "result.json"

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the noise and the models that decides the measurements."""
        task = kept.plain(asdict(self.task), "title", "sigmas")
        return {"seeds": sorted(self.seeds), **asdict(self.sizes), "task": task}

    @property
    def checkpoints(self) -> list[Path]:
        """The models among which is chosen."""
        return [self.model(seed) for seed in sorted(self.seeds)]

    def model(self, seed: int) -> Path:
        """Checkpoint of a training seed."""
        return self.folder / f"seed{seed}.zip"

    def read(self) -> dict[str, Any]:
        """The measurements, which must be there."""
        found = kept.read(self)
        assert found is not None  # pages are written of measured cells
        return found

    def certificate(self, alpha: float) -> Certificate:
        """Certificate of the measured clean episodes, on the task's grid of budgets."""
        scores = self.task.score(np.array(self.read()["clean"]))
        if self.task.success:
            return certify_success(scores, self.task.grid, self.sigma, alpha=alpha)
        return certify_ladder(scores, self.task.grid, self.sigma, ladder=self.task.limit, alpha=alpha)


def train_missing(job: tuple[Cell, int]) -> None:
    """Train one seed of a cell, unless its checkpoint is there."""
    cell, seed = job
    if not cell.model(seed).exists():
        train(cell.task, cell.sigma, seed, cell.model(seed))


def measure(cell: Cell) -> None:
    """Choose the best seed of a cell, play its clean episodes and its attacked ones, and keep them."""
    key = kept.key_of(cell)  # of the checkpoints that are read now
    task, sigma, sizes = cell.task, cell.sigma, cell.sizes
    agents = {seed: rlsuite.load(cell.model(seed), device="cpu") for seed in cell.seeds}
    chosen = {
        seed: float(task.score(episodes(task, agent, sigma, sizes.choosing, CHOOSING).returns).mean())
        for seed, agent in agents.items()
    }
    seed = max(chosen, key=lambda s: chosen[s])
    agent = agents[seed]
    clean = episodes(task, agent, sigma, sizes.certifying, CERTIFYING)
    attacked = []
    for budget in task.budgets:
        for threshold in task.thresholds:
            attack = attack_of(task, agent, sigma, budget, threshold, sizes.noise_draws)
            run = episodes(task, agent, sigma, sizes.attacking, ATTACKING, attack)
            scores = task.score(run.returns)
            error = float(scores.std() / np.sqrt(len(scores)))
            attacked.append(
                {
                    "budget": budget,
                    "threshold": threshold,
                    "mean": float(scores.mean()),
                    "standard_error": error,
                    "most_spent": float(run.spent.max()),
                }
            )
    outcome = {"seed": seed, "choosing": chosen, "attacked": attacked, "clean": clean.returns.tolist()}
    kept.write(cell, key, outcome)
