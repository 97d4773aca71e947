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
returns are negative; phi is the logarithm, continued by a straight line below `barrier_floor`, so that a policy outside
the constraints is pulled back; G is measured with the policies' modes, as members are, and A by the critic.

`mode="repo"` repeats the authors' release instead: its barrier per sample, clip(rho) R_j - beta R_j with R_j the mean
return of the minibatch, has no parent in it and no effect where R_j < 0; all goals stay in it; goals are chained, each
from the end of the one before; learning rates go on from where stage 1 left the parent's.

Letters: P policies trained together (M in stage 1; parents times goals in stage 2), E environments of each, n samples
of each, K objectives.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from rlsuite.core.agent import Agent, EnvLike
from rlsuite.core.brain import Brain, sample_or_mode
from rlsuite.core.config import check_choices, check_range, check_schedule, check_types
from rlsuite.core.members import Member, PolicySet
from rlsuite.core.networks import ActorCritic, FlatParameters
from rlsuite.core.optim import check_update
from rlsuite.core.population import (
    Population,
    PopulationActor,
    StackedAdam,
    StackedBatch,
    StackedKernel,
    split_rows,
    unflatten,
)
from rlsuite.core.returns import gae
from rlsuite.core.rng import MEASURE, env_seed
from rlsuite.core.schedules import parse_schedule
from rlsuite.core.session import Session
from rlsuite.core.stacked_norm import StackedNorm, StackedReturnNorm, single_norm
from rlsuite.core.stateful import GeneratorState, Stateful
from rlsuite.core.types import HeadGrads, Heads, Rollout
from rlsuite.core.vector import Stepper, count_objectives, make_env
from rlsuite.multi_objective.archive import nadir_reference, nondominated, select_sparse, smp, truncate
from rlsuite.multi_objective.measuring import Measured, measure
from rlsuite.multi_objective.weights import check_weights, weight_grid


@dataclass(frozen=True)
class CMORLConfig:
    """Hyper-parameters of C-MORL; the defaults are the release's for MuJoCo, with 8 environments for each policy.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    mode: str = "paper"
    """"paper", or "repo" for the release's arithmetic of stage 2; see the module."""
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
    archive_size: int = 100
    """Most members of the set; at least 2."""
    selection: str = "auto"
    """Who is extended, and who leaves a full set: "crowding" distance, hypervolume "contribution", or "auto": crowding
    below 5 objectives, above which most members are ends of some objective and crowding tells little."""
    reference: tuple[float, ...] | None = None
    """z, reference point of hypervolumes and thresholds, [K]; None is the worst return of each objective in the first
    measurement, less a tenth of the range."""
    eval_episodes: int = 5
    """Episodes that measure a policy; at least 1."""
    eval_gamma: float = 0.99
    """Discount of measured returns, in [0, 1]."""
    eval_interval: int = 10
    """Updates between two measurements of stage 1; at least 1."""
    n_steps: int = 512
    """T, steps per environment and rollout; at least 1."""
    batch_size: int = 128
    """Samples per minibatch of each policy; at least 1."""
    n_epochs: int = 10
    """Passes over each rollout; at least 1."""
    learning_rate: float | str = "linear:3e-4"
    """Adam's step size in stage 1, or a schedule over it."""
    gamma: float = 0.995
    """Discount per step in training, in [0, 1]."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation, in [0, 1]."""
    clip_range: float = 0.2
    """Epsilon: the ratio's clip range."""
    clip_range_vf: float | None = 0.2
    """Clip range of a value's change, in scaled return units; None switches it off."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus; at least 0."""
    vf_coef: float = 0.25
    """Weight of the mean squared value error (the release's 0.5 of half of it)."""
    max_grad_norm: float | None = 0.5
    """Largest L2 norm of a policy's gradient; None switches clipping off."""
    normalize_obs: bool = True
    """Scale observations by each policy's running mean and standard deviation, clipped to +-10."""
    net_arch: tuple[int, ...] = (64, 64)
    """Hidden layers of the actor and of the critic (two separate networks)."""
    activation: str = "tanh"
    """tanh, relu, elu or gelu."""
    log_std_init: float = 0.0
    """First logarithm of the Gaussian's standard deviation (independent of the state)."""
    ortho_init: bool = True
    """Orthogonal initialisation; False keeps torch's."""
    backend: str = "auto"
    """numpy (hand-written, CPU), torch (autograd), or auto."""

    def __post_init__(self) -> None:
        check_types(self)
        inf = float("inf")
        counts = ("divisions", "n_select", "extension_updates", "eval_episodes", "eval_interval", "n_steps")
        check_range(self, **dict.fromkeys((*counts, "batch_size", "n_epochs"), (1, inf)))
        check_range(self, **dict.fromkeys(("eval_gamma", "gamma", "gae_lambda"), (0, 1)))
        check_range(self, init_fraction=(1e-9, 1), beta=(1e-9, 1 - 1e-9), archive_size=(2, inf))
        check_range(self, **dict.fromkeys(("barrier_t", "barrier_floor", "clip_range", "clip_range_vf"), (1e-9, inf)))
        check_range(self, ent_coef=(0, inf), vf_coef=(0, inf), max_grad_norm=(1e-9, inf), log_std_init=(-20, 5))
        check_choices(self, mode=("paper", "repo"), selection=("auto", "crowding", "contribution"))
        check_choices(self, backend=("auto", "numpy", "torch"))
        check_schedule(self, "learning_rate", "extension_learning_rate")


# Losses: a sum over policies, so that each has the gradient of its own ------------------------------------------------


def cmorl_loss(
    heads: Heads, batch: StackedBatch, config: CMORLConfig, *, barrier: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """PPO's loss on batch.advantage and a vector critic, for each of P policies: their sum, and metrics.

    Args:
        heads: log_prob [P, n], entropy [P, n] and value [P, n, K] of the current networks.
        batch: minibatches of n samples.
        config: coefficients.
        barrier: add the release's barrier (`mode="repo"`): -mean_j,n log(max(clip(rho) R_j - beta R_j, 0.001)) / t,
            R_j the minibatch's mean return of objective j, scaled.
    """
    ratio = (heads.log_prob - batch.log_prob).exp()
    clipped = ratio.clamp(1 - config.clip_range, 1 + config.clip_range)
    policy_loss = -torch.min(batch.advantage * ratio, batch.advantage * clipped).mean(1)
    error = (heads.value - batch.return_).square()
    if config.clip_range_vf is not None:
        change = (heads.value - batch.value).clamp(-config.clip_range_vf, config.clip_range_vf)
        error = torch.max(error, (batch.value + change - batch.return_).square())
    value_loss = error.mean((1, 2))
    entropy = heads.entropy.mean(1)
    loss = policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy
    if barrier:
        returns = batch.return_.mean(1, keepdim=True)
        margin = clipped[..., None] * returns - config.beta * returns
        loss = loss - margin.clamp(min=0.001).log().mean((1, 2)) / config.barrier_t
    log_ratio = heads.log_prob - batch.log_prob
    metrics = {
        "loss": loss,
        "policy_gradient_loss": policy_loss,
        "value_loss": value_loss,
        "entropy_loss": -entropy,
        "approx_kl": (ratio - 1 - log_ratio).mean(1),
        "clip_fraction": ((ratio - 1).abs() > config.clip_range).float().mean(1),
    }
    return loss.sum(), {name: value.detach() for name, value in metrics.items()}


def cmorl_loss_grad(
    heads: Heads, batch: StackedBatch, config: CMORLConfig, *, barrier: bool = False
) -> tuple[HeadGrads, dict[str, np.ndarray]]:
    """The derivatives of `cmorl_loss` by the heads, and its metrics [P], in NumPy (equal to autograd's by test)."""
    n, eps = batch.advantage.shape[1], config.clip_range
    log_ratio = heads.log_prob - batch.log_prob
    ratio = np.exp(log_ratio)
    clipped = np.minimum(np.maximum(ratio, 1 - eps), 1 + eps)
    gain, bounded = batch.advantage * ratio, batch.advantage * clipped
    flat = gain > bounded  # where the clipped term is the smaller one, the loss does not depend on the ratio
    policy_loss = -np.minimum(gain, bounded).mean(1)
    d_log_prob = np.where(flat, 0.0, gain) * (-1.0 / n)
    error = heads.value - batch.return_
    square = error * error
    if config.clip_range_vf is not None:
        change = heads.value - batch.value
        inside = np.abs(change) <= config.clip_range_vf
        other = batch.value + np.clip(change, -config.clip_range_vf, config.clip_range_vf) - batch.return_
        worse = other * other > square
        error = np.where(worse, other * inside, error)
        square = np.where(worse, other * other, square)
    value_loss = square.mean((1, 2))
    d_value = error * np.float32(2.0 * config.vf_coef / (n * error.shape[2]))
    entropy = heads.entropy.mean(1)
    loss = policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy
    if barrier:
        returns = batch.return_.mean(1, keepdims=True)
        margin = clipped[..., None] * returns - config.beta * returns
        loss = loss - np.log(np.maximum(margin, 0.001)).mean((1, 2)) / config.barrier_t
        free = (margin > 0.001) & (clipped == ratio)[..., None]
        slope = np.where(free, returns / np.where(free, margin, 1.0), 0.0).sum(2)
        d_log_prob -= ratio * slope / (config.barrier_t * n * error.shape[2])
    metrics = {
        "loss": loss,
        "policy_gradient_loss": policy_loss,
        "value_loss": value_loss,
        "entropy_loss": -entropy,
        "approx_kl": (ratio - 1 - log_ratio).mean(1),
        "clip_fraction": (np.abs(ratio - 1) > eps).mean(1),
    }
    return HeadGrads(d_log_prob.astype(np.float32, copy=False), -config.ent_coef / n, d_value), metrics


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


# The search ---------------------------------------------------------------------------------------------------------


class Search:
    """Where the search stands, as a `Stateful`: stage, counters, and what each of the P policies is to do.

    Attributes:
        stage: 1 or 2.
        updates: of the running stage 1 or round of stage 2.
        round: of stage 2, from 1 on.
        direction: goal that a chained round (`mode="repo"`) is at.
        each: E, environments of a policy.
        born: policies measured so far; the next one's number.
        eval_steps: environment steps of measurements, which `num_timesteps` leaves out.
        init_steps: steps of stage 1 at its end; 0 before.
        reference: z [K]; NaN until it is known.
        weights: of the scalarised advantage in stage 1, [P, K].
        target: goal to raise in stage 2, [P]; -1 in stage 1.
        parent: number of the member that each policy grew from, [P]; -1 in stage 1.
        threshold: b [P, K].
        scale: s [P, K].
        returns: G [P, K], as last measured.
        horizon: H [P], as last measured.
        rates: learning rates [P, 1].
        extended: objective vectors that were extended already, [*, K].
    """

    def __init__(self, weights: np.ndarray) -> None:
        policies, objectives = weights.shape
        self.stage, self.updates, self.round, self.direction = 1, 0, 0, 0
        self.each, self.born, self.eval_steps, self.init_steps = 1, 0, 0, 0
        self.reference = np.full(objectives, np.nan)
        self.extended = np.zeros((0, objectives))
        self.begin(weights, np.full(policies, -1), np.full(policies, -1))

    def begin(self, weights: np.ndarray, target: np.ndarray, parent: np.ndarray) -> None:
        """Give P policies something to do; thresholds and the like are zero until they are set."""
        self.weights, self.target, self.parent = weights, target, parent
        self.threshold, self.returns = np.zeros_like(weights), np.zeros_like(weights)
        self.scale, self.horizon = np.ones_like(weights), np.ones(len(weights))
        self.rates = np.zeros((len(weights), 1))

    _COUNTERS = ("stage", "updates", "round", "direction", "each", "born", "eval_steps", "init_steps")
    _ARRAYS = (
        "reference",
        "extended",
        "weights",
        "target",
        "parent",
        "threshold",
        "scale",
        "returns",
        "horizon",
        "rates",
    )

    def state_dict(self) -> dict[str, Tensor]:
        """Counters and arrays (copies)."""
        counters = torch.tensor([getattr(self, name) for name in self._COUNTERS])
        return {"counters": counters} | {name: torch.from_numpy(getattr(self, name).copy()) for name in self._ARRAYS}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        for name, value in zip(self._COUNTERS, state["counters"].tolist(), strict=True):
            setattr(self, name, int(value))
        for name in self._ARRAYS:
            setattr(self, name, state[name].cpu().numpy().copy())


class CMORL(Agent):
    """Finds a set of policies along the Pareto front; see the module, `rlsuite.core.agent.Agent` and `CMORLConfig`.

    `num_envs` counts the environments of all policies of stage 1 together and is rounded up to a multiple of them;
    stage 2 has as many for each policy. An environment given as an object cannot be multiplied: stage 2 then shares it
    out. `num_timesteps` counts the steps of training, `search.eval_steps` those of measurements.

    `members()` are the policies found, `front` their measured returns, and `predict(obs, weights=...)` plays the one
    with the largest weighted return; without weights, with equal ones.

    Example:
        >>> from rlsuite import CMORL
        >>> model = CMORL("rlsuite/DeepSeaTreasure-v0", num_envs=6, n_steps=64, eval_episodes=1).learn(2_000)
        >>> action, _ = model.predict(model.observation_space.sample(), weights=(0.3, 0.7))
    """

    config_class = CMORLConfig
    config: CMORLConfig
    vector_reward = True
    makes_envs = True
    further_space = "reward"
    stored: ClassVar = Agent.stored | {"divisions": "policies", "mode": "search"}
    unbounded: ClassVar = frozenset({"search/reference"})

    def _make_env(self, env: EnvLike) -> VectorEnv[Any, Any, Any]:
        venv = super()._make_env(env)
        objectives = count_objectives(venv)
        policies = self.population.size if getattr(self, "_built", False) else self._grid_size(objectives)
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

    def _grid_size(self, objectives: int | None) -> int:
        return 1 if objectives is None else len(weight_grid(objectives, self.config.divisions))

    def _spaces(self, venv: VectorEnv[Any, Any, Any]) -> tuple[gym.Space[Any], ...]:
        rewards = gym.spaces.Box(-np.inf, np.inf, (count_objectives(venv) or 1,), np.float32)
        return venv.single_observation_space, venv.single_action_space, rewards

    def build(self) -> Brain:
        """Make M actor-critics, their normalisers and optimiser, and an empty set."""
        config = self.config
        if len(self.spaces) != 3 or not self.spaces[2].shape:
            raise ValueError("spaces must be those of observations, actions and rewards [K]")
        self.objectives = objectives = int(self.spaces[2].shape[0])
        if config.reference is not None and len(config.reference) != objectives:
            raise ValueError(f"reference={config.reference} must have {objectives} entries, one for each objective")
        if objectives < 2:
            raise ValueError("the environment pays one objective; use an algorithm for one, PPO say")
        weights = weight_grid(objectives, config.divisions)
        networks = [self._network() for _ in weights]
        self.template = networks[0]
        self.population = Population(self.template, len(networks))
        for row, network in zip(self.population.data, networks, strict=True):
            row.copy_(FlatParameters(deepcopy(network)).data)
        self.optimizer = StackedAdam(self.population)
        self.search = Search(weights)
        self.search.each = max(1, self.num_envs // len(weights))
        norm = StackedNorm(len(weights), self.obs_size, device=self.device) if config.normalize_obs else None
        total = self.search.each * len(weights)
        return_norm = StackedReturnNorm(len(weights), total, objectives, gamma=config.gamma, device=self.device)
        self.archive = PolicySet(self._fields(), self.device)
        self._found: list[Member] | None = None
        self._eval: Stepper | None = None
        self.norms = norm, return_norm
        return Brain(
            policy=self.template,
            act=partial(sample_or_mode, self.template, self.generator),
            state=self._state,
            obs_norm=norm,  # type: ignore[arg-type]  # a stack of them
            return_norm=return_norm,  # type: ignore[arg-type]
            members=self._members,
            check_envs=self._check_envs,
        )

    def _network(self) -> ActorCritic:
        config = self.config
        return ActorCritic(
            self.obs_size,
            self.spec,
            net_arch=config.net_arch,
            activation=config.activation,
            log_std_init=config.log_std_init,
            ortho_init=config.ortho_init,
            objectives=self.objectives,
        ).to(self.device)

    def _fields(self) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """What the set holds of each policy; returns are discounted by `eval_gamma`."""
        vector, statistics = ((self.objectives,), torch.float64), ((self.obs_size,), torch.float64)
        fields: dict[str, tuple[tuple[int, ...], torch.dtype]]
        fields = {"parameters": ((self.population.width,), torch.float32), "rate": ((1,), torch.float64)}
        fields |= {"objectives": vector, "undiscounted": vector, "spread": vector, "horizon": ((1,), torch.float64)}
        if self.config.normalize_obs:
            fields |= {"obs_mean": statistics, "obs_m2": statistics, "obs_count": ((1,), torch.float64)}
        fields |= {"reward_mean": vector, "reward_m2": vector, "reward_count": ((1,), torch.float64)}
        return fields | {"origin": ((4,), torch.int64)}  # number, stage, number of the parent, goal

    def _state(self) -> dict[str, Stateful]:
        norm, return_norm = self.norms
        parts: dict[str, Any] = {"policy": self.population, "optimizer": self.optimizer, "search": self.search}
        parts |= {"generator": GeneratorState(self.generator), "archive": self.archive}
        parts |= {"obs_norm": norm, "return_norm": return_norm}
        return {name: part for name, part in parts.items() if part is not None}

    def _check_envs(self, num_envs: int) -> None:
        if num_envs % self.population.size:
            raise ValueError(
                f"num_envs={num_envs} cannot be shared out among {self.population.size} policies; use a multiple"
            )

    # The set ------------------------------------------------------------------------------------------------------

    @property
    def front(self) -> np.ndarray:
        """Mean discounted returns [C, K] of the members, as they were measured when they joined."""
        return self.archive["objectives"].cpu().numpy()

    def _members(self) -> Sequence[Member]:
        if self._found is None:
            self._found = [self._member(i) for i in range(len(self.archive))]
        return self._found

    def _member(self, index: int) -> Member:
        row = self.archive.row(index)
        norm = None
        if self.config.normalize_obs:
            norm = single_norm({name: row[f"obs_{name}"] for name in ("mean", "m2", "count")}, self.device)
        policy = unflatten(self.template, row["parameters"])
        name = f"policy {int(row['origin'][0])}"
        spaces = self.observation_space, self.action_space
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
        return int(smp(self.front, chosen))

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

    def preferring(self, weights: Sequence[float] | np.ndarray) -> Member:
        """The member that `select(weights)` chooses."""
        return self._members()[self.select(weights)]

    # Training -----------------------------------------------------------------------------------------------------

    def train(self, run: Session) -> None:
        """One update is a rollout of all P policies and `n_epochs` over it."""
        config, search = self.config, self.search
        init = config.init_fraction * run.total
        while not run.done:
            if search.stage == 2 and search.updates == config.extension_updates:
                self._next_round()
            runner = self.start_runner()
            actor = self._actor()
            steps = -(-config.n_steps * search.each * self.population.size // self.num_envs)
            if search.stage == 1:
                schedule = parse_schedule(config.learning_rate)
                search.rates[:] = schedule(1.0 - self.num_timesteps / init)
            rollout = run.collect(actor, runner, steps, self.generator)
            if rollout is None:
                return
            metrics = self._update(rollout, actor)
            search.updates += 1
            last = search.stage == 1 and self.num_timesteps >= min(init, run.total)
            if search.stage == 2 or last or search.updates % config.eval_interval == 0:
                self._measure(actor)
            self.n_updates += config.n_epochs
            found = {"policies": len(self.archive), "stage": search.stage, "eval_steps": search.eval_steps}
            named = {f"train/{name}": value for name, value in (metrics | found).items()}
            run.update_end(named, runner.stats)
            if last and config.init_fraction < 1:
                search.stage, search.init_steps, search.updates = 2, self.num_timesteps, config.extension_updates

    def _actor(self) -> PopulationActor:
        by_hand = self.config.backend != "torch" and StackedKernel.supports(self.population)
        return PopulationActor(self.population, self.num_envs, StackedKernel(self.population) if by_hand else None)

    def _update(self, rollout: Rollout, actor: PopulationActor) -> dict[str, float]:
        """`n_epochs` over a rollout of all policies."""
        config, search = self.config, self.search
        batch, advantage = self._batch(rollout)
        barrier = config.mode == "repo" and search.stage == 2
        rates = torch.from_numpy(search.rates).float().to(self.device)
        history = []
        for _ in range(config.n_epochs):
            weights = self._advantage_weights(batch, advantage, actor)
            raised = torch.einsum("pnk,pk->pn", advantage, weights)
            raised = (raised - raised.mean(1, keepdim=True)) / (raised.std(1, keepdim=True) + 1e-8)
            order = torch.randperm(raised.shape[1], generator=self.generator, device=self.device)
            shuffled = StackedBatch(**{**vars(batch), "advantage": raised}).take(order)
            shuffled = shuffled.numpy() if actor.kernel is not None else shuffled
            for start in range(0, len(order), config.batch_size):
                minibatch = shuffled.take(slice(start, start + config.batch_size))
                metrics = self._gradient(minibatch, actor.kernel, barrier)
                metrics["grad_norm"] = self.optimizer.step(rates, config.max_grad_norm)
                history.append(metrics)
        means = {name: float(np.mean([np.mean(_numpy(m[name])) for m in history])) for name in history[0]}
        check_update(means | {"weights": float(self.population.data.sum())})
        return means

    def _gradient(self, batch: StackedBatch, kernel: StackedKernel | None, barrier: bool) -> dict[str, Any]:
        """Leave the gradient of every policy's loss in the population; return the metrics [P]."""
        given = batch.obs, batch.action, batch.mask
        if kernel is not None:
            grads, numbers = cmorl_loss_grad(kernel.heads(*given), batch, self.config, barrier=barrier)
            kernel.backward(grads)
            return dict(numbers)
        loss, metrics = cmorl_loss(self.population.heads(*given), batch, self.config, barrier=barrier)
        self.population.backward(loss)
        return dict(metrics)

    def _batch(self, rollout: Rollout) -> tuple[StackedBatch, Tensor]:
        """A rollout [T, B, ...] by policy, and the objectives' advantages [P, n, K] in raw reward units."""
        config, split = self.config, partial(split_rows, policies=self.population.size, num_envs=self.num_envs)
        done = rollout.terminated | rollout.truncated
        advantage, return_ = gae(
            rollout.reward,
            rollout.value,
            rollout.next_value,
            rollout.terminated,
            done,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
        )
        obs, action, log_prob, value, return_, advantage = (
            split(x.flatten(0, 1))
            for x in (rollout.obs, rollout.action, rollout.log_prob, rollout.value, return_, advantage)
        )
        mask = None if rollout.mask is None else split(rollout.mask.flatten(0, 1))
        scale = self.norms[1].scale.float().unsqueeze(1)
        return StackedBatch(obs, action, log_prob, value, log_prob, return_, mask), advantage * scale

    def _advantage_weights(self, batch: StackedBatch, advantage: Tensor, actor: PopulationActor) -> Tensor:
        """Weights [P, K] of the objectives' advantages in this epoch."""
        search, config = self.search, self.config
        if search.stage == 1:
            weights = search.weights
        elif config.mode == "repo":
            weights = np.eye(self.objectives)[search.target]
        else:
            with torch.no_grad():
                if actor.kernel is None:
                    now = self.population.distribution(batch.obs, batch.mask).log_prob(batch.action)
                else:
                    allowed = None if batch.mask is None else batch.mask.numpy()
                    found = actor.kernel.log_prob(batch.obs.numpy(), batch.action.numpy(), allowed)[0]
                    now = torch.from_numpy(found)
            change = (now - batch.log_prob).exp() - 1
            gained = torch.einsum("pn,pnk->pk", change, advantage) / advantage.shape[1]
            weights = barrier_weights(
                search.returns + search.horizon[:, None] * gained.double().cpu().numpy(),
                search.threshold,
                search.scale,
                search.target,
                t=config.barrier_t,
                floor=config.barrier_floor,
            )
        return torch.from_numpy(weights).float().to(self.device)

    # Measuring and extending ----------------------------------------------------------------------------------------

    def _measure(self, actor: PopulationActor) -> None:
        """Measure all policies, and let the set take in what is not dominated."""
        config, search, policies = self.config, self.search, self.population.size
        stepper = self._eval_stepper()
        judge = PopulationActor(self.population, stepper.num_envs, actor.kernel)
        seed = env_seed(self.seed, MEASURE)
        found = measure(
            judge, self.norms[0], stepper, episodes=config.eval_episodes, gamma=config.eval_gamma, seed=seed
        )
        search.eval_steps += found.steps
        search.returns, search.horizon = found.objectives, found.horizon
        if np.isnan(search.reference).any():
            given = config.reference
            search.reference = nadir_reference(found.objectives) if given is None else np.array(given, np.float64)
        self.archive.add(self._records(found))
        search.born += policies
        points = self.front
        keep = nondominated(points)
        if config.mode == "repo":  # as the release: what is worse than the reference point in any goal is thrown away
            keep = keep[(points[keep] >= search.reference).all(1)]
        if len(keep) > config.archive_size:
            size, rule = config.archive_size, config.selection
            keep = keep[truncate(points[keep], size, rule=rule, reference=search.reference)]  # type: ignore[arg-type]
        self.archive.keep(keep)
        self._found = None

    def _eval_stepper(self) -> Stepper:
        """Environments to measure in: `eval_episodes` of each policy, or as many as in training."""
        policies = self.population.size
        if self._eval is None:
            if self.env_id is None:
                venv = deepcopy(self.venv)
            else:
                count = policies * self.config.eval_episodes
                venv = make_env(self.env_id, count, self.device, self.env_kwargs)
            self._eval = Stepper(venv, self.device, vector_reward=True)
        return self._eval

    def _records(self, found: Measured) -> dict[str, Tensor]:
        """What the set is to know of each of the P policies now."""
        search, policies = self.search, self.population.size
        number = search.born + np.arange(policies)
        origin = np.stack([number, np.full(policies, search.stage), search.parent, search.target], 1)
        arrays = {
            "objectives": found.objectives,
            "undiscounted": found.undiscounted.mean(1),
            "spread": found.discounted.std(1),
            "horizon": found.horizon[:, None],
            "rate": search.rates,
            "origin": origin.astype(np.int64),
        }
        records = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        records["parameters"] = self.population.data.clone()
        for name, norm in zip(("obs", "reward"), self.norms, strict=True):
            if norm is not None:
                records |= {f"{name}_{key}": value for key, value in norm.moments.tensors().items()}
        return records

    def _next_round(self) -> None:
        """Begin to extend other members, or (`mode="repo"`) the next goal of the same ones."""
        search, config, objectives = self.search, self.config, self.objectives
        search.updates = 0
        if config.mode == "repo" and search.round and search.direction < objectives - 1:
            search.direction += 1
            search.target = np.full(self.population.size, search.direction)
            return
        search.round, search.direction = search.round + 1, 0
        parents = self._parents()
        if config.mode == "repo":
            target = np.zeros(len(parents), np.int64)
        else:
            parents, target = np.repeat(parents, objectives), np.tile(np.arange(objectives), len(parents))
        rows = {name: tensor[torch.from_numpy(parents)] for name, tensor in self.archive.rows.items()}
        points = rows["objectives"].cpu().numpy()
        search.begin(np.zeros_like(points), target, rows["origin"][:, 0].cpu().numpy())
        search.returns, search.horizon = points.copy(), rows["horizon"][:, 0].cpu().numpy()
        search.threshold = search.reference + config.beta * (points - search.reference)
        span = np.maximum(np.ptp(self.front, axis=0), 1e-6)
        search.scale = np.maximum(np.abs(points - search.reference), 1e-3 * span)
        fixed = np.full((len(parents), 1), config.extension_learning_rate)
        search.rates = rows["rate"].cpu().numpy().copy() if config.mode == "repo" else fixed
        self._populate(rows)

    def _parents(self) -> np.ndarray:
        """Indices of the members to extend: the farthest from others that were not extended before."""
        search, config = self.search, self.config
        count = config.n_select
        if self.env_id is None:  # what is there must be shared out
            each = 1 if config.mode == "repo" else self.objectives
            fitting = [n for n in range(count, 0, -1) if self.num_envs % (n * each) == 0]
            if not fitting:
                raise ValueError(
                    f"the environment given has {self.num_envs} copies, which stage 2 cannot share among "
                    f"{self.objectives} goals of any number of policies up to n_select={count}; give the environment's "
                    "id, or a multiple"
                )
            count = fitting[0]
        points = self.front
        for skip in (search.extended, search.extended[:0]):
            rule: Any = config.selection
            found = select_sparse(points, count, rule=rule, skip=skip, reference=search.reference).indices
            if len(found) and (self.env_id is not None or len(found) == count):
                break
        else:
            found = np.resize(np.arange(len(points)), count)
        search.extended = np.concatenate([search.extended, points[found]])
        return np.asarray(found)

    def _populate(self, rows: dict[str, Tensor]) -> None:
        """Go on with P copies of members: parameters, normalisers, and environments for each."""
        policies = len(rows["parameters"])
        self.population.set_size(policies)
        self.population.data.copy_(rows["parameters"])
        self.optimizer.restart()
        if policies * self.search.each != self.num_envs and self.env_id is not None:
            self.num_envs = policies * self.search.each
            self.stepper = Stepper(self._make_env(self.env_id), self.device, vector_reward=True)
        for name, norm in zip(("obs", "reward"), self.norms, strict=True):
            if norm is not None:
                moments = {key: rows[f"{name}_{key}"] for key in ("mean", "m2", "count")}
                if isinstance(norm, StackedReturnNorm):
                    norm.restart(moments, self.num_envs)
                else:
                    norm.load_state_dict(moments)
        self._eval, self.runner = None, None


def _numpy(value: Any) -> np.ndarray:
    return value.cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
