"""Robust Sarsa (Zhang et al. 2020, arXiv 2003.08938): an action value that withstands small changes, then attacked.

A value network's gradient off the visited states is arbitrary; so Q(s, a) of the frozen victim is learned on its own
trajectories with a bound on how much it can change nearby:

    L = SmoothL1(Q(s, a), r + gamma (1 - terminated) Q(s', a')) + reg mean( max(Q_up - Q, Q - Q_low)^2 )

Q_low and Q_up bound Q over the l-infinity ball of radius `sarsa_eps` around [s; a] by interval arithmetic (the release
mixes in CROWN bounds; ours are looser, and so regularise a little more); the radius grows from 0 during the middle
third.
The release shuffles and then pairs neighbours of a minibatch; here (s', a') is the true successor. The attack then
minimises Q(s, mu(s~)), optionally with a share of maximal action difference (RS+MAD).

Shapes: N rows, O observation entries, A action entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rlsuite.adversarial.attacks.budget import project
from rlsuite.adversarial.attacks.gradient import ascend, in_box, policy_divergence
from rlsuite.adversarial.attacks.victim import Victim
from rlsuite.core.config import check_range, check_types
from rlsuite.core.guard import check_tree
from rlsuite.core.networks import mlp
from rlsuite.core.rng import ATTACK, env_seed, own_seed
from rlsuite.core.two_player import make_one_player
from rlsuite.core.vec_env import env_action, to_numpy

__all__ = ["RobustSarsaAttack", "SarsaConfig", "interval_bounds"]


@dataclass(frozen=True)
class SarsaConfig:
    """Settings of the fit; the release's where it has one.

    Raises:
        ValueError: a value out of range.
    """

    rounds: int = 30
    """Batches of fresh trajectories, >= 1."""
    n_steps: int = 2048
    """Samples of a round, over all environments, >= 1."""
    n_epochs: int = 10
    """Passes over a round, >= 1."""
    batch_size: int = 64
    """Samples per minibatch, >= 1."""
    learning_rate: float = 1e-3
    """Adam's step size, constant for two thirds of the rounds, then falling to 0; > 0."""
    gamma: float = 0.99
    """Discount, in [0, 1]."""
    sarsa_eps: float = 0.02
    """Radius of the bound, in units of the network's inputs, >= 0; the papers take the best of .02 to .3."""
    reg: float = 0.1
    """Weight of the bound, >= 0; the papers take the best of .1 to 10."""
    net_arch: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers of Q."""
    mad_coef: float = 0.0
    """c in [0, 1): share of maximal action difference in the attack's objective (RS+MAD)."""

    def __post_init__(self) -> None:
        check_types(self)
        inf = float("inf")
        check_range(
            self,
            rounds=(1, inf),
            n_steps=(1, inf),
            n_epochs=(1, inf),
            batch_size=(1, inf),
            learning_rate=(1e-12, 1),
            gamma=(0, 1),
            sarsa_eps=(0, inf),
            reg=(0, inf),
            mad_coef=(0, 0.999),
        )


def interval_bounds(net: nn.Sequential, x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Lower and upper bounds [N, K] of a network of linear layers and monotone activations over |x' - x|_inf <= eps."""
    centre, radius = x, torch.full_like(x, eps)
    for layer in net:
        if isinstance(layer, nn.Linear):
            centre, radius = layer(centre), radius @ layer.weight.abs().T
        else:
            low, high = layer(centre - radius), layer(centre + radius)
            centre, radius = (low + high) / 2, (high - low) / 2
    return centre - radius, centre + radius


class RobustSarsaAttack:
    """Minimises the learned Q(s, mu(s~)); see the module.

    Args:
        net: Q on rows [N, O + A] of normalised observations and actions in the environment's units.
        centre: [O] mean of the observations.
        config: with the attack's `mad_coef`.
        steps: gradient steps.
    """

    name = "robust-sarsa"

    def __init__(self, net: nn.Sequential, centre: Tensor, config: SarsaConfig, steps: int = 10) -> None:
        self.net = net
        self.centre = centre
        self.config = config
        self.steps = steps

    @classmethod
    def fit(
        cls,
        victim: Victim,
        env: str,
        config: SarsaConfig | None = None,
        *,
        num_envs: int = 16,
        seed: int = 0,
        env_kwargs: dict[str, Any] | None = None,
    ) -> RobustSarsaAttack:
        """Learn Q of the victim's deterministic policy on its own trajectories.

        Raises:
            ValueError: a victim without networks or with choices for actions (take "critic" or "min-q").
        """
        config = config or SarsaConfig()
        cls.check(victim)
        generator = torch.Generator().manual_seed(own_seed(seed, ATTACK))
        actions = int(np.prod(victim.action_space.shape or (1,)))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(own_seed(seed, ATTACK, 1))
            net = mlp(victim.obs_size + actions, config.net_arch, 1, "tanh")
        adam = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
        length = max(2, config.n_steps // num_envs)
        venv = make_one_player(env, num_envs, env_kwargs)
        centre: Tensor | None = None
        scale = 1.0
        try:
            obs, _ = venv.reset(seed=env_seed(seed, ATTACK))
            for k in range(config.rounds):
                obs, batch = _collect(venv, victim, obs, length)
                if centre is None:
                    centre, scale = batch["obs"].mean(dim=0), max(float(batch["reward"].std()), 1e-3)
                rows = {
                    "now": _rows(batch["obs"], batch["action"], centre, victim),
                    "next": _rows(batch["next_obs"], batch["next_action"], centre, victim),
                    "reward": (batch["reward"] / scale).float(),
                    "alive": batch["alive"].float(),
                }
                share = k / max(1, config.rounds - 1)
                for group in adam.param_groups:
                    group["lr"] = config.learning_rate * min(1.0, 3 * (1 - share) + 1e-3)
                eps = config.sarsa_eps * min(1.0, max(0.0, 3 * share - 1))
                for _ in range(config.n_epochs):
                    order = torch.randperm(len(rows["now"]), generator=generator)
                    for index in order.split(config.batch_size):
                        _step(net, adam, {name: value[index] for name, value in rows.items()}, config, eps)
        finally:
            venv.close()
        assert centre is not None
        return cls(net.requires_grad_(False), centre, config)

    @staticmethod
    def check(victim: Victim) -> None:
        """Raise unless the victim has what the attack needs.

        Raises:
            ValueError: it has not.
        """
        victim.need("heads", "robust-sarsa")
        if victim.discrete:
            raise ValueError(
                f"attack 'robust-sarsa' needs Box actions; {victim.name} has {victim.action_space} (take 'critic')"
            )

    def __call__(self, obs: Tensor, victim: Victim, radius: Tensor, norm: str, generator: torch.Generator) -> Tensor:
        """See `rlsuite.adversarial.attacks.protocol.Attack`."""
        heads, share = victim.need("heads", self.name), self.config.mad_coef
        with torch.no_grad():
            clean = heads(obs)

        def objective(s: Tensor) -> Tensor:
            attacked = heads(s)
            worth = self.net(_rows(obs, in_box(attacked.action, victim), self.centre, victim)).squeeze(1)
            if not share:
                return -worth
            return -(1 - share) * worth + share * policy_divergence(clean, attacked) / attacked.mean.shape[1]

        noise = torch.rand(obs.shape, generator=generator, dtype=torch.float64) * 2 - 1
        start = project(noise * (radius / self.steps)[:, None], radius, norm)
        return ascend(
            objective,
            obs,
            victim.unit,
            radius,
            norm,
            steps=self.steps,
            step_size=2.5 / self.steps,
            start=start,
            name=self.name,
        )


def _rows(obs: Tensor, action: Tensor, centre: Tensor, victim: Victim) -> Tensor:
    """Network inputs [N, O + A] float32 of observations [N, O] and actions [N, A], both raw."""
    return torch.cat([((obs - centre) / victim.unit).float().clamp(-10, 10), action.float()], dim=1)


def _collect(venv: Any, victim: Victim, obs: Any, length: int) -> tuple[Any, dict[str, Tensor]]:
    """Transitions (s, a, r, s', a') of `length` steps of every environment; the true successors."""
    num_envs = venv.num_envs
    parts: dict[str, list[Tensor]] = {name: [] for name in ("obs", "action", "reward", "next_obs", "alive")}
    for t in range(length):
        array = to_numpy(obs)
        check_tree("observation", array, t)
        action, _ = victim.model.predict(array, deterministic=True)
        obs, reward, terminated, truncated, info = venv.step(env_action(venv, action))
        check_tree("reward", reward, t + 1)
        final = to_numpy(obs).reshape(num_envs, -1).astype(np.float64).copy()
        done = to_numpy(terminated) | to_numpy(truncated)
        if done.any():
            last = info["final_obs"]
            for i in np.flatnonzero(done):
                final[i] = to_numpy(last[i]).reshape(-1)
        check_tree("last observation", final, t + 1)
        parts["obs"].append(torch.from_numpy(array.reshape(num_envs, -1).astype(np.float64)))
        parts["action"].append(torch.as_tensor(action).reshape(num_envs, -1).double())
        parts["reward"].append(torch.as_tensor(to_numpy(reward)).double())
        parts["next_obs"].append(torch.from_numpy(final))
        parts["alive"].append(torch.as_tensor(~to_numpy(terminated)))
    batch = {name: torch.cat(values) for name, values in parts.items()}
    shape = victim.observation_space.shape or ()
    raw = batch["next_obs"].numpy().astype(victim.observation_space.dtype).reshape(-1, *shape)
    batch["next_action"] = torch.as_tensor(victim.model.predict(raw, deterministic=True)[0])
    batch["next_action"] = batch["next_action"].reshape(len(raw), -1).double()
    return obs, batch


def _step(net: nn.Sequential, adam: torch.optim.Adam, rows: dict[str, Tensor], config: SarsaConfig, eps: float) -> None:
    """Take one gradient step on a minibatch."""
    with torch.no_grad():
        target = rows["reward"] + config.gamma * rows["alive"] * net(rows["next"]).squeeze(1)
    q = net(rows["now"]).squeeze(1)
    loss = nn.functional.smooth_l1_loss(q, target)
    if eps > 0 and config.reg > 0:
        low, high = interval_bounds(net, rows["now"], eps)
        loss = loss + config.reg * torch.maximum(high.squeeze(1) - q, q - low.squeeze(1)).square().mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
