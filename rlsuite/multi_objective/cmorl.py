"""C-MORL: a Pareto front by constrained policy optimisation (Liu et al., ICLR 2025, arXiv:2410.02236).

The answer to K conflicting goals is a set of ordinary policies, none better than another in every goal. It is found in
two stages:

    stage 1   for w in a grid of M weights, together:   PPO on the advantage  w . A                        (initialise)
              measured now and then, X <- non-dominated policies, at most `archive_size`, by crowding distance
    stage 2   repeat: take the N members of X farthest from others; for each of them, and each goal l, from a copy
              `extension_updates` PPO updates up                                                               (extend)
                  G_l(pi) + 1/t sum_{j != l} log(G_j(pi) - b_j),   b_j = beta G_j(parent)
              measured after every one of them; X <- non-dominated of X and these

At the end `predict(obs, weights=w)` plays the member with the largest w . G, without training.

The barrier, read off the paper: with G_j(pi') = G_j + H E[(rho - 1) A_j] (policy-difference surrogate; H is the sum of
an episode's discounts) its gradient is that of the surrogate of one advantage, A_l / s_l + sum_j c_j A_j, where c_j =
phi'(m_j) / (t s_j) and m_j = (G_j - b_j) / s_j. So both stages are PPO on a weighted advantage, with fixed or with
adaptive weights, recomputed at every epoch. What differs from the paper, or is not in it: margins are divided by s_j =
|G_j(parent) - z_j|, so that t does not depend on the rewards' scale; the threshold is b_j = z_j + beta (G_j(parent) -
z_j) with the reference point z, equal to the paper's at z = 0, since beta G would refuse the parent itself where
returns are negative (where a member is below z in a goal, the set's worst stands for z_j); phi is the logarithm,
continued by a straight line below `barrier_floor`, so that a policy outside the constraints is pulled back; G is
measured with the policies' modes, as members are, and A by the critic.

`weighting="hypervolume"` (Lu et al. 2025, arXiv:2509.11452) lets the step sizes of stage 1 follow what each policy's
last measurement added to the front.

`mode="repo"` repeats the authors' release instead: its barrier per sample, clip(rho) R_j - beta R_j with R_j the mean
return of the minibatch, has no parent in it and no effect where R_j < 0; all goals stay in it; goals are chained, each
from the end of the one before; learning rates go on from where stage 1 left the parent's.

Letters: P policies trained together (M in stage 1; parents times goals in stage 2), E environments of each, n samples
of each, K objectives.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from rlsuite.core.brain import Brain
from rlsuite.core.config import check_choices, check_range, check_schedule
from rlsuite.core.population import StackedBatch
from rlsuite.core.population_actor import PopulationActor
from rlsuite.core.schedules import parse_schedule
from rlsuite.core.session import Session
from rlsuite.core.stateful import Stateful
from rlsuite.multi_objective.archive import select_sparse
from rlsuite.multi_objective.dynamic_weights import scaled_meta_reward
from rlsuite.multi_objective.front_agent import FrontAgent, Stock
from rlsuite.multi_objective.stacked_ppo import TeamConfig
from rlsuite.multi_objective.weights import weight_grid


@dataclass(frozen=True)
class CMORLConfig(TeamConfig):
    """Hyper-parameters of C-MORL; the defaults are the release's for MuJoCo, with 8 environments for each policy.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    mode: str = "paper"
    """"paper", or "repo" for the release's arithmetic of stage 2; see the module."""
    weighting: str = "fixed"
    """Stage 1: "fixed" weights alone, or "hypervolume": step sizes follow what each policy's last measurement added to
    the front (see `rlsuite.multi_objective.dynamic_weights`)."""
    divisions: int = 5
    """Steps of the grid of weights of stage 1: M = C(divisions + K - 1, K - 1) policies; 1 gives the K unit vectors."""
    init_fraction: float = 2 / 3
    """Share of the steps that stage 1 takes, in (0, 1]; 1 leaves stage 2 out."""
    n_select: int = 5
    """N, members that are extended at a time; at least 1."""
    extension_updates: int = 20
    """K', updates of each extension; at least 1."""
    extension_learning_rate: float = 3e-4
    """Adam's step size in stage 2."""
    beta: float = 0.9
    """Share of the parent's return that the other goals must keep, in (0, 1)."""
    barrier_t: float = 20.0
    """t, sharpness of the logarithmic barrier; above 0. Larger is closer to the hard constraint."""
    barrier_floor: float = 0.01
    """Margin, as a share of the parent's return, below which the barrier goes on as a straight line."""
    eval_interval: int = 10
    """Updates between two measurements of stage 1; at least 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        inf = float("inf")
        counts = ("divisions", "n_select", "extension_updates", "eval_interval")
        check_range(self, **dict.fromkeys(counts, (1, inf)))
        check_range(self, init_fraction=(1e-9, 1), beta=(1e-9, 1 - 1e-9))
        check_range(self, barrier_t=(1e-9, inf), barrier_floor=(1e-9, inf))
        check_choices(self, mode=("paper", "repo"), weighting=("fixed", "hypervolume"))
        check_schedule(self, "extension_learning_rate")


@dataclass(frozen=True)
class ReleaseBarrier:
    """The barrier of the authors' release (`mode="repo"`): -mean_j,n log(max(clip(rho) R_j - beta R_j, 0.001)) / t.

    R_j is the minibatch's mean return of objective j, scaled. A further loss of `stacked_ppo_loss`.
    """

    beta: float
    t: float
    clip_range: float

    def loss(self, ratio: Tensor, batch: StackedBatch) -> Tensor:
        """Losses [P] at ratios [P, n]."""
        returns = batch.return_.mean(1, keepdim=True)
        clipped = ratio.clamp(1 - self.clip_range, 1 + self.clip_range)
        margin = clipped[..., None] * returns - self.beta * returns
        return -margin.clamp(min=0.001).log().mean((1, 2)) / self.t

    def grad(self, ratio: np.ndarray, batch: StackedBatch) -> tuple[np.ndarray, np.ndarray]:
        """Losses [P], and their derivatives [P, n] by the log-probabilities, in NumPy."""
        returns = batch.return_.mean(1, keepdims=True)
        clipped = np.minimum(np.maximum(ratio, 1 - self.clip_range), 1 + self.clip_range)
        margin = clipped[..., None] * returns - self.beta * returns
        loss = -np.log(np.maximum(margin, 0.001)).mean((1, 2)) / self.t
        free = (margin > 0.001) & (clipped == ratio)[..., None]
        slope = np.where(free, returns / np.where(free, margin, 1.0), 0.0).sum(2)
        return loss, -ratio * slope / (self.t * ratio.shape[1] * returns.shape[2])


def barrier_weights(
    returns: np.ndarray, threshold: np.ndarray, scale: np.ndarray, target: np.ndarray, *, t: float, floor: float
) -> np.ndarray:
    """Weights [P, K] of the objectives' advantages in the ascent direction of the barrier problem.

    1 / s_l of the target, phi'(m_j) / (t s_j) of the others with m_j = (returns_j - threshold_j) / s_j and phi' =
    1 / max(m, floor): the derivative of G_l / s_l + 1/t sum_j phi(m_j) by each G.

    Args:
        returns: [P, K], current ones.
        threshold: [P, K].
        scale: s [P, K], above 0, in the units of returns.
        target: l [P], the objective that each policy is to raise.
        t: sharpness.
        floor: margin below which phi goes on as a straight line.
    """
    weights = 1.0 / (t * scale * np.maximum((returns - threshold) / scale, floor))
    rows = np.arange(len(target))
    weights[rows, target] = 1.0 / scale[rows, target]
    return weights


class Search(Stock):
    """Where the search stands: stage, counters, and what each of the P policies is to do (`Stock` has further ones).

    Attributes:
        stage: 1 or 2.
        updates: of the running stage 1 or round of stage 2.
        round: of stage 2, from 1 on.
        direction: goal that a chained round (`mode="repo"`) is at.
        each: E, environments of a policy.
        weights: of the scalarised advantage in stage 1, [P, K].
        target: goal to raise in stage 2, [P]; -1 in stage 1.
        threshold: b [P, K].
        scale: s [P, K].
        returns: G [P, K], as last measured.
        horizon: H [P], as last measured.
        rates: learning rates [P, 1].
        multiplier: of the learning rates in stage 1, [P, 1].
        extended: objective vectors that were extended already, [*, K].
    """

    counters = ("stage", "updates", "round", "direction", "each", "born", "eval_steps")
    arrays = (
        *("reference", "extended", "weights", "target", "parent"),
        *("threshold", "scale", "returns", "horizon", "rates", "multiplier"),
    )

    def __init__(self, weights: np.ndarray) -> None:
        policies, objectives = weights.shape
        self.stage, self.updates, self.round, self.direction = 1, 0, 0, 0
        self.each, self.born, self.eval_steps = 1, 0, 0
        self.reference = np.full(objectives, np.nan)
        self.extended = np.zeros((0, objectives))
        self.begin(weights, np.full(policies, -1), np.full(policies, -1))

    def begin(self, weights: np.ndarray, target: np.ndarray, parent: np.ndarray) -> None:
        """Give P policies something to do; thresholds and the like are zero until they are set."""
        self.weights, self.target, self.parent = weights, target, parent
        self.threshold, self.returns = np.zeros_like(weights), np.zeros_like(weights)
        self.scale, self.horizon = np.ones_like(weights), np.ones(len(weights))
        self.rates, self.multiplier = np.zeros((len(weights), 1)), np.ones((len(weights), 1))


class CMORL(FrontAgent):
    """Finds a set of policies along the Pareto front; see the module, `FrontAgent` and `CMORLConfig`.

    `members()` are the policies found, `front` their measured returns, and `predict(obs, weights=...)` plays the one
    with the largest weighted return; without weights, with equal ones.

    Example:
        >>> from rlsuite import CMORL
        >>> model = CMORL("rlsuite/DeepSeaTreasure-v0", num_envs=6, n_steps=64, eval_episodes=1).learn(2_000)
        >>> action, _ = model.predict(model.observation_space.sample(), weights=(0.3, 0.7))
    """

    config_class = CMORLConfig
    config: CMORLConfig
    stored: ClassVar = FrontAgent.stored | {"divisions": "policies", "mode": "search"}
    unbounded: ClassVar = frozenset({"search/reference"})

    def first_policies(self, objectives: int) -> int:
        """M, the weights of stage 1."""
        return len(weight_grid(objectives, self.config.divisions))

    def build(self) -> Brain:
        """Make M actor-critics, their normalisers and optimiser, and an empty set."""
        brain = self.set_up(self.config)
        self.search = Search(weight_grid(self.objectives, self.config.divisions))
        self.search.each = max(1, self.num_envs // self.team.size)
        return brain

    def further_state(self) -> dict[str, Stateful]:
        """Where the search stands."""
        return {"search": self.search}

    def train(self, run: Session) -> None:
        """One update is a rollout of all P policies and `n_epochs` over it."""
        config, search = self.config, self.search
        init = config.init_fraction * run.total
        schedule = parse_schedule(config.learning_rate)
        release = ReleaseBarrier(config.beta, config.barrier_t, config.clip_range) if config.mode == "repo" else None
        while not run.done:
            if search.stage == 2 and search.updates == config.extension_updates:
                self._next_round()
            runner, actor = self.start_runner(), self.team.actor(self.num_envs)
            if search.stage == 1:
                search.rates = schedule(1.0 - self.num_timesteps / init) * search.multiplier
            steps = -(-config.n_steps * search.each * self.team.size // self.num_envs)
            rollout = run.collect(actor, runner, steps, self.generator)
            if rollout is None:
                return
            extra = release if search.stage == 2 else None
            metrics = self.team.update(rollout, actor, search.rates, partial(self._weights, actor), extra)
            search.updates += 1
            last = search.stage == 1 and self.num_timesteps >= min(init, run.total)
            if search.stage == 2 or last or search.updates % config.eval_interval == 0:
                self._measure(actor)
            self.n_updates += config.n_epochs
            metrics |= self.progress(search) | {"stage": search.stage}
            run.update_end({f"train/{name}": value for name, value in metrics.items()}, runner.stats)
            if last:
                self.warn_below(search.reference)
            if last and config.init_fraction < 1:
                search.stage, search.updates = 2, config.extension_updates

    def _weights(self, actor: PopulationActor, batch: StackedBatch, advantage: Tensor) -> np.ndarray:
        """Weights [P, K] of the objectives' advantages in an epoch."""
        search, config = self.search, self.config
        if search.stage == 1:
            return search.weights
        if config.mode == "repo":
            return np.eye(self.objectives)[search.target]
        returns = search.returns + search.horizon[:, None] * self.team.gained(batch, advantage, actor)
        given = search.threshold, search.scale, search.target
        return barrier_weights(returns, *given, t=config.barrier_t, floor=config.barrier_floor)

    def _measure(self, actor: PopulationActor) -> None:
        """Measure all policies, and let the set take in what is not dominated."""
        config, search = self.config, self.search
        found, records = self.take_stock(actor, search, search.rates, stage=search.stage, goals=search.target)
        search.returns, search.horizon = found.objectives, found.horizon
        if config.weighting == "hypervolume" and search.stage == 1:
            search.multiplier = scaled_meta_reward(self.front, found.objectives, search.reference)[:, None]
        limits: dict[str, Any] = {"size": config.archive_size, "rule": config.selection, "reference": search.reference}
        # as the release: what is worse than the reference point in any goal is thrown away
        self.admit(records, **limits, above=config.mode == "repo")

    def _next_round(self) -> None:
        """Begin to extend other members, or (`mode="repo"`) the next goal of the same ones."""
        search, config, objectives = self.search, self.config, self.objectives
        search.updates = 0
        if config.mode == "repo" and search.round and search.direction < objectives - 1:
            search.direction += 1
            search.target = np.full(self.team.size, search.direction)
            return
        search.round, search.direction = search.round + 1, 0
        parents = self._parents()
        target = np.zeros(len(parents), np.int64)
        if config.mode == "paper":
            parents, target = np.repeat(parents, objectives), np.tile(np.arange(objectives), len(parents))
        records = {name: rows[torch.from_numpy(parents)] for name, rows in self.archive.rows.items()}
        points = records["objectives"].cpu().numpy()
        search.begin(np.zeros_like(points), target, records["origin"][:, 0].cpu().numpy())
        search.returns, search.horizon = points.copy(), records["horizon"][:, 0].cpu().numpy()
        # below every parent, whatever z is: else the constraints would refuse the parents themselves
        floor = np.minimum(search.reference, self.front.min(0))
        search.threshold = floor + config.beta * (points - floor)
        span = np.maximum(np.ptp(self.front, axis=0), 1e-6)
        search.scale = np.maximum(points - floor, 1e-3 * span)
        fixed = np.full((len(parents), 1), config.extension_learning_rate)
        search.rates = records["rate"].cpu().numpy().copy() if config.mode == "repo" else fixed
        self.populate(records, search.each)

    def _parents(self) -> np.ndarray:
        """Indices of the members to extend: the farthest from others that were not extended before."""
        search, config = self.search, self.config
        count, rule, points = config.n_select, config.selection, self.front
        if self.env_id is None:  # what is there must be shared out
            each = 1 if config.mode == "repo" else self.objectives
            count = next((n for n in range(count, 0, -1) if self.num_envs % (n * each) == 0), 0)
        if not count:
            raise ValueError(
                f"the environment given has {self.num_envs} copies, which stage 2 cannot share among "
                f"{self.objectives} goals of any number of policies up to n_select={config.n_select}; give the "
                "environment's id, or a multiple"
            )
        skips = search.extended, search.extended[:0]  # when all were extended, another cycle begins
        for skip in skips:
            chosen: Any = rule
            found = select_sparse(points, count, rule=chosen, skip=skip, reference=search.reference).indices
            if len(found) and (self.env_id is not None or len(found) == count):
                break
        else:  # fewer members than must share an environment object
            found = np.resize(np.arange(len(points)), count)
        search.extended = np.concatenate([skip, points[found]])
        return np.asarray(found)
