"""Attacks with an aim: make the victim behave like another policy (the intention), after RAT (Bai et al., AAAI 2025).

`TargetedAttack` follows the gradient of -KL(pi_victim(.|s~) || pi_theta(.|s)) at every step. `RATAttack` learns an
adversary alpha once and then needs no gradient; with s~ = s + eps alpha(s), |alpha| <= 1 (arXiv 2412.10713):

    inner:  min_alpha  L = E_s[ h_w(s) KL( pi_victim(.|s~) || pi_theta(.|s) ) ]
    outer:  min_w  J(alpha(w)) = E[ -Q_phi(s, a) ],   a ~ pi_victim(.|s~)

The weights h_w = 1 + tanh(MLP) say where imitation matters. alpha(w) is one gradient step, alpha^ = alpha - lr grad L,
through which J is differentiated; Q_phi is the intention's own critic. States come from a mixture: in each episode the
attacked victim acts for the first h ~ U{0..T - 1} steps, the intention policy after (without it, the paper loses 27 to
55 points of success).

What differs, and why: the intention policy is given (a trained SAC, say), not learned from preferences here; J leaves
out the entropy term mu log pi (the victim's is not ours to reward); the KL is the closed form between the policies'
Gaussians with their own standard deviations (the release fixes the victim's at 1 and has -log s2 where -2 log s2 is
right), and half the squared distance of the actions where one policy's Gaussian is squashed and the other's is not;
budgets are the zoo's, l-infinity or l2, where the release normalises by p = 1.

Shapes: N rows, O observation entries, A action entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.func import functional_call

from rlsuite.adversarial.attacks.budget import Budget, project
from rlsuite.adversarial.attacks.gradient import ascend, divergence, in_box
from rlsuite.adversarial.attacks.victim import Victim
from rlsuite.core.config import check_range, check_types
from rlsuite.core.evaluate import own_draws
from rlsuite.core.networks import mlp
from rlsuite.core.rng import ATTACK, OPPONENT, env_seed, own_seed
from rlsuite.core.two_player import make_one_player
from rlsuite.core.vec_env import env_action, to_numpy

__all__ = ["RATAttack", "RATConfig", "TargetedAttack", "check_intention"]


def check_intention(victim: Victim, intention: Victim) -> None:
    """Raise unless the victim can be measured against the intention.

    Raises:
        ValueError: other spaces, or a policy without networks.
    """
    victim.need("heads", "rat"), intention.need("heads", "rat")
    for name in ("observation_space", "action_space"):
        mine, theirs = getattr(victim, name), getattr(intention, name)
        if mine.shape != theirs.shape or type(mine) is not type(theirs):
            raise ValueError(f"the intention's {name} is {theirs}, the victim's {mine}; they must be alike")
    if isinstance(mine, spaces.Discrete) and mine != theirs:
        raise ValueError(f"the intention has actions {theirs}, the victim {mine}; give one with the same choices")


class TargetedAttack:
    """Projected gradient steps towards the intention's behaviour.

    Args:
        intention: whose actions are wanted, at the true observation.
        steps: gradient steps.

    Raises:
        ValueError: see `check_intention`, once a victim is there.
    """

    name = "targeted"

    def __init__(self, intention: Victim, steps: int = 10) -> None:
        self.intention = intention
        self.steps = steps

    def check(self, victim: Victim) -> None:
        """Raise unless the victim can be attacked so; see `check_intention`."""
        check_intention(victim, self.intention)

    def __call__(self, obs: Tensor, victim: Victim, radius: Tensor, norm: str, generator: torch.Generator) -> Tensor:
        """See `rlsuite.adversarial.attacks.protocol.Attack`."""
        heads = victim.need("heads", self.name)
        with torch.no_grad():
            wanted = self.intention.need("heads", self.name)(obs)
        return ascend(
            lambda s: -divergence(victim, heads(s), wanted),
            obs,
            victim.unit,
            radius,
            norm,
            steps=self.steps,
            step_size=2.5 / self.steps,
            name=self.name,
        )


@dataclass(frozen=True)
class RATConfig:
    """Hyper-parameters of RAT; the release's where they fit a CPU.

    Raises:
        ValueError: a value out of range.
    """

    steps: int = 50_000
    """Environment steps watched, >= 1."""
    num_envs: int = 16
    """Environments watched in parallel, >= 1."""
    horizon: int = 500
    """T, at which the mixture's switch is drawn, >= 1."""
    net_arch: tuple[int, ...] = (256, 256, 256)
    """Widths of the adversary's hidden layers."""
    learning_rate: float = 3e-4
    """Step size of the adversary's Adam, and of the unrolled step; > 0."""
    weight_learning_rate: float = 1e-3
    """Step size of the Adam of the weights h_w, > 0."""
    batch_size: int = 512
    """States per gradient step, >= 1."""
    inner_every: int = 100
    """Environment steps (of all together) between inner updates, >= 1."""
    inner_steps: int = 10
    """Gradient steps of an inner update, >= 1."""
    outer_every: int = 1000
    """Environment steps between outer updates, >= 1."""
    weighted: bool = True
    """Whether h_w is learned; False keeps it at 1 (and needs no critic of the intention)."""

    def __post_init__(self) -> None:
        check_types(self)
        inf = float("inf")
        check_range(
            self,
            steps=(1, inf),
            num_envs=(1, inf),
            horizon=(1, inf),
            learning_rate=(1e-12, 1),
            weight_learning_rate=(1e-12, 1),
            batch_size=(1, inf),
            inner_every=(1, inf),
            inner_steps=(1, inf),
            outer_every=(1, inf),
        )


class RATAttack:
    """The learned adversary; make it with `fit`.

    Args:
        net: alpha before its bound, on rows [N, O] centred and in budget units.
        centre: [O].
    """

    name = "rat"

    def __init__(self, net: nn.Module, centre: Tensor) -> None:
        self.net = net
        self.centre = centre

    @classmethod
    def fit(
        cls,
        victim: Victim,
        intention: Victim,
        env: str,
        budget: Budget,
        config: RATConfig | None = None,
        *,
        seed: int = 0,
        env_kwargs: dict[str, Any] | None = None,
    ) -> RATAttack:
        """Learn to make the victim act like the intention.

        Args:
            victim: stays as it is.
            intention: whose behaviour is wanted; with `weighted`, its critic judges.
            env: Gymnasium id.
            budget: per step.
            config: hyper-parameters.
            seed: of everything.
            env_kwargs: of the environment.

        Raises:
            ValueError: see `check_intention`; a budget per episode, or of some steps only.
        """
        config = config or RATConfig()
        check_intention(victim, intention)
        if budget.scope != "step":
            raise ValueError(f"RAT has a budget per step, not {budget}")
        if budget.ratio != 1:
            raise ValueError(
                f"RAT learns for a budget that every step has, not ratio={budget.ratio}; fit it with ratio=1 "
                "and let the attack itself have the ratio"
            )
        if config.weighted:
            intention.need("q_value", "rat")
        learner = _Learner(victim, intention, budget, config, seed)
        venv = make_one_player(env, config.num_envs, env_kwargs)
        try:
            # samples of both policies come from the seed, and neither generator has moved afterwards
            other = own_seed(seed, OPPONENT)
            with own_draws(victim.model, seed), own_draws(intention.model, other):
                learner.watch(venv, seed)
        finally:
            venv.close()
        return learner.attack

    def bounded(self, obs: Tensor, unit: Tensor, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
        """alpha(s) [N, O] in [-1, 1]."""
        rows = ((obs - self.centre) / unit).float().clamp(-10, 10)
        out = self.net(rows) if parameters is None else functional_call(self.net, dict(parameters), (rows,))
        return out.tanh().double()

    def __call__(self, obs: Tensor, victim: Victim, radius: Tensor, norm: str, generator: torch.Generator) -> Tensor:
        """See `rlsuite.adversarial.attacks.protocol.Attack`."""
        with torch.no_grad():
            return project(radius[:, None] * self.bounded(obs, victim.unit), radius, norm)


class _Learner:
    """The two levels of RAT."""

    def __init__(self, victim: Victim, intention: Victim, budget: Budget, config: RATConfig, seed: int) -> None:
        self.victim = victim
        self.intention = intention
        self.budget = budget
        self.config = config
        self.generator = torch.Generator().manual_seed(own_seed(seed, ATTACK))
        size = victim.obs_size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(own_seed(seed, ATTACK, 1))
            net = mlp(size, config.net_arch, size, "relu", out_gain=0.1)
            self.weight = mlp(size, (64, 64), 1, "tanh", out_gain=0.01)
        self.attack = RATAttack(net, torch.zeros(size, dtype=torch.float64))
        self.adam = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
        self.weight_adam = torch.optim.Adam(self.weight.parameters(), lr=config.weight_learning_rate)
        self.seen: list[Tensor] = []

    def watch(self, venv: Any, seed: int) -> None:
        """Collect states by the mixture and learn from them."""
        config, count = self.config, venv.num_envs
        obs, _ = venv.reset(seed=env_seed(seed, ATTACK))
        switch, age = self._switches(count), torch.zeros(count, dtype=torch.long)
        inner = outer = 0
        for taken in range(count, config.steps + count, count):
            array = to_numpy(obs)
            rows = torch.as_tensor(array.reshape(count, -1)).double()
            self.seen.append(rows)
            action = self._act(array, rows, age < switch)
            obs, _, terminated, truncated, _ = venv.step(env_action(venv, action))
            done = torch.as_tensor(to_numpy(terminated) | to_numpy(truncated))
            age = torch.where(done, 0, age + 1)
            switch = torch.where(done, self._switches(count), switch)
            if taken // config.inner_every > inner:
                inner = taken // config.inner_every
                data = torch.cat(self.seen)
                self.attack.centre = data.mean(dim=0)
                for _ in range(config.inner_steps):
                    self._inner(self._batch(data))
            if config.weighted and taken // config.outer_every > outer:
                outer = taken // config.outer_every
                self._outer(self._batch(torch.cat(self.seen)))

    def _switches(self, count: int) -> Tensor:
        return torch.randint(self.config.horizon, (count,), generator=self.generator)

    def _act(self, array: np.ndarray, rows: Tensor, attacked: Tensor) -> np.ndarray:
        """The attacked victim's actions where `attacked` [B], the intention's elsewhere."""
        radius = torch.full((len(rows),), self.budget.eps, dtype=torch.float64)
        delta = self.attack(rows, self.victim, radius, self.budget.norm, self.generator)
        shown = (rows + self.victim.unit * delta).numpy().astype(array.dtype).reshape(array.shape)
        mine = np.asarray(self.victim.model.predict(shown, deterministic=False)[0])
        theirs = np.asarray(self.intention.model.predict(array, deterministic=False)[0])
        return np.where(attacked.numpy().reshape(-1, *[1] * (mine.ndim - 1)), mine, theirs).astype(mine.dtype)

    def _batch(self, data: Tensor) -> Tensor:
        index = torch.randint(len(data), (min(self.config.batch_size, len(data)),), generator=self.generator)
        return data[index]

    def _shown(self, obs: Tensor, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
        alpha = self.attack.bounded(obs, self.victim.unit, parameters) * self.budget.eps
        if self.budget.norm == "l2":
            alpha = alpha * (self.budget.eps / alpha.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp(max=1)
        return obs + self.victim.unit * alpha

    def _divergence(self, obs: Tensor, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
        """KL [N] between the victim at its view and the intention at the truth; see `policy_divergence`."""
        with torch.no_grad():
            wanted = self.intention.need("heads", "rat")(obs)
        return divergence(self.victim, self.victim.need("heads", "rat")(self._shown(obs, parameters)), wanted)

    def _weights(self, obs: Tensor) -> Tensor:
        if not self.config.weighted:
            return torch.ones(len(obs), dtype=torch.float64)
        rows = ((obs - self.attack.centre) / self.victim.unit).float().clamp(-10, 10)
        return 1 + self.weight(rows).squeeze(1).tanh().double()

    def _inner(self, obs: Tensor) -> None:
        """One step of the adversary."""
        loss = (self._weights(obs).detach() * self._divergence(obs)).mean()
        self.adam.zero_grad()
        loss.backward(inputs=list(self.attack.net.parameters()))
        self.adam.step()

    def _outer(self, obs: Tensor) -> None:
        """One step of the weights, through one unrolled step of the adversary."""
        parameters: dict[str, Tensor] = dict(self.attack.net.named_parameters())
        loss = (self._weights(obs) * self._divergence(obs, parameters)).mean()
        gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
        ahead = {
            name: value - self.config.learning_rate * gradient
            for (name, value), gradient in zip(parameters.items(), gradients, strict=True)
        }
        action = in_box(self.victim.need("heads", "rat")(self._shown(obs, ahead)).action, self.victim)
        outer = -self.intention.need("q_value", "rat")(obs, action).mean()
        self.weight_adam.zero_grad()
        outer.backward(inputs=list(self.weight.parameters()))
        self.weight_adam.step()
