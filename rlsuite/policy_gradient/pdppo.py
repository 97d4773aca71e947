"""Post-decision PPO with dual critics (Felizardo et al., IJCNN 2025, arXiv:2504.05150).

A step is split in two: what the action causes for certain, s^x = f(s, a) with reward c(s, a), and what chance adds,
s' = g(s^x, w) with reward k(s^x, w). One critic values the state, V(s), another the post-decision state, V^x(s^x);
the actor is PPO's, only its advantage is another.

Default, "q" (sound, because the action value *is* Q(s, a) = c + V^x(s^x)):

    A = q_weight (c + V^x(s^x) - V(s)) + (1 - q_weight) A_GAE,     V -> G,  V^x -> G - c

with G the lambda-return of r = c + k. The first term has no noise of w in it, the second none of V^x's error.

The paper's: A = max(G1 - V(s), G2 - V^x(s^x)), which the release pairs with split targets, G1 = sum gamma^k (r - c)
for V and G2 = sum gamma^k c for V^x. The two critics then value different things, and the maximum hides a bad set-up
decision whenever the other term is larger; we keep it as `combine="max"`, `targets="split"`.

`PDPPO(env, faithful=True)` is the release's arithmetic: Monte-Carlo returns without bootstrapping (a time limit counts
as an end), a sliding buffer of six rollouts with their old log-probabilities and values, full-batch epochs, one clipped
ratio per action component against the same advantage, advantages as they are, no gradient clipping. The loss's
"0.7 (L1 + L2)" has no gradient there and is left out; three optimisers on disjoint networks are two here. The release's
accidents are options of their own: `frozen_trunk` (only the actor's last layer was in its optimiser) and
`bounded_critic` (the one-critic ablation ends in tanh, with targets in the thousands). That its agents see the stock
and not the set-ups is the environment's `observe="inventory"`.

Needs an environment that splits its step: a kernel of rlsuite with `post_decision` and `observe_post`.
Expected: see the results page of the zoo, beside PPO and simple rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch

from rlsuite.core.agent import Agent
from rlsuite.core.backends import TorchActor
from rlsuite.core.brain import Brain, sample_or_mode
from rlsuite.core.config import check_choices, check_range, check_schedule, check_types
from rlsuite.core.networks import FlatParameters
from rlsuite.core.normalize import ReturnNorm, RunningNorm
from rlsuite.core.on_policy import explained_variance
from rlsuite.core.optim import FlatAdam, check_update
from rlsuite.core.returns import gae, reverse_scan
from rlsuite.core.schedules import Rates
from rlsuite.core.session import Session
from rlsuite.core.stateful import GeneratorState, Stateful
from rlsuite.core.types import Rollout
from rlsuite.policy_gradient.post_decision import (
    DualCriticPolicy,
    PDPPOBatch,
    PostDecisions,
    Window,
    split_kernel,
)


@dataclass(frozen=True)
class PDPPOConfig:
    """Hyper-parameters of PDPPO; `PDPPOConfig.release()` has the release's.

    Raises:
        ValueError: a value out of range, or choices that contradict each other; names field, value and remedy.
    """

    n_steps: int = 64
    """T, steps per environment and rollout; at least 1."""
    batch_size: int | None = 512
    """Samples per minibatch, at least 1; None takes all."""
    n_epochs: int = 10
    """K, passes over the data; at least 1."""
    learning_rate: float | str = 3e-4
    """Adam's step size for the actor, or a schedule such as "linear:3e-4"."""
    critic_lr_factor: float = 1.0
    """The critics' step size as a multiple of the actor's; above 0."""
    gamma: float = 0.99
    """Discount per step, in [0, 1]."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation, in [0, 1]."""
    clip_range: float | str = 0.2
    """Epsilon: the ratio's clip range, above 0, or a schedule."""
    combine: str = "q"
    """How the critics make one advantage: "q", "max", "mean", "min_value", or "gae" (V^x unused: PPO)."""
    q_weight: float = 0.5
    """Share of c + V^x(s^x) - V(s) in "q", in [0, 1]; the rest is the GAE."""
    targets: str = "full"
    """Targets of V and V^x: "full" (G, G - c), "split" (sums of k, sums of c), "same" (G, G: an early release)."""
    ratio: str = "joint"
    """"joint": one ratio of the whole action; "component": one per component, each clipped (the release)."""
    critics: str = "two"
    """"two" networks, or "one" for both kinds of states (PDPPO1C)."""
    bootstrap: bool = True
    """Whether to bootstrap from values at rollout ends and time limits; False takes plain sums (the release)."""
    window: int = 1
    """Rollouts an update uses: the newest and window - 1 older ones with their old policies' numbers; at least 1."""
    normalize_advantage: bool = True
    """Subtract the mean and divide by the standard deviation, per minibatch."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus; at least 0. With component ratios it is the mean over components."""
    max_grad_norm: float | None = 0.5
    """Largest L2 norm of the actor's gradient, and of the critics'; None switches clipping off."""
    normalize_obs: bool = False
    """Scale observations by their running mean and standard deviation, clipped to +-10."""
    normalize_reward: bool = False
    """Divide both parts of the reward by the running standard deviation of the discounted return."""
    net_arch: tuple[int, ...] = (64, 64)
    """Hidden layers of the actor and of each critic."""
    activation: str = "tanh"
    """Activation of the actor: tanh, relu, elu or gelu."""
    critic_activation: str = "tanh"
    """Activation of the critics: tanh, relu, elu or gelu."""
    log_std_init: float = 0.0
    """First logarithm of a Gaussian's standard deviation."""
    ortho_init: bool = True
    """Orthogonal initialisation; False keeps torch's, with Xavier critics and a Kaiming head as in the release."""
    adam_eps: float = 1e-5
    """Added to the root of Adam's second moment, above 0; torch's own is 1e-8."""
    frozen_trunk: bool = False
    """Train the actor's last layer only, on random features (an accident of the release)."""
    bounded_critic: bool = False
    """End the critics in tanh (an accident of the release's one-critic ablation)."""

    def __post_init__(self) -> None:
        check_types(self)
        inf = float("inf")
        check_range(
            self,
            n_steps=(1, inf),
            batch_size=(1, inf),
            n_epochs=(1, inf),
            gamma=(0, 1),
            gae_lambda=(0, 1),
            critic_lr_factor=(1e-9, inf),
            q_weight=(0, 1),
            window=(1, inf),
            ent_coef=(0, inf),
            max_grad_norm=(1e-9, inf),
            log_std_init=(-20, 5),
            adam_eps=(1e-12, 1),
        )
        check_schedule(self, "learning_rate", "clip_range")
        check_choices(
            self,
            combine=("q", "max", "mean", "min_value", "gae"),
            targets=("full", "split", "same"),
            ratio=("joint", "component"),
            critics=("two", "one"),
        )
        if self.combine == "q" and self.targets != "full":
            raise ValueError(f"combine='q' adds c to V^x, so targets must be 'full', not {self.targets!r}")
        if self.combine == "min_value" and self.targets != "same":
            raise ValueError(f"combine='min_value' needs targets='same', not {self.targets!r}")
        if self.targets == "split" and self.bootstrap:
            raise ValueError("targets='split' has no value to bootstrap V^x from: set bootstrap=False")

    @classmethod
    def release(cls, **changes: Any) -> PDPPOConfig:
        """The released lot-sizing settings, for one environment of 100 steps an episode, with `changes`."""
        released = cls(
            n_steps=400,
            batch_size=None,
            n_epochs=40,
            learning_rate=5.5e-4,
            critic_lr_factor=1e-3 / 5.5e-4,
            gamma=0.9,
            gae_lambda=1.0,
            combine="max",
            targets="split",
            ratio="component",
            bootstrap=False,
            window=6,
            normalize_advantage=False,
            ent_coef=1e-3,
            max_grad_norm=None,
            net_arch=(128, 128),
            activation="relu",
            ortho_init=False,
            adam_eps=1e-8,
        )
        return replace(released, **changes)


def post_decision_targets(
    rollout: Rollout, post_reward: torch.Tensor, post_value: torch.Tensor, config: PDPPOConfig
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Advantages and the critics' targets, [T, B] each.

    Args:
        rollout: T steps of B environments with values V(s).
        post_reward: c(s, a) [T, B].
        post_value: V^x(s^x) [T, B].
        config: gamma, gae_lambda, combine, targets, bootstrap.

    Returns:
        advantage, target of V, target of V^x.
    """
    done, c = rollout.terminated | rollout.truncated, post_reward
    next_value, terminated = rollout.next_value, rollout.terminated
    if not config.bootstrap:
        next_value, terminated = next_value.clone(), done
        next_value[-1] = 0.0
    gae_advantage, return_ = gae(
        rollout.reward, rollout.value, next_value, terminated, done, gamma=config.gamma, gae_lambda=config.gae_lambda
    )
    post_return = return_ - c if config.targets == "full" else return_
    if config.targets == "split":
        decay = config.gamma * (~done).float()
        return_, post_return = reverse_scan(rollout.reward - c, decay), reverse_scan(c, decay)
    before, after = return_ - rollout.value, post_return - post_value
    if config.combine == "gae":
        advantage = gae_advantage
    elif config.combine == "q":
        q_advantage = c + post_value - rollout.value
        advantage = config.q_weight * q_advantage + (1 - config.q_weight) * gae_advantage
    elif config.combine == "mean":
        advantage = 0.5 * (before + after)
    else:  # "max"; with one target for both critics it is G - min(V, V^x), "min_value"
        advantage = torch.maximum(before, after)
    return advantage, return_, post_return


def pdppo_losses(
    policy: DualCriticPolicy, batch: PDPPOBatch, clip_range: float, config: PDPPOConfig
) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    """The actor's loss and the critics', as scalars to minimise, and their metrics."""
    advantage = batch.advantage
    if config.normalize_advantage and len(advantage) > 1:
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    chosen = policy.distribution(batch.obs, batch.mask)
    log_ratio = policy.log_prob(chosen, batch.action, config.ratio) - batch.log_prob
    advantage = advantage.reshape(-1, *[1] * (log_ratio.ndim - 1))  # the same for every component
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()
    entropy = policy.entropy(chosen, config.ratio)
    value, post_value = policy.values(batch.obs), policy.post_values(batch.post_obs)
    if config.critics == "one" and config.targets == "split":  # the release's ablation fits the sum alone
        value_loss = (batch.return_ + batch.post_return - value - post_value).square().mean()
        post_value_loss = torch.zeros_like(value_loss)
    else:
        value_loss = (batch.return_ - value).square().mean()
        post_value_loss = (batch.post_return - post_value).square().mean()
    metrics = {
        "policy_gradient_loss": policy_loss,
        "value_loss": value_loss,
        "post_value_loss": post_value_loss,
        "entropy_loss": -entropy,
        "approx_kl": (ratio - 1 - log_ratio).mean(),
        "clip_fraction": ((ratio - 1).abs() > clip_range).float().mean(),
    }
    return policy_loss - config.ent_coef * entropy, value_loss + post_value_loss, metrics


class PDPPO(Agent):
    """Post-decision PPO; see `rlsuite.core.agent.Agent` for the arguments and `PDPPOConfig` for the fields.

    Args:
        env: environments written as a kernel that splits its step.
        config: the configuration.
        faithful: start from `PDPPOConfig.release()` instead of the defaults.
        kwargs: of `Agent`, and overrides of the configuration's fields.

    Raises:
        ValueError: an environment that does not split its step; the message says how to make it do so.

    Example:
        >>> from rlsuite import PDPPO
        >>> model = PDPPO("rlsuite/LotSizing-15x5-v0", num_envs=64, n_steps=16).learn(2_048)
    """

    config_class = PDPPOConfig
    stored: ClassVar = Agent.stored | {
        **dict.fromkeys(("critics", "critic_activation", "bounded_critic"), "networks"),
        "frozen_trunk": "optimiser",
    }
    config: PDPPOConfig

    def __init__(self, env: Any, config: PDPPOConfig | None = None, *, faithful: bool = False, **kwargs: Any) -> None:
        super().__init__(env, PDPPOConfig.release() if faithful and config is None else config, **kwargs)

    def build(self) -> Brain:
        """Actor and two critics, with an optimiser for each side."""
        config = self.config
        if self.stepper is not None:
            split_kernel(self.stepper.venv)
        self.networks = DualCriticPolicy(self.obs_size, self.spec, config).to(self.device)
        self.actor = FlatParameters(self.networks.actor(config.frozen_trunk))
        self.critics = FlatParameters(self.networks.critics)
        self.optimizers = [FlatAdam(flat, eps=config.adam_eps) for flat in (self.actor, self.critics)]
        # Both parts of a reward are scaled alike, after the rollout: the runner must not scale their sum.
        self.scale = ReturnNorm(self.num_envs, gamma=config.gamma, device=self.device)
        self.window = Window(PDPPOBatch, config.window)
        obs_norm = RunningNorm((self.obs_size,), device=self.device) if config.normalize_obs else None
        act = partial(sample_or_mode, self.networks, self.generator)
        return Brain(self.networks, act, self._state, obs_norm)

    def _state(self) -> dict[str, Stateful]:
        parts: dict[str, Any] = {
            "policy": self.networks,
            "actor_optimizer": self.optimizers[0],
            "critic_optimizer": self.optimizers[1],
            "generator": GeneratorState(self.generator),
            "obs_norm": self.obs_norm,
            "scale": self.scale,
            "window": self.window,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def train(self, run: Session) -> None:
        """One update is a rollout and `n_epochs` over the window."""
        config, runner = self.config, self.start_runner()
        actor, rates = TorchActor(self.networks), Rates(config, "learning_rate", "clip_range")
        while not run.done:
            now, post = rates.at(run.progress_remaining), PostDecisions(runner)
            rollout = run.collect(actor, runner, config.n_steps, self.generator, before_step=post)
            if rollout is None:
                return
            with torch.no_grad():
                batch = self._batch(rollout, post)
            metrics = self._update(self.window.add(batch), **now)
            self.n_updates += config.n_epochs
            metrics["explained_variance"] = explained_variance(rollout.value.flatten(), batch.return_)
            named = {f"train/{name}": value for name, value in (metrics | now).items()}
            run.update_end(named | {"train/n_updates": self.n_updates}, runner.stats)

    def _batch(self, rollout: Rollout, post: PostDecisions) -> PDPPOBatch:
        """Flatten one rollout with its targets to N samples."""
        post_obs, post_reward = post.stack()
        if self.config.normalize_reward:
            for reward, done in zip(rollout.reward, rollout.terminated | rollout.truncated, strict=True):
                self.scale(reward, done)
            unit = (self.scale.var + self.scale.epsilon) ** 0.5
            rollout, post_reward = replace(rollout, reward=rollout.reward / unit), post_reward / unit
        post_value = self.networks.post_values(post_obs.flatten(0, 1)).view(post_reward.shape)
        targets = post_decision_targets(rollout, post_reward, post_value, self.config)
        advantage, return_, post_return = (x.flatten() for x in targets)
        obs, action = rollout.obs.flatten(0, 1), rollout.action.flatten(0, 1)
        mask = None if rollout.mask is None else rollout.mask.flatten(0, 1)
        log_prob = rollout.log_prob.flatten()
        if self.config.ratio == "component":
            log_prob = self.networks.log_prob(self.networks.distribution(obs, mask), action, "component")
        post_obs = post_obs.flatten(0, 1)
        return PDPPOBatch(obs, post_obs, action, log_prob, advantage, return_, post_return, mask)

    def _update(self, batch: PDPPOBatch, learning_rate: float, clip_range: float) -> dict[str, float]:
        """`n_epochs` over the window; the metrics' means."""
        config, history = self.config, []
        size = config.batch_size or len(batch)
        for _ in range(config.n_epochs):
            order = torch.randperm(len(batch), generator=self.generator, device=self.device)
            for start in range(0, len(batch), size):
                minibatch = batch.take(order[start : start + size]) if size < len(batch) else batch
                self.actor.zero_grad()
                self.critics.zero_grad()
                actor_loss, critic_loss, metrics = pdppo_losses(self.networks, minibatch, clip_range, config)
                (actor_loss + critic_loss).backward()  # no parameter has both
                metrics["grad_norm"] = self.optimizers[0].step(learning_rate, config.max_grad_norm)
                self.optimizers[1].step(learning_rate * config.critic_lr_factor, config.max_grad_norm)
                history.append({name: torch.as_tensor(value).detach() for name, value in metrics.items()})
        means = {name: float(torch.stack([m[name] for m in history]).mean()) for name in history[0]}
        check_update(means, self.actor, self.critics)
        return means
