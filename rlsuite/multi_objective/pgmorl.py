"""PGMORL: prediction-guided multi-objective reinforcement learning (Xu et al., ICML 2020), for 2 and 3 objectives.

Policies of fixed weights are trained together, and what training with some weights does to the returns of a policy is
learnt on the way, so that the next generation can be chosen for the front that it is predicted to give:

    warm-up       for w in a grid of M weights, together:   PPO on the advantage  w . A
    generations   the population: of each direction, the policies that lie farthest along it (performance buffers)
                  fit, to the gains seen so far of policies nearby, a model of the gain that weights w give
                  choose M pairs (policy, w), greedily the best for hypervolume - alpha * sparsity
                  train each for `generation_updates`, measure, enter into the population and into the set

The model, the choice and the buffers are in `rlsuite.multi_objective.prediction`, which also says what of them differs
from the authors' release. What differs here: gains are recorded every `generation_updates` of the warm-up, too, since
the release's single record of a longer warm-up is on another scale; a generation's optimisers begin anew; where there
are fewer candidates than M, the best are trained twice, with other samples.

Letters: P = M policies trained together, E environments of each, K objectives, R records of gains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from rlsuite.core.brain import Brain
from rlsuite.core.config import check_range
from rlsuite.core.members import PolicySet
from rlsuite.core.population_actor import PopulationActor
from rlsuite.core.schedules import parse_schedule
from rlsuite.core.session import Session
from rlsuite.core.stateful import Stateful
from rlsuite.multi_objective.front_agent import FrontAgent, Stock
from rlsuite.multi_objective.prediction import Experience, performance_buffers, select_guided
from rlsuite.multi_objective.stacked_ppo import TeamConfig
from rlsuite.multi_objective.weights import weight_grid


@dataclass(frozen=True)
class PGMORLConfig(TeamConfig):
    """Hyper-parameters of PGMORL; the defaults are the release's for its half-cheetah, with 4 environments each.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    divisions: int = 5
    """Steps of the grid of weights: M = C(divisions + K - 1, K - 1) policies train together."""
    warmup_updates: int = 80
    """Updates of the warm-up; at least 1, rounded up to whole generations."""
    generation_updates: int = 20
    """Updates of a generation; at least 1."""
    alpha: float = 1.0
    """How much sparsity costs in the choice; at least 0, in the objectives' units (see `guided_pairs`)."""
    num_weights: int = 7
    """Candidate weights of each policy; at least 2."""
    bins: int = 100
    """Directions of the performance buffers; at least 2 (20 for three objectives)."""
    bin_size: int = 2
    """Policies of each direction; at least 1."""
    n_steps: int = 2048
    eval_gamma: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        inf = float("inf")
        counts = ("divisions", "warmup_updates", "generation_updates", "bin_size")
        check_range(self, **dict.fromkeys(counts, (1, inf)), num_weights=(2, inf), bins=(2, inf), alpha=(0, inf))


class Guide(Stock):
    """What the choice of the next generation knows; `Stock` has further counters.

    Attributes:
        updates: of the running generation.
        generation: 0 in the warm-up.
        weights: that each policy is trained with, [P, K].
        returns: G [P, K], as last measured.
        before: returns [R, K] before training, of all records.
        trained: weights [R, K].
        gains: [R, K].
    """

    counters = ("updates", "generation", "born", "eval_steps")
    arrays = ("reference", "weights", "returns", "parent", "before", "trained", "gains")

    def __init__(self, weights: np.ndarray) -> None:
        self.updates, self.generation, self.born, self.eval_steps = 0, 0, 0, 0
        self.reference = np.full(weights.shape[1], np.nan)
        self.weights, self.returns = weights, np.zeros_like(weights)
        self.parent = np.full(len(weights), -1)
        self.before = self.trained = self.gains = np.zeros((0, weights.shape[1]))

    @property
    def experience(self) -> Experience:
        """The records of gains."""
        return Experience(self.before, self.trained, self.gains)

    def learn(self, after: np.ndarray) -> None:
        """Record what the weights did since the last measurement, now that returns are `after` [P, K]."""
        found = self.experience.add(self.returns, self.weights, after)
        self.before, self.trained, self.gains = found.before, found.weights, found.gains


class PGMORL(FrontAgent):
    """Finds a set of policies along the Pareto front; see the module, `FrontAgent` and `PGMORLConfig`.

    Example:
        >>> from rlsuite import PGMORL
        >>> model = PGMORL("rlsuite/DeepSeaTreasure-v0", num_envs=6, n_steps=64, warmup_updates=2, generation_updates=1)
        >>> action, _ = model.learn(2_000).predict(model.observation_space.sample(), weights=(0.3, 0.7))
    """

    config_class = PGMORLConfig
    config: PGMORLConfig
    stored: ClassVar = FrontAgent.stored | {"divisions": "policies"}
    unbounded: ClassVar = frozenset({"guide/reference"})

    def first_policies(self, objectives: int) -> int:
        """M, the weights of the warm-up."""
        return len(weight_grid(objectives, self.config.divisions))

    def build(self) -> Brain:
        """Make M actor-critics, their normalisers and optimiser, an empty population and an empty set."""
        brain = self.set_up(self.config)
        if self.objectives > 3:
            raise ValueError(f"PGMORL is defined for 2 or 3 objectives, not {self.objectives}; use CMORL")
        self.guide = Guide(weight_grid(self.objectives, self.config.divisions))
        fields = self.archive.fields | {"weights": ((self.objectives,), torch.float64)}
        self.buffer = PolicySet(fields, self.device)
        return brain

    def further_state(self) -> dict[str, Stateful]:
        """What the choice knows, and the population it chooses from."""
        return {"guide": self.guide, "population": self.buffer}

    def train(self, run: Session) -> None:
        """One update is a rollout of all P policies and `n_epochs` over it."""
        config, guide = self.config, self.guide
        schedule = parse_schedule(config.learning_rate)
        while not run.done:
            runner, actor = self.start_runner(), self.team.actor(self.num_envs)
            if not guide.born:  # what training starts from
                self._measure(actor, 0.0)
            elif guide.updates >= (config.generation_updates if guide.generation else config.warmup_updates):
                self._next_generation()
                continue
            rate = schedule(run.progress_remaining)
            rollout = run.collect(actor, runner, config.n_steps, self.generator)
            if rollout is None:
                return
            rates = np.full((self.team.size, 1), rate)
            metrics = self.team.update(rollout, actor, rates, lambda *_: guide.weights)
            guide.updates += 1
            if guide.updates % config.generation_updates == 0 or run.done:
                self._measure(actor, rate)
            if run.done:
                self.warn_below(guide.reference)
            self.n_updates += config.n_epochs
            metrics |= self.progress(guide) | {"generation": guide.generation}
            run.update_end({f"train/{name}": value for name, value in metrics.items()}, runner.stats)

    def _measure(self, actor: PopulationActor, rate: float) -> None:
        """Measure all policies: record gains, enter into population and set."""
        config, guide, policies = self.config, self.guide, self.team.size
        rates, goals, first = np.full((policies, 1), rate), np.full(policies, -1), not guide.born
        found, records = self.take_stock(actor, guide, rates, stage=guide.generation, goals=goals)
        if not first:
            guide.learn(found.objectives)
        guide.returns = found.objectives
        self.buffer.add(records | {"weights": torch.from_numpy(guide.weights)})
        points = self.buffer["objectives"].cpu().numpy()
        kept = performance_buffers(points, guide.reference, bins=config.bins, size=config.bin_size)
        if len(kept):  # else none lies above the reference point yet, and all stay
            self.buffer.keep(kept)
        self.admit(records, size=config.archive_size, rule=config.selection, reference=guide.reference)

    def _next_generation(self) -> None:
        """Choose the pairs that are predicted to help the front most, and begin to train them."""
        config, guide = self.config, self.guide
        points = self.buffer["objectives"].cpu().numpy()
        chosen = select_guided(
            points,
            self.buffer["weights"].cpu().numpy(),
            self.front,
            guide.experience,
            self.team.size,
            reference=guide.reference,
            alpha=config.alpha,
            num_weights=config.num_weights,
        )
        index = np.resize(np.arange(len(chosen.policies)), self.team.size)
        policies = chosen.policies[index]
        records = {name: rows[torch.from_numpy(policies)] for name, rows in self.buffer.rows.items()}
        guide.generation, guide.updates = guide.generation + 1, 0
        guide.weights, guide.returns = chosen.weights[index], points[policies]
        guide.parent = records["origin"][:, 0].cpu().numpy().copy()
        self.populate(records, self.num_envs // self.team.size)
