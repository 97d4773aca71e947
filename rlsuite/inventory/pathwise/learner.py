"""The policy that HDPO trains, in its several versions, and what a checkpoint must hold of it."""

from __future__ import annotations

import copy
from typing import Protocol

import torch
from torch import Tensor, nn

from rlsuite.core.networks import FlatParameters
from rlsuite.core.optim import FlatAdam
from rlsuite.inventory.pathwise.layout import Layout, OrderPolicy
from rlsuite.inventory.pathwise.networks import make_policy

__all__ = ["Learner"]


class LearnerConfig(Protocol):
    """The fields of `HDPOConfig` that the learner reads."""

    @property
    def network(self) -> str: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...
    @property
    def max_grad_norm(self) -> float | None: ...
    @property
    def average(self) -> float: ...
    @property
    def patience(self) -> int: ...


class Deployed(nn.Module):
    """The best policy on the development set so far; there is none before the problem is known."""

    best: OrderPolicy | None

    def __init__(self) -> None:
        super().__init__()
        self.best = None

    def forward(self, rows: Tensor) -> Tensor:
        """Actions [B, ...] at rows [B, O], rounded where orders are whole.

        Raises:
            ValueError: there is no policy, as the model was made without an environment.
        """
        if self.best is None:
            raise ValueError("HDPO makes its network for a problem: give an environment, or load a checkpoint")
        action: Tensor = self.best(rows, self.best.layout.whole)
        return action


class Learner:
    """A policy with its optimiser, the moving average of its parameters, and the best average so far.

    `build` makes them for a layout; so does loading a state, which holds its layout.
    """

    def __init__(self, config: LearnerConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.layout: Layout | None = None
        self.deployed = Deployed()

    def build(self, layout: Layout) -> None:
        """Make policy, optimiser, average and best for this problem."""
        config = self.config
        self.layout = layout
        self.trained = make_policy(config.network, layout, config.hidden, config.activation).to(self.device)
        self.flat = FlatParameters(self.trained)
        self.average = self.flat.data.clone()
        self.best = self.flat.data.clone()
        # The same policy on other parameters: today's as constants, their average, the best average.
        self.frozen, self.candidate, self.deployed.best = (
            _on(self.trained, vector) for vector in (self.flat.data, self.average, self.best)
        )
        self.adam = FlatAdam(self.flat, eps=1e-8, numpy=self.device.type == "cpu")
        self.best_cost = torch.tensor(float("inf"), dtype=torch.float64)
        self.stale = torch.tensor(0)
        self.carried: dict[str, Tensor] = {}

    def step(self, learning_rate: float) -> float:
        """Take an Adam step with the current gradient; returns the gradient's norm."""
        norm = float(self.adam.step(learning_rate, self.config.max_grad_norm))
        self.average.lerp_(self.flat.data, 1 - self.config.average)
        return norm

    def judge(self, cost: float) -> None:
        """Keep the average if its cost on the development set is the lowest yet."""
        if cost < float(self.best_cost):
            self.best.copy_(self.average)
            self.best_cost.fill_(cost)
            self.stale.zero_()
        else:
            self.stale += 1

    def resize(self, num_envs: int) -> None:
        """Begin every demand path anew: there is another number of them."""
        self.carried = {}

    @property
    def exhausted(self) -> bool:
        """Whether the last `patience` looks at the development set brought no lower cost."""
        return 0 < self.config.patience <= int(self.stale)

    def state_dict(self) -> dict[str, Tensor]:
        """Layout, parameters and everything that training goes on from."""
        if self.layout is None:
            return {}
        parts = {name: getattr(self, name) for name in ("average", "best", "best_cost", "stale")}
        parts |= {f"adam.{name}": value for name, value in self.adam.state_dict().items()}
        parts |= {f"carried.{name}": value for name, value in self.carried.items()}
        return {"layout": self.layout.to_tensor(), "parameters": self.flat.data, **parts}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        self.build(Layout.from_tensor(state["layout"]))
        self.flat.data.copy_(state["parameters"])
        for name in ("average", "best", "best_cost", "stale"):
            getattr(self, name).copy_(state[name])
        self.adam.load_state_dict({name: state[f"adam.{name}"] for name in self.adam.state_dict()})
        prefix = "carried."
        self.carried = {name[len(prefix) :]: x for name, x in state.items() if name.startswith(prefix)}


def _on(policy: OrderPolicy, vector: Tensor) -> OrderPolicy:
    """A copy of a policy whose parameters are constants, and views of a vector [M]."""
    other = copy.deepcopy(policy).requires_grad_(False)
    offset = 0
    for parameter in other.parameters():
        parameter.grad = None
        end = offset + parameter.numel()
        parameter.data = vector[offset:end].view_as(parameter)
        offset = end
    return other
