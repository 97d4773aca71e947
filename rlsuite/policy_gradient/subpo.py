"""Submodular policy optimisation (Prajapat et al. 2024, "Submodular Reinforcement Learning", arXiv:2307.13372).

A trajectory tau = (s_0, ..., s_H) is worth F(tau), a monotone submodular set function, and J(pi) = E[F(tau)]. With
marginal gains F(s | tau') = F(tau' + s) - F(tau') as rewards, REINFORCE with reward-to-go is the gradient of J:

    grad J = E[ sum_i grad log pi(a_i | s_i) (sum_{j >= i} F(s_{j+1} | tau_{0:j}) - b(tau_{0:i})) ]           (C1)

for any baseline b of the past. Episodes are whole, nothing is discounted, and each batch of B episodes makes one step
of Adam; `n_epochs` and `batch_size` offer PPO's clipped epochs of minibatches instead. What the policy sees decides
what it is: Markovian (SubPO-M: an environment made with `observation="state_time"`), history-dependent (SubPO-NM:
"history"), or with the covered set in sight ("covered": the gains are then an ordinary Markov reward). The modular
baseline ModPO is this algorithm in the same environment with `reward="modular"`, judged by F ("rollout/set_value").

The paper's b may be a constant, a batch mean or a critic. Our batch mean leaves the episode's own value out, which
makes it exactly unbiased (the plain mean shrinks the gradient by 1 - 1/B). A critic sees what the policy sees;
lambda < 1 mixes its estimates in, sound only where it sees the covered set.

The release weighs grad log pi(a_i | s_i) with the prefix value F(tau_{0:i+1}) instead. What came before step i has
expectation 0 there, and what comes after is missing: it follows the immediate gain alone, a myopic gradient that
differs from grad J (shown by enumeration in our tests). `credit="prefix"` and `credit="myopic"` are these two, for
comparison only. The release's entropy bonus over (epoch + 1) is a schedule here; its raw node numbers as inputs are
left out, since the environments scale their observations.

Expected: see the zoo's results page; brute-force optima on small grids, where the myopic weights fall short.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from gymnasium.vector import VectorEnv

from rlsuite.core import on_policy
from rlsuite.core.agent import Agent, EnvLike
from rlsuite.core.brain import Brain
from rlsuite.core.config import check_choices, check_range, check_schedule, check_types
from rlsuite.core.returns import gae, reverse_scan
from rlsuite.core.schedules import Rates
from rlsuite.core.session import Session
from rlsuite.core.types import PolicyBatch, Rollout, Step
from rlsuite.policy_gradient.ppo import PPOConfig, ppo_loss, ppo_loss_grad

CREDITS = ("to_go", "myopic", "prefix")
BASELINES = ("none", "mean", "critic")


@dataclass(frozen=True)
class SubPOConfig:
    """Hyper-parameters of SubPO; the batch of episodes is as large as `num_envs`.

    Raises:
        ValueError: a value out of range, or choices that contradict each other; names field, value and remedy.
    """

    n_steps: int | None = None
    """T, steps per environment and rollout: the horizon, or a multiple of it. None: the environment's time limit."""
    credit: str = "to_go"
    """Credit of an action: "to_go" (C1), "myopic" (its own gain), "prefix" (F so far: the release)."""
    baseline: str = "mean"
    """b: "none", "mean" (of the other episodes at the same step), or "critic"."""
    gae_lambda: float = 1.0
    """Lambda in [0, 1]: below 1 the critic's estimates replace part of the reward-to-go; needs the critic."""
    normalize_advantage: bool = True
    """Divide by the standard deviation over the batch, so that entropy bonus and clipping have no units of F."""
    learning_rate: float | str = 3e-3
    """Adam's step size, or a schedule such as "linear:3e-3"."""
    ent_coef: float | str = 0.0
    """Weight of the entropy bonus, at least 0, or a schedule such as "linear:0.02"."""
    n_epochs: int = 1
    """Passes over each batch, at least 1; more than 1 needs `clip_range` to hold the policy back."""
    batch_size: int | None = None
    """Samples per step of Adam, at least 1; None takes the whole batch."""
    clip_range: float | str = 0.2
    """Epsilon of PPO's clipped ratio, above 0, or a schedule; no effect on a batch's first step."""
    target_kl: float | None = None
    """Stop the epochs at 1.5 times this approximate KL; None never stops."""
    vf_coef: float = 0.5
    """Weight of the critic's squared error, at least 0."""
    max_grad_norm: float | None = None
    """Largest global L2 norm of a gradient; None switches clipping off."""
    normalize_obs: bool = False
    """Scale observations by their running mean and standard deviation, clipped to +-10."""
    normalize_reward: bool = False
    """Divide rewards by the running standard deviation of the return, clipped to +-10; for a critic's sake."""
    net_arch: tuple[int, ...] = (64, 64)
    """Hidden layers of the policy, and of the critic."""
    activation: str = "tanh"
    """tanh, relu, elu or gelu."""
    log_std_init: float = 0.0
    """First logarithm of a Gaussian's standard deviation (Box actions)."""
    ortho_init: bool = True
    """Orthogonal initialisation; False keeps torch's."""
    backend: str = "auto"
    """numpy (hand-written, small networks on a CPU), torch (autograd), or auto."""
    compile: bool = False
    """Fuse the torch back end's loss with torch.compile; compiles anew where `ent_coef` is a schedule."""

    def __post_init__(self) -> None:
        check_types(self)
        inf = float("inf")
        check_range(
            self,
            n_steps=(1, inf),
            gae_lambda=(0, 1),
            n_epochs=(1, inf),
            batch_size=(1, inf),
            target_kl=(1e-9, inf),
            vf_coef=(0, inf),
            max_grad_norm=(1e-9, inf),
            log_std_init=(-20, 5),
        )
        check_schedule(self, "learning_rate", "clip_range")
        if self.ent_coef != 0:
            check_schedule(self, "ent_coef")
        check_choices(self, credit=CREDITS, baseline=BASELINES)
        if self.gae_lambda < 1 and (self.baseline, self.credit) != ("critic", "to_go"):
            raise ValueError(
                f"SubPOConfig.gae_lambda is {self.gae_lambda} with baseline {self.baseline!r} and credit "
                f"{self.credit!r}; below 1 it needs baseline='critic' and credit='to_go'"
            )

    @property
    def gamma(self) -> float:
        """Discount, always 1: the horizon is finite, and J weighs all gains equally."""
        return 1.0


def credits(reward: torch.Tensor, done: torch.Tensor, credit: str) -> torch.Tensor:
    """Credit [T, B] of each action, from marginal gains reward [T, B] and episode ends done [T, B]."""
    reward, keep = reward.float(), torch.logical_not(done).float()
    if credit == "myopic":
        return reward
    if credit == "to_go":
        return reverse_scan(reward, keep)
    # Prefix sums: the same recursion with time turned round, cut where the step before ended an episode.
    before = torch.cat((torch.zeros_like(keep[:1]), keep[:-1]))
    return reverse_scan(reward.flip(0), before.flip(0)).flip(0)


def mean_of_others(credit: torch.Tensor, done: torch.Tensor) -> torch.Tensor:
    """Mean credit [T, B] of the other episodes at the same step, for each sample; 0 where there is none."""
    steps = torch.arange(len(done), device=done.device).unsqueeze(1)
    begins = torch.cat((torch.zeros_like(done[:1]), done[:-1])) * steps
    age = steps - begins.cummax(0).values
    # Sorted by age, samples of one age are one segment. (Adding by index would be shorter, but a GPU does that in no
    # fixed order.)
    sorted_age, order = age.flatten().sort(stable=True)
    count = torch.searchsorted(sorted_age, torch.arange(len(done) + 1, device=done.device)).diff()
    total = torch.segment_reduce(credit.flatten()[order].double(), "sum", lengths=count)
    others = count[age] - 1
    mean = (total[age] - credit) / others.clamp(min=1)
    return torch.where(others > 0, mean, 0.0).to(credit.dtype)


def targets(rollout: Rollout, *, credit: str, baseline: str, gae_lambda: float, normalize: bool) -> PolicyBatch:
    """Credits minus baseline as advantages, and credits as the critic's targets; T*B samples.

    The end of an episode, by termination or by the horizon, ends F: nothing is bootstrapped there. Episodes still
    running at the rollout's end go on in the critic's estimate.

    Args:
        rollout: [T, B], each environment at the start of an episode.
        credit: "to_go", "myopic" or "prefix".
        baseline: "none", "mean" or "critic".
        gae_lambda: see `SubPOConfig`.
        normalize: divide by the standard deviation over the batch.
    """
    done = rollout.terminated | rollout.truncated
    if baseline == "critic" and credit == "to_go":
        advantage, return_ = gae(
            rollout.reward, rollout.value, rollout.next_value, done, done, gamma=1.0, gae_lambda=gae_lambda
        )
    else:
        advantage = return_ = credits(rollout.reward, done, credit)
        if baseline != "none":
            advantage = return_ - (mean_of_others(return_, done) if baseline == "mean" else rollout.value)
    if normalize:
        advantage = advantage / (advantage.std() + 1e-8)
    mask = None if rollout.mask is None else rollout.mask.flatten(0, 1)
    samples = (rollout.obs, rollout.action, rollout.log_prob, rollout.value, advantage, return_)
    obs, action, log_prob, value, advantage, return_ = (x.flatten(0, 1) for x in samples)
    return PolicyBatch(obs, action, log_prob, value, advantage, return_, mask)


class SetValues:
    """Called with each step of a rollout: final F of the episodes that end, where `info["set_value"]` tells it."""

    def __init__(self, on_step: Callable[[Step], bool] | None) -> None:
        self.on_step = on_step
        self.found: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(self, step: Step) -> bool:
        """Note the ended episodes' values, which waits for no device; then what `on_step` says."""
        info = step.info.get("final_info")
        if isinstance(info, dict) and "set_value" in info:
            self.found.append((step.terminated | step.truncated, torch.as_tensor(info["set_value"])))
        return self.on_step is None or self.on_step(step)

    def mean(self) -> dict[str, float]:
        """{"rollout/set_value": mean over the episodes}, or nothing."""
        ended = [x for done, value in self.found for x in value[done.to(value.device)].tolist()]
        return {"rollout/set_value": sum(ended) / len(ended)} if ended else {}


def horizon(env: VectorEnv[Any, Any, Any]) -> int | None:
    """The environment's time limit in steps, where it has one."""
    limit = getattr(env, "max_episode_steps", None)
    if limit is None and env.spec is not None:
        limit = env.spec.max_episode_steps
    return None if limit is None else int(limit)


class SubPO(Agent):
    """Submodular policy optimisation; see `core.agent.Agent` for the arguments, `SubPOConfig` for the fields.

    Logged in addition to PPO's metrics: rollout/set_value is the mean F of the episodes of the last batch, whatever the
    rewards were.

    Example:
        >>> from rlsuite import SubPO
        >>> model = SubPO("rlsuite/TwoRooms-v0", num_envs=64, env_kwargs={"observation": "state_time"}).learn(10_000)
        >>> action, _ = model.predict(model.observation_space.sample(), deterministic=True)
    """

    config_class = SubPOConfig
    config: SubPOConfig

    def build(self) -> Brain:
        """Actor and critic for rollouts of whole episodes."""
        if self.stepper is not None:
            # Kept in the checkpoint: a model loaded without environment is then built alike.
            self.config = replace(self.config, n_steps=self._whole_episodes(self.stepper.venv))
        self._coefficients = PPOConfig(
            normalize_advantage=False, vf_coef=self.config.vf_coef * (self.config.baseline == "critic")
        )
        self.parts = on_policy.build(
            self,
            self._resolved(),
            lambda heads, batch, clip: ppo_loss(heads, batch, clip, config=self._coefficients),
            lambda heads, batch, clip: ppo_loss_grad(heads, batch, clip, config=self._coefficients),
        )
        return self.parts.brain(self)

    def _whole_episodes(self, env: VectorEnv[Any, Any, Any]) -> int:
        """Steps of a rollout, a multiple of the horizon so that it holds whole episodes.

        Raises:
            ValueError: no horizon, one that does not divide `n_steps`, or a mean over a single episode.
        """
        limit, steps, baseline = horizon(env), self.config.n_steps, self.config.baseline
        steps = limit if steps is None else steps
        if steps is None:
            raise ValueError(
                "n_steps is None and the environment has no time limit; SubPO learns from whole episodes: give "
                "n_steps=HORIZON, or an environment with max_episode_steps"
            )
        if limit is not None and steps % limit and baseline != "critic":
            raise ValueError(
                f"n_steps={steps} is no multiple of the horizon {limit}; SubPO learns from whole episodes: leave "
                "n_steps out, or use baseline='critic', which estimates the rest of an unfinished one"
            )
        if baseline == "mean" and self.num_envs < 2:
            raise ValueError(
                f"num_envs={self.num_envs} with baseline 'mean', which needs other episodes to compare with; raise "
                "num_envs (a batch has one episode of each), or use baseline='none' or 'critic'"
            )
        return steps

    def set_env(self, env: EnvLike, *, num_envs: int | None = None, env_kwargs: dict[str, Any] | None = None) -> None:
        """Train in another environment from now on; its horizon must divide `n_steps`."""
        super().set_env(env, num_envs=num_envs, env_kwargs=env_kwargs)
        self._whole_episodes(self.venv)

    def _resolved(self) -> on_policy.OnPolicyConfig:
        """The configuration with sizes in place of None."""
        steps = self.config.n_steps or 1
        size = self.config.batch_size or steps * self.num_envs
        return cast(on_policy.OnPolicyConfig, replace(self.config, n_steps=steps, batch_size=size))

    def train(self, run: Session) -> None:
        """One update is a batch of whole episodes.

        Raises:
            ValueError: an episode outlasts the rollout, and there is no critic to estimate the rest.
        """
        n_steps = self._whole_episodes(self.venv)
        self.config = config = replace(self.config, n_steps=n_steps)
        runner, rates = self.start_runner(), Rates(config, "learning_rate", "clip_range", "ent_coef")
        while not run.done:
            now, values = rates.at(run.progress_remaining), SetValues(run.on_step)
            rollout = run.collect(self.parts.backend, runner, n_steps, self.generator, on_step=values)
            if rollout is None:
                self.forget_episodes()  # the next rollout must begin where episodes do
                return
            self._check_whole(rollout)
            batch = targets(
                rollout,
                credit=config.credit,
                baseline=config.baseline,
                gae_lambda=config.gae_lambda,
                normalize=config.normalize_advantage,
            )
            metrics = self._update(batch, **now)
            run.update_end(on_policy.log_names(metrics | now, self, batch) | values.mean(), runner.stats)

    def _update(
        self, batch: PolicyBatch, *, learning_rate: float, clip_range: float, ent_coef: float
    ) -> dict[str, float]:
        """One batch's steps of Adam; the metrics."""
        config = self._resolved()
        self._coefficients = replace(self._coefficients, ent_coef=ent_coef)
        metrics, epochs = on_policy.update(
            self.parts,
            batch,
            config,
            self.generator,
            learning_rate=learning_rate,
            clip_range=clip_range,
            target_kl=self.config.target_kl,
        )
        self.n_updates += epochs
        return metrics

    def _check_whole(self, rollout: Rollout) -> None:
        running = self.num_envs - int((rollout.terminated[-1] | rollout.truncated[-1]).sum())
        if running and self.config.baseline != "critic":
            raise ValueError(
                f"{running} of {self.num_envs} episodes outlast the rollout of n_steps={len(rollout.obs)}; SubPO "
                "learns from whole episodes: set n_steps to their length, or, where lengths vary, use "
                "baseline='critic', which estimates the rest of an unfinished one"
            )
