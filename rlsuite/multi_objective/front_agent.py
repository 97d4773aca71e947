"""What algorithms share that find a set of policies: the set, its members, who plays for which weights, measuring.

An algorithm sets up its team and calls `set_up` in `build`, and `admit` whenever it has measured the team. Letters: P
policies trained together, C members of the set, K objectives, B environments.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from rlsuite.core.agent import Agent, EnvLike
from rlsuite.core.brain import Brain, sample_or_mode
from rlsuite.core.members import Member, PolicySet
from rlsuite.core.population import Population, unflatten
from rlsuite.core.population_actor import PopulationActor
from rlsuite.core.rng import EPISODES, EVALUATION, MEASURE, env_seed, own_seed
from rlsuite.core.stacked_kernel import StackedKernel
from rlsuite.core.stacked_norm import StackedNorm, single_norm
from rlsuite.core.stateful import GeneratorState, Ledger, Stateful
from rlsuite.core.vector import Stepper, count_objectives, make_env
from rlsuite.multi_objective.archive import nadir_reference, nondominated, smp, truncate
from rlsuite.multi_objective.indicators import hypervolume
from rlsuite.multi_objective.measuring import Measured, measure
from rlsuite.multi_objective.stacked_ppo import Team
from rlsuite.multi_objective.weights import check_weights

__all__ = ["FrontAgent", "Stock"]


MOST_POLICIES = 1_000
"""Most policies that begin together."""


class Stock(Ledger):
    """What every search for a front counts.

    Attributes:
        born: policies measured so far; the next one's number.
        eval_steps: environment steps of measurements, which `num_timesteps` leaves out.
        reference: z [K]; NaN until it is known.
        parent: number of the policy that each of the P policies grew from, [P]; -1 without.
    """

    born: int
    eval_steps: int
    reference: np.ndarray
    parent: np.ndarray


class FrontAgent(Agent):
    """An agent that finds a set of policies; see `rlsuite.core.agent.Agent` for the arguments.

    `num_envs` counts the environments of all policies together, and is rounded up to a multiple of them. Where the
    number of policies changes, environments given by their id follow; those given as an object are shared out anew.
    `num_timesteps` counts the steps of training, not those of measurements.

    Attributes:
        objectives: K.
        team: the policies that are trained.
        archive: the members, with fields `parameters`, statistics, `objectives` [K] (mean returns, discounted by
            `eval_gamma`), `undiscounted` [K], `spread` [K] (standard deviation over episodes), `horizon` [1] (mean sum
            of an episode's discounts), `rate` [1] (learning rate), `origin` [4] (number, stage, number of the parent,
            goal; -1 without).
    """

    vector_reward = True
    makes_envs = True
    further_space = "reward"
    stored: ClassVar[dict[str, str]] = Agent.stored
    objectives: int
    team: Team

    # What an algorithm fills in -------------------------------------------------------------------------------------

    def first_policies(self, objectives: int) -> int:
        """Number of policies that training begins with."""
        raise NotImplementedError

    def further_state(self) -> dict[str, Stateful]:
        """What a checkpoint holds besides team and set."""
        raise NotImplementedError

    # Building -------------------------------------------------------------------------------------------------------

    def _make_env(self, env: EnvLike) -> VectorEnv[Any, Any, Any]:
        venv = super()._make_env(env)
        objectives = count_objectives(venv)
        policies = 1 if objectives is None else self.first_policies(objectives)
        policies = self.team.size if getattr(self, "_built", False) else policies
        if venv.num_envs % policies == 0:
            return venv
        if not isinstance(env, str):
            raise ValueError(
                f"the environment given has {venv.num_envs} copies, which {policies} policies cannot share; give a "
                f"multiple of {policies}, or the environment's id"
            )
        venv.close()
        self.num_envs = -(-venv.num_envs // policies) * policies
        return super()._make_env(env)

    def _spaces(self, venv: VectorEnv[Any, Any, Any]) -> tuple[gym.Space[Any], ...]:
        rewards = gym.spaces.Box(-np.inf, np.inf, (count_objectives(venv) or 1,), np.float32)
        return venv.single_observation_space, venv.single_action_space, rewards

    def set_up(self, config: Any) -> Brain:
        """Make the team and an empty set.

        Raises:
            ValueError: fewer than two objectives, or a reference point of another length.
        """
        if len(self.spaces) != 3 or not self.spaces[2].shape:
            raise ValueError("spaces must be those of observations, actions and rewards [K]")
        self.objectives = objectives = int(self.spaces[2].shape[0])
        if objectives < 2:
            raise ValueError("the environment pays one objective; use an algorithm for one, PPO say")
        if config.reference is not None and len(config.reference) != objectives:
            raise ValueError(f"reference={config.reference} must have {objectives} entries, one for each objective")
        policies = self.first_policies(objectives)
        if policies > MOST_POLICIES:
            raise ValueError(
                f"divisions={config.divisions} makes {policies:,} policies for {objectives} objectives, which train "
                f"together, above {MOST_POLICIES:,}; take fewer divisions (1 makes one for each objective)"
            )
        each = max(1, self.num_envs // policies)
        if config.n_steps * each < 2:
            raise ValueError(
                f"n_steps={config.n_steps} with {each} environment for each of {policies} policies is one sample, of "
                "which no advantage can be normalised; raise n_steps or num_envs"
            )
        self.team = Team(self, config, policies, each * policies, objectives)
        vector = ((objectives,), torch.float64)
        fields = self.team.fields() | dict.fromkeys(("objectives", "undiscounted", "spread"), vector)
        fields |= dict.fromkeys(("horizon", "rate"), ((1,), torch.float64)) | {"origin": ((4,), torch.int64)}
        self.archive = PolicySet(fields, self.device)
        self._found: list[Member] | None = None
        self._volume: float | None = None
        self._judge: Stepper | None = None
        return Brain(
            policy=self.team.template,
            act=partial(sample_or_mode, self.team.template, self.generator),
            state=self._state,
            obs_norm=self.team.obs_norm,  # type: ignore[arg-type]  # a stack of them
            return_norm=self.team.reward_norm,  # type: ignore[arg-type]
            members=self._members,
            check_envs=self._check_envs,
        )

    def _state(self) -> dict[str, Stateful]:
        generator: dict[str, Stateful] = {"generator": GeneratorState(self.generator)}
        return self.team.state() | generator | {"archive": self.archive} | self.further_state()

    def _check_envs(self, num_envs: int) -> None:
        if num_envs % (size := self.team.size):
            raise ValueError(f"num_envs={num_envs} cannot be shared out among {size} policies; use a multiple")

    # The set --------------------------------------------------------------------------------------------------------

    @property
    def front(self) -> np.ndarray:
        """Mean discounted returns [C, K] of the members, as they were measured when they joined."""
        return self.archive["objectives"].cpu().numpy()

    def progress(self, stock: Stock) -> dict[str, float]:
        """What an update logs of the set: its size, its hypervolume, and the steps of measurements."""
        found = {"policies": float(len(self.archive)), "eval_steps": float(stock.eval_steps)}
        if len(self.archive):
            if self._volume is None:
                self._volume = hypervolume(self.front, stock.reference, allow_zero=True).value
            found["hypervolume"] = self._volume
        return found

    def warn_below(self, reference: np.ndarray) -> None:
        """Say so if no member is above the reference point in every objective, so that all hypervolumes are 0."""
        if not (self.front > reference).all(1).any():
            point, best = (", ".join(f"{x:.6g}" for x in values) for values in (reference, self.front.max(0)))
            lower = ", ".join(f"{x:.6g}" for x in nadir_reference(self.front))
            warnings.warn(
                f"no policy is above the reference point ({point}) in every objective (their best are {best}): "
                f"hypervolumes are 0; a lower one, such as reference=({lower}), would tell policies apart",
                stacklevel=2,
            )

    def _members(self) -> Sequence[Member]:
        if self._found is None or len(self._found) != len(self.archive):
            self._found = [self._member(i) for i in range(len(self.archive))]
        return self._found

    def _member(self, index: int) -> Member:
        row = self.archive.row(index)
        norm = None
        if self.team.obs_norm is not None:
            norm = single_norm({name: row[f"obs_{name}"] for name in ("mean", "m2", "count")}, self.device)
        policy = unflatten(self.team.template, row["parameters"])
        spaces = self.observation_space, self.action_space
        name = f"policy {int(row['origin'][0])}"
        return Member(policy, norm, *spaces, self.spec, self.device, self.generator, name)

    def select(self, weights: Sequence[float] | np.ndarray | None = None) -> int:
        """Index of the member with the largest weights . return; the smaller one of equals.

        Args:
            weights: [K], not negative, with sum 1; None for equal ones.

        Raises:
            ValueError: no such weights, or no members yet.
        """
        if not len(self.archive):
            raise ValueError("there are no policies yet; call learn(...) first")
        equal = np.full(self.objectives, 1 / self.objectives)
        chosen = equal if weights is None else check_weights(weights, self.objectives)
        if chosen.ndim != 1:
            raise ValueError(f"weights has shape {chosen.shape}; one policy plays for one row of {self.objectives}")
        return int(smp(self.front, chosen))

    def preferring(self, weights: Sequence[float] | np.ndarray) -> Member:
        """The member that `select(weights)` chooses."""
        return self._members()[self.select(weights)]

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: Any = None,
        *,
        weights: Sequence[float] | np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Actions of the member that `select(weights)` chooses; see `Agent.predict`.

        Raises:
            ValueError: as there, or as `select` does.
        """
        member = self._members()[self.select(weights)]
        return member.predict(observation, state, episode_start, deterministic, action_masks)

    def measure_members(
        self,
        *,
        episodes: int,
        gamma: float,
        seed: int = 0,
        deterministic: bool = True,
        venv: VectorEnv[Any, Any, Any] | None = None,
    ) -> Measured:
        """Play whole episodes of every member again, all members at once, on episodes that chose none of them.

        What a member was worth when it joined flatters it: of many policies, those that were lucky in a few episodes
        are kept. Fresh episodes do not.

        Args:
            episodes: E of each of the C members, at least 1.
            gamma: discount in [0, 1].
            seed: of episodes and sampled actions; training and its measurements have other streams.
            deterministic: the policies' modes, or samples.
            venv: environments with SAME_STEP autoreset, a multiple of C; None makes them by the id.

        Returns:
            Returns [C, E, K], in the order of `members()`.

        Raises:
            ValueError: no members yet, no episodes, no discount, environments that cannot be shared out, or as
                `measure` does.
        """
        size = len(self.archive)
        if not size:
            raise ValueError("there are no policies yet; call learn(...) first")
        if episodes < 1:
            raise ValueError(f"episodes is {episodes}; play at least 1")
        if not 0 <= gamma <= 1:
            raise ValueError(f"gamma is {gamma}; a discount lies in [0, 1]")
        if venv is None and self.env_id is None:
            raise ValueError("the environment was given as an object; give venv, a vector of its copies")
        if venv is not None and venv.num_envs % size:
            raise ValueError(f"venv has {venv.num_envs} copies, which {size} members cannot share; give a multiple")
        rows = self.archive.rows
        population = Population(self.team.template, size)
        population.data.copy_(rows["parameters"])
        norm = None
        if self.team.obs_norm is not None:
            norm = StackedNorm(size, self.obs_size, device=self.device)
            norm.load_state_dict({name: rows[f"obs_{name}"] for name in ("mean", "m2", "count")})
        generator = None
        if not deterministic:
            generator = torch.Generator(self.device).manual_seed(own_seed(seed, EVALUATION))
        made = make_env(str(self.env_id), size * episodes, self.device, self.env_kwargs) if venv is None else venv
        try:
            actor = PopulationActor(population, made.num_envs, StackedKernel.covering(population))
            stepper = Stepper(made, self.device, vector_reward=True)
            first = env_seed(seed, EPISODES)
            found = measure(actor, norm, stepper, episodes=episodes, gamma=gamma, seed=first, generator=generator)
        finally:
            if venv is None:
                made.close()
        return found

    # Measuring and admitting ------------------------------------------------------------------------------------------

    def measured(self, actor: PopulationActor, *, episodes: int, gamma: float) -> Measured:
        """Play `episodes` whole episodes of every policy of the team, always the same ones."""
        if self._judge is None or self._judge.num_envs % self.team.size:
            if self.env_id is None:
                venv = deepcopy(self.venv)
            else:
                venv = make_env(self.env_id, self.team.size * episodes, self.device, self.env_kwargs)
            self._judge = Stepper(venv, self.device, vector_reward=True)
        judge = PopulationActor(self.team.population, self._judge.num_envs, actor.kernel)
        seed = env_seed(self.seed, MEASURE)
        return measure(judge, self.team.obs_norm, self._judge, episodes=episodes, gamma=gamma, seed=seed)

    def take_stock(
        self, actor: PopulationActor, stock: Stock, rates: np.ndarray, *, stage: int, goals: np.ndarray
    ) -> tuple[Measured, dict[str, Tensor]]:
        """Measure all policies of the team and number them; the first measurement may set the reference point.

        Args:
            actor: the team's.
            stock: what is counted, moved on.
            rates: learning rates [P, 1].
            stage: of the search.
            goals: objective that each policy was to raise, [P]; -1 without.

        Returns:
            Their returns, and their records.
        """
        config, policies = self.config, self.team.size
        found = self.measured(actor, episodes=config.eval_episodes, gamma=config.eval_gamma)
        stock.eval_steps += found.steps
        if np.isnan(stock.reference).any():
            given = config.reference
            stock.reference = nadir_reference(found.objectives) if given is None else np.array(given, np.float64)
        number = stock.born + np.arange(policies)
        stock.born += policies
        origin = np.stack([number, np.full(policies, stage), stock.parent, goals], 1)
        return found, self.records(found, origin, rates)

    def records(self, found: Measured, origin: np.ndarray, rates: np.ndarray) -> dict[str, Tensor]:
        """What a set is to know of each policy of the team.

        Args:
            found: their returns.
            origin: [P, 4], see `archive`.
            rates: their learning rates [P, 1].
        """
        arrays = {
            "objectives": found.objectives,
            "undiscounted": found.undiscounted.mean(1),
            "spread": found.discounted.std(1),
            "horizon": found.horizon[:, None],
            "rate": rates,
            "origin": origin.astype(np.int64),
        }
        records = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        return records | self.team.records()

    def admit(
        self, records: dict[str, Tensor], *, size: int, rule: Any, reference: np.ndarray, above: bool = False
    ) -> None:
        """Let the set take in policies, and drop what is dominated or too much.

        Args:
            records: of them.
            size: most members.
            rule: which members stay of too many; see `rlsuite.multi_objective.archive.truncate`.
            reference: z [K].
            above: drop what is below the reference point in any objective.
        """
        self.archive.add(records)
        points = self.front
        keep = nondominated(points)
        if above:
            keep = keep[(points[keep] >= reference).all(1)]
        if len(keep) > size:
            keep = keep[truncate(points[keep], size, rule=rule, reference=reference)]
        self.archive.keep(keep)
        self._found = self._volume = None

    def populate(self, records: dict[str, Tensor], each: int) -> None:
        """Train copies of members from now on, each in `each` environments where their number can be chosen."""
        policies = len(records["parameters"])
        if self.env_id is not None and policies * each != self.num_envs:
            self.venv.close()
            self.team.population.set_size(policies)  # environments are shared out among so many
            self.num_envs = policies * each
            self.stepper = Stepper(self._make_env(self.env_id), self.device, vector_reward=True)
        self.team.populate(records, self.num_envs)
        if self._judge is not None:
            self._judge.venv.close()
        self._judge, self.runner = None, None
