"""Attacks that need nothing but `predict`: search, finite differences, and transfer from an imitation.

| attack | what it does |
|---|---|
| search | of K random points on the sphere, the one whose action differs most from the clean one |
| finite-difference | ascent on the action's difference, its gradient by antithetic Gaussian probes (Box actions) |
| transfer | fits a network to the victim's own actions, then maximal action difference on that network ("snooping") |

Shapes: N rows, O observation entries, A action entries or choices, K candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from rlsuite.adversarial.attacks.budget import project, steepest
from rlsuite.adversarial.attacks.gradient import GradientAttack
from rlsuite.adversarial.attacks.uniform import uniform_in_ball
from rlsuite.adversarial.attacks.victim import Victim, watch
from rlsuite.core.brain import PolicyOutput
from rlsuite.core.config import check_types
from rlsuite.core.networks import mlp
from rlsuite.core.rng import ATTACK, own_seed

__all__ = ["FiniteDifferenceAttack", "SearchAttack", "TransferAttack"]


def modes(victim: Victim, obs: Tensor) -> Tensor:
    """The deterministic actions that `predict` gives: [N, A] float in units of the half range, or choices [N, 1]."""
    shape = victim.observation_space.shape or ()
    raw = obs.numpy().astype(victim.observation_space.dtype).reshape(-1, *shape)
    action, _ = victim.model.predict(raw, deterministic=True)
    found = torch.as_tensor(np.asarray(action)).reshape(len(obs), -1).double()
    space = victim.action_space
    if isinstance(space, spaces.Box) and space.is_bounded("both"):
        half = torch.as_tensor((space.high - space.low).reshape(-1) / 2).double()
        found = found / half.clamp_min(1e-12)
    return found


def change(victim: Victim, clean: Tensor, obs: Tensor) -> Tensor:
    """Squared distance [N] of the mode at obs [N, O] to the clean one, or whether the choice changed."""
    found = modes(victim, obs)
    if victim.discrete:
        return (found != clean).squeeze(1).double()
    return (found - clean).square().sum(dim=1)


@dataclass(frozen=True)
class SearchAttack:
    """The best of K random points on the sphere; ties stay with the first."""

    candidates: int = 32
    """K, random points tried, >= 1."""
    name: str = "search"

    def __post_init__(self) -> None:
        check_types(self)
        if self.candidates < 1:
            raise ValueError(f"SearchAttack.candidates is {self.candidates}; it must be at least 1")

    def __call__(self, obs: Tensor, victim: Victim, radius: Tensor, norm: str, generator: torch.Generator) -> Tensor:
        """See `rlsuite.adversarial.attacks.protocol.Attack`."""
        n, o = obs.shape
        tries = [uniform_in_ball((n, o), radius, norm, generator, surface=True) for _ in range(self.candidates)]
        delta = torch.stack(tries)  # [K, N, O]
        points = (obs + victim.unit * delta).reshape(-1, o)
        score = change(victim, modes(victim, obs).repeat(self.candidates, 1), points)
        best = score.reshape(self.candidates, n).argmax(dim=0)
        return delta[best, torch.arange(n)]


@dataclass(frozen=True)
class FiniteDifferenceAttack:
    """K ascent steps on the mode's squared change, each along an antithetic Gaussian gradient estimate."""

    steps: int = 5
    """K, ascent steps, >= 1."""
    pairs: int = 16
    """Antithetic pairs per gradient estimate, >= 1; a step queries the victim 2 * pairs + 1 times."""
    width: float = 0.1
    """Standard deviation of the probes, as a fraction of the radius, > 0."""
    name: str = "finite-difference"

    def __post_init__(self) -> None:
        check_types(self)
        if self.steps < 1 or self.pairs < 1 or not self.width > 0:
            raise ValueError(
                f"FiniteDifferenceAttack needs steps, pairs >= 1 and width > 0, not {self.steps}, {self.pairs}, "
                f"{self.width}"
            )

    def check(self, victim: Victim) -> None:
        """Raise unless actions are a Box: the mode of choices has no slope.

        Raises:
            ValueError: they are not.
        """
        if victim.discrete:
            raise ValueError(
                f"attack 'finite-difference' needs Box actions; {victim.name} has {victim.action_space} (take 'search')"
            )

    def __call__(self, obs: Tensor, victim: Victim, radius: Tensor, norm: str, generator: torch.Generator) -> Tensor:
        """See `rlsuite.adversarial.attacks.protocol.Attack`."""
        self.check(victim)
        n, o = obs.shape
        clean = modes(victim, obs)
        delta = uniform_in_ball((n, o), radius, norm, generator, surface=True)
        best, best_score = delta, change(victim, clean, obs + victim.unit * delta)
        sigma = self.width * radius.clamp_min(1e-12)
        for _ in range(self.steps):
            noise = torch.randn((self.pairs, n, o), generator=generator, dtype=torch.float64)
            probes = torch.cat([delta + sigma[:, None] * noise, delta - sigma[:, None] * noise])
            points = (obs + victim.unit * probes).reshape(-1, o)
            score = change(victim, clean.repeat(2 * self.pairs, 1), points).reshape(2, self.pairs, n)
            slope = ((score[0] - score[1])[:, :, None] * noise).mean(dim=0)
            delta = project(delta + 0.5 * radius[:, None] * steepest(slope, norm), radius, norm)
            now = change(victim, clean, obs + victim.unit * delta)
            best = torch.where((now > best_score)[:, None], delta, best)
            best_score = torch.maximum(now, best_score)
        return best


class TransferAttack:
    """Maximal action difference on a network that imitates the victim, whose own networks stay unseen.

    Args:
        imitation: the imitating victim, from `fit`.
        steps: gradient steps of the attack.
    """

    name = "transfer"

    def __init__(self, imitation: Victim, steps: int = 10) -> None:
        self.imitation = imitation
        self.attack = GradientAttack("mad", steps)

    @classmethod
    def fit(
        cls,
        victim: Victim,
        env: str,
        *,
        num_envs: int = 16,
        steps: int = 500,
        epochs: int = 30,
        seed: int = 0,
        env_kwargs: dict[str, Any] | None = None,
    ) -> TransferAttack:
        """Watch the victim act, with noise on what it sees so that its surroundings are known, and imitate it.

        Args:
            victim: is only asked for actions.
            env: Gymnasium id.
            num_envs: environments watched.
            steps: of every environment.
            epochs: passes over what was seen.
            seed: of environments, noise and the network.
            env_kwargs: of the environment.
        """
        generator = torch.Generator().manual_seed(own_seed(seed, ATTACK))
        seen = watch(victim.model, env, num_envs, steps, seed, env_kwargs)
        noise = torch.randn(seen.shape, generator=generator, dtype=torch.float64) * 0.1
        obs = torch.cat([seen, seen + victim.unit * noise])
        action = modes(victim, obs)
        mean, unit = seen.mean(dim=0), victim.unit
        net = _imitate(victim, ((obs - mean) / unit).float(), action, epochs, generator, seed)

        def heads(s: Tensor) -> PolicyOutput:
            out = net(((s - mean) / unit).float())
            return PolicyOutput(out, None, out)

        copy = Victim(
            "imitation",
            victim.model,
            victim.observation_space,
            victim.action_space,
            unit,
            victim.unit_name,
            heads,
        )
        return cls(copy)

    def __call__(self, obs: Tensor, victim: Victim, radius: Tensor, norm: str, generator: torch.Generator) -> Tensor:
        """See `rlsuite.adversarial.attacks.protocol.Attack`."""
        return self.attack(obs, self.imitation, radius, norm, generator)


def _imitate(
    victim: Victim, rows: Tensor, action: Tensor, epochs: int, generator: torch.Generator, seed: int
) -> nn.Module:
    """A network fitted to actions [N, A] (squared error) or choices [N, 1] (cross-entropy) at rows [N, O]."""
    space = victim.action_space
    discrete = isinstance(space, spaces.Discrete)
    size = int(space.n) if isinstance(space, spaces.Discrete) else action.shape[1]
    start = int(space.start) if isinstance(space, spaces.Discrete) else 0
    target = (action.squeeze(1) - start).long() if discrete else action.float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(own_seed(seed, ATTACK, 1))
        net = mlp(rows.shape[1], (128, 128), size, "tanh", out_gain=0.1)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(epochs):
        order = torch.randperm(len(rows), generator=generator)
        for index in order.split(512):
            adam.zero_grad()
            guess = net(rows[index])
            loss = (functional.cross_entropy if discrete else functional.mse_loss)(guess, target[index])
            loss.backward()
            adam.step()
    return net.requires_grad_(False)
