"""Many PPO learners trained at once: the victims of adversarial cheap talk.

V = P R learners: P message functions, each heard by R learners that differ in their seed alone. All random numbers
(initial weights, start states, actions) are drawn per seed, [R, ...], and shared by the P learners of a seed: those
differ in what they are told and in nothing else. Learner p R + r is therefore exactly the learner that trains alone
with message function p and seed r, whatever else is in the batch.

As in the release, observation and message are scaled together by each learner's running mean and variance, updated
before they are applied; the first observation of all is not scaled. What differs from the release, and why: where the
time limit ends an episode, the value of the true last observation bootstraps (the release counts it as a termination);
a rollout in which no episode ends counts as one episode instead of dividing by zero.

Shapes: V learners, E environments each (learner v owns rows v E ... v E + E - 1), T steps, N = (T - 1) E samples.

Source: Adversarial Cheap Talk (Lu, Willi, Letcher, Foerster, arXiv 2211.11030) and its release.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite.adversarial.cheap_talk.victim_ppo import Samples, VictimConfig, VictimNet
from rlsuite.core.returns import gae
from rlsuite_envs.cheap_talk.wrapper import CheapTalk, CheapTalkState
from rlsuite_envs.kernel import Kernel, tree_map

__all__ = ["VICTIMS", "RunningScale", "Victims", "derived_seeds"]

VICTIMS = {
    "CartPole": VictimConfig(),
    "Pendulum": VictimConfig(num_envs=16, n_updates=128, gamma=0.95, ent_coef=0.005, learning_rate=0.02, stagger=True),
    "Reacher": VictimConfig(
        hidden=128,
        activation="relu",
        num_envs=32,
        n_steps=128,
        n_updates=256,
        n_epochs=10,
        ent_coef=0.0005,
        learning_rate=0.004,
        stagger=True,
    ),
}
"""The experiments' victims by preset of `CheapTalk`: 32,768, 524,288 and 1,048,576 environment steps each."""

CACHE_FLOATS = 2**17
"""Hidden units times samples of the learners that are updated together: half a megabyte, which a core's cache holds."""


def derived_seeds(*words: int, count: int) -> list[int]:
    """Seeds that depend on the given integers alone, e.g. a run's seed and generation: nothing to keep for a resume."""
    drawn = np.random.SeedSequence(words).generate_state(count, np.uint64)
    return [int(word >> np.uint64(1)) for word in drawn]


class RunningScale:
    """Observations by running mean and variance, one pair per learner.

    Args:
        learners: V.
        dim: D.
        device: of the observations.

    Attributes:
        mean: [V, 1, D]; 0 at first.
        var: [V, 1, D]; 1 at first.
        count: samples seen by each learner, and 1e-4.
    """

    epsilon = 1e-4

    def __init__(self, learners: int, dim: int, device: torch.device | str) -> None:
        self.mean = torch.zeros((learners, 1, dim), device=device)
        self.var = torch.ones_like(self.mean)
        self.count = 1e-4

    def update(self, obs: Tensor) -> None:
        """Learn from obs [V, E, D], by the parallel merge of Chan, Golub and LeVeque."""
        num = obs.shape[1]
        var, mean = torch.var_mean(obs, dim=1, correction=0, keepdim=True)
        total = self.count + num
        delta = mean.sub_(self.mean)
        self.mean.add_(delta, alpha=num / total)
        self.var.mul_(self.count / total).add_(var, alpha=num / total)
        self.var.addcmul_(delta, delta, value=self.count * num / total**2)
        self.count = total

    def __call__(self, obs: Tensor) -> Tensor:
        """(obs - mean) / sqrt(var + epsilon), [V, E, D]."""
        return (obs - self.mean).mul_((self.var + self.epsilon).rsqrt_())


class Victims:
    """V = P R learners in one cheap-talk environment, from their birth to the end of their training.

    Args:
        talk: the environment; its P networks are the message functions ("none" and constants count as one).
        config: the learners' hyper-parameters.
        seeds: R seeds, at least one.

    Attributes:
        net: their networks.
        scale: their statistics of observations.

    Raises:
        ValueError: no seeds, an environment with randomness of its own, more than one reward, actions that are neither
            Discrete nor a vector Box, or without a time limit where `config.stagger` needs one.

    Example:
        >>> talk = CheapTalk(CheapTalk.presets["CartPole"])
        >>> victims = Victims(talk, VictimConfig(n_updates=2), seeds=(0, 1))
        >>> victims.train().shape
        torch.Size([2, 1, 2])
    """

    def __init__(self, talk: CheapTalk, config: VictimConfig, seeds: Sequence[int]) -> None:
        _check(talk, config, seeds)
        self.talk = talk
        self.config = config
        self.device = talk.device
        self.networks = talk.speak.networks
        self.num_seeds = len(seeds)
        self.num = self.networks * self.num_seeds
        self._rngs = [torch.Generator(self.device).manual_seed(int(seed)) for seed in seeds]
        self.gaussian = isinstance(talk.action_space, spaces.Box)
        self.actions = (
            talk.action_space.shape[0] if isinstance(talk.action_space, spaces.Box) else int(talk.action_space.n)  # type: ignore[attr-defined]
        )
        dim = talk.observation_dim + talk.speak.dim
        # Weights have generators of their own: the environment's random stream does not depend on whether there is
        # a channel.
        births = [torch.Generator(self.device).manual_seed(derived_seeds(int(seed), count=1)[0]) for seed in seeds]
        self.net = VictimNet(births, self.networks, dim, self.actions, gaussian=self.gaussian, config=config)
        self.scale = RunningScale(self.num, dim, self.device)
        self._limit = talk.max_episode_steps or 2**62
        rows = self.num * config.num_envs
        self._channel = talk.speak.channels(rows, self.device)
        self._state = self._shared(lambda rng: talk.inner.initial_state(config.num_envs, rng))
        self._elapsed = torch.zeros(rows, dtype=torch.int64, device=self.device)
        if config.stagger:
            self._elapsed = self._shared(
                lambda rng: torch.randint(self._limit, (config.num_envs,), generator=rng, device=self.device)
            )
        self._obs = self._look(self._state)
        shape = (self.num, config.n_steps, config.num_envs)
        self._seen = torch.empty((*shape, dim), device=self.device)
        self._last = torch.zeros_like(self._seen)
        self._done = torch.zeros((2, *shape), dtype=torch.bool, device=self.device)
        self._numbers = torch.empty((3, *shape), device=self.device)
        self._acted = torch.empty(
            (*shape, self.actions) if self.gaussian else shape,
            dtype=torch.float32 if self.gaussian else torch.int64,
            device=self.device,
        )

    @torch.no_grad()
    def train(self, on_update: Callable[[int], None] | None = None) -> Tensor:
        """Train for `config.n_updates` rollouts; returns [U, P, R].

        A learner's return in a rollout is its sum of rewards over the number of episodes that ended in it.

        Args:
            on_update: called with the number of the update just done, from 0.

        Raises:
            FloatingPointError: a learner's reward or weights are NaN or infinite; the message names the learner.
        """
        returns = []
        for update in range(self.config.n_updates):
            returns.append(self.update())
            if on_update is not None:
                on_update(update)
        return torch.stack(returns)

    @torch.no_grad()
    def update(self) -> Tensor:
        """One rollout and `config.n_epochs` gradient steps on it; the learners' returns [P, R]."""
        self._collect()
        samples = self._targets()
        config = self.config
        # Learners are independent of each other, so that some may take all their steps before others begin; their
        # activations then stay in the cache. An accelerator wants all of them at once.
        together = self.num
        if self.device.type == "cpu":
            together = max(1, CACHE_FLOATS // (config.hidden * samples.obs.shape[1]))
        for first in range(0, self.num, together):
            some = slice(first, first + together)
            net, mine = self.net.rows(some), Samples(*[part[some] for part in vars(samples).values()])
            for _ in range(config.n_epochs):
                net.gradient(mine)
                net.step()
        self.net.steps += config.n_epochs
        reward, ended = self._numbers[2].sum((1, 2)), self._done.any(0).sum((1, 2))
        returns = reward / ended.clamp_min(1)
        finite = torch.isfinite(self.net.flat).all(1) & torch.isfinite(returns)
        if not bool(finite.all()):
            bad = int(finite.logical_not().nonzero()[0, 0])
            raise FloatingPointError(
                f"the victim of network {bad // self.num_seeds} and seed number {bad % self.num_seeds} has NaN or "
                "infinite weights or rewards; look at the environment, or lower learning_rate"
            )
        return returns.view(self.networks, self.num_seeds)

    def _shared(self, draw: Callable[[torch.Generator], Any]) -> Any:
        """Rows [V E, ...] of which each seed's E are drawn once, from its generator, and given to all P networks."""
        drawn = [draw(rng) for rng in self._rngs]
        return tree_map(lambda *parts: torch.cat(parts).repeat(self.networks, *(1,) * (parts[0].ndim - 1)), *drawn)

    def _look(self, state: Any) -> Tensor:
        """Observation and message [V, E, D] of the environment's states, not scaled."""
        seen = self.talk.observe(CheapTalkState(state, self._channel))
        return seen.view(self.num, self.config.num_envs, -1)

    def _restarts(self) -> Any:
        """A start state per step, seed and environment, fields [T, R E, ...]: whoever ends there goes on from it."""
        steps, envs = self.config.n_steps, self.config.num_envs
        drawn = [self.talk.inner.initial_state(steps * envs, rng) for rng in self._rngs]
        return tree_map(
            lambda *parts: torch.stack([part.unflatten(0, (steps, envs)) for part in parts], 1).flatten(1, 2),
            *drawn,
        )

    def _noise(self) -> Tensor:
        """Random numbers for sampling actions: uniform [T, V, E], or standard normal [T, V, A, E]."""
        steps, envs = self.config.n_steps, self.config.num_envs
        shape = (steps, self.actions, envs) if self.gaussian else (steps, envs)
        draw = torch.randn if self.gaussian else torch.rand
        per_seed = torch.stack([draw(shape, generator=rng, device=self.device) for rng in self._rngs], 1)
        return per_seed.repeat(1, self.networks, *(1,) * (per_seed.ndim - 2))

    def _collect(self) -> None:
        """Take T steps in all environments."""
        restarts, noises = self._restarts(), self._noise()
        log_probs, values, rewards = self._numbers
        terminations, truncations = self._done
        shape = (self.num, self.config.num_envs)
        for t in range(self.config.n_steps):
            heads = self.net.heads(self._obs)
            action, log_prob = self.net.act(heads, noises[t])
            if self.gaussian:
                action = action.mT
            ended, reward, terminated = self.talk.inner.advance(self._state, action.flatten(0, 1))
            self._elapsed += 1
            truncated = (self._elapsed >= self._limit) & ~terminated
            done = terminated | truncated
            self._seen[:, t], self._acted[:, t] = self._obs, action
            log_probs[:, t], values[:, t], rewards[:, t] = log_prob, heads[:, 0], reward.view(shape)
            terminations[:, t], truncations[:, t] = terminated.view(shape), truncated.view(shape)
            self._state = self._restart(ended, restarts, t, done)
            self._elapsed.masked_fill_(done, 0)
            obs = self._look(self._state)
            self.scale.update(obs)
            self._obs = self.scale(obs)
            # Asking whether any did would make an accelerator wait; there it is cheaper to look at all of them.
            if self.device.type != "cpu" or bool(truncated.any()):
                self._last[:, t] = self.scale(self._look(ended))

    def _restart(self, ended: Any, restarts: Any, t: int, done: Tensor) -> Any:
        """Step t's start states where an episode is done, else the states as they are."""
        done = done.view(self.networks, -1)

        def pick(fresh: Tensor, old: Tensor) -> Tensor:
            mask = done.view(*done.shape, *(1,) * (old.ndim - 1))
            return torch.where(mask, fresh[t], old.view(*done.shape, *old.shape[1:])).flatten(0, 1)

        return tree_map(pick, restarts, ended)

    def _targets(self) -> Samples:
        """The rollout without its last step, with advantages and returns."""
        log_prob, value, reward = self._numbers
        terminated, truncated = self._done
        ahead = value[:, 1:]
        if bool(truncated[:, :-1].any()):
            flat = self._last.flatten(1, 2)
            final = self.net.heads(flat)[:, 0].unflatten(1, self._last.shape[1:3])
            ahead = torch.where(truncated[:, :-1], final[:, :-1], ahead)
        steps = self.config.n_steps - 1
        rows = [
            part[:, :steps].transpose(0, 1).flatten(1)
            for part in (reward, value, ahead, terminated, terminated | truncated)
        ]
        found = gae(*rows, gamma=self.config.gamma, gae_lambda=self.config.gae_lambda)
        advantage, return_ = (part.unflatten(1, (self.num, -1)).transpose(0, 1).flatten(1) for part in found)
        std, mean = torch.std_mean(advantage, dim=1, correction=0, keepdim=True)
        acted = self._acted[:, :steps].flatten(1, 2)
        if self.gaussian:
            action = acted.mT.contiguous()
        else:
            action = torch.zeros((self.num, self.actions, acted.shape[1]), device=self.device)
            action.scatter_(1, acted[:, None], 1.0)
        return Samples(
            obs=self._seen[:, :steps].flatten(1, 2),
            action=action,
            log_prob=log_prob[:, :steps].flatten(1),
            value=value[:, :steps].flatten(1),
            advantage=(advantage - mean) / (std + 1e-8),
            return_=return_,
        )

    @torch.no_grad()
    def act(self, obs: Tensor) -> Tensor:
        """Actions of the learners without exploration, with frozen statistics: [V, B] int64, or [V, B, A].

        Args:
            obs: observation and message, not scaled, [V, B, D].
        """
        mode = self.net.mode(self.net.heads(self.scale(obs)))
        return mode.mT if self.gaussian else mode


def _check(talk: CheapTalk, config: VictimConfig, seeds: Sequence[int]) -> None:
    """Raise ValueError unless learners can share the environment's random numbers and act in it."""
    if len(seeds) < 1 or min(seeds) < 0:
        raise ValueError(f"seeds={list(seeds)!r} must be at least one, none of them negative")
    inner = type(talk.inner)
    if inner.sample_exogenous is not Kernel.sample_exogenous:
        raise ValueError(
            f"{inner.__name__} draws noise in every step, which victims could not share; choose an environment whose "
            "randomness is in its start states (CartPole, Pendulum, Reacher, Acrobot, MountainCar)"
        )
    space = talk.action_space
    vector = isinstance(space, spaces.Box) and len(space.shape) == 1
    if not (vector or isinstance(space, spaces.Discrete)) or talk.reward_dim is not None:
        raise ValueError(
            f"{inner.__name__} has actions {space} and reward_dim {talk.reward_dim}; victims need Discrete or a vector "
            "Box, and one reward"
        )
    if config.stagger and talk.max_episode_steps is None:
        raise ValueError(f"stagger is set but {inner.__name__} has no time limit; set horizon, or stagger=False")
