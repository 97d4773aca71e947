"""The two critics of PDPPO and what they learn from: networks, recorded post-decision states, the sliding buffer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from rlsuite.core.collect import Runner
from rlsuite.core.distributions import distribution
from rlsuite.core.networks import mlp
from rlsuite.core.spaces import flatten_obs, obs_size
from rlsuite.core.types import Batch


class DualCriticConfig(Protocol):
    """The fields of `PDPPOConfig` that the networks need."""

    @property
    def net_arch(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def activation(self) -> str: ...  # noqa: D102
    @property
    def critic_activation(self) -> str: ...  # noqa: D102
    @property
    def critics(self) -> str: ...  # noqa: D102
    @property
    def bounded_critic(self) -> bool: ...  # noqa: D102
    @property
    def log_std_init(self) -> float: ...  # noqa: D102
    @property
    def ortho_init(self) -> bool: ...  # noqa: D102


class DualCriticPolicy(nn.Module):
    """The actor and the two critics; observations are rows [N, O] as the normaliser left them."""

    def __init__(self, obs_size: int, spec: Any, config: DualCriticConfig) -> None:
        super().__init__()
        self.spec, ortho = spec, config.ortho_init
        self.body = mlp(obs_size, config.net_arch, spec.num_params, config.activation, out_gain=0.01, ortho_init=ortho)
        gaussian = spec.kind == "gaussian"
        self.log_std = nn.Parameter(torch.full((spec.num_params,), config.log_std_init)) if gaussian else None
        two = 2 if config.critics == "two" else 1
        self.critics = nn.ModuleList(
            mlp(obs_size, config.net_arch, 1, config.critic_activation, ortho_init=ortho) for _ in range(two)
        )
        if config.bounded_critic:
            for critic in self.critics:
                critic.append(nn.Tanh())  # type: ignore[operator]
        if not ortho:
            nn.init.kaiming_uniform_(self.body[-1].weight, nonlinearity="relu")  # type: ignore[arg-type]
            for layer in self.critics.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_uniform_(layer.weight)
                    nn.init.zeros_(layer.bias)

    def actor(self, frozen_trunk: bool) -> nn.Module:
        """Parameters that the actor's optimiser trains: all, or the last layer's (an accident of the release)."""
        self.body[:-1].requires_grad_(not frozen_trunk)
        actor = nn.ModuleList([self.body[-1] if frozen_trunk else self.body])
        if self.log_std is not None:
            actor.register_parameter("log_std", self.log_std)
        return actor

    def distribution(self, obs: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
        """The action distribution at obs [N, O]; mask [N, A'] marks allowed actions."""
        return distribution(self.spec, self.body(obs), self.log_std, mask)

    def values(self, obs: torch.Tensor) -> torch.Tensor:
        """V [N] of states."""
        return self.critics[0](obs).squeeze(-1)

    def post_values(self, post_obs: torch.Tensor) -> torch.Tensor:
        """V^x [N] of post-decision states."""
        return self.critics[-1](post_obs).squeeze(-1)

    def log_prob(self, policy: Any, action: torch.Tensor, ratio: str) -> torch.Tensor:
        """Log-probabilities [N], or [N, M] per component."""
        by_part = ratio == "component" and hasattr(policy, "parts")
        return policy.parts.log_prob(action) if by_part else policy.log_prob(action)

    def entropy(self, policy: Any, ratio: str) -> torch.Tensor:
        """Mean entropy, of the joint action or of its components."""
        by_part = ratio == "component" and hasattr(policy, "parts")
        return (policy.parts if by_part else policy).entropy().mean()


class PostDecisions:
    """Observations and rewards of the post-decision states of one rollout; `collect` calls it before each step.

    Args:
        runner: environments written as a kernel.

    Raises:
        ValueError: the environment does not split its step, or shows post-decision states in another form.
    """

    def __init__(self, runner: Runner) -> None:
        stepper = runner.stepper
        self.runner = runner
        self.kernel = split_kernel(stepper.venv)
        self.space = stepper.observation_space
        self.device = stepper.device
        self.spec = stepper.spec
        self.seen: list[torch.Tensor] = []
        self.rewards: list[torch.Tensor] = []

    @torch.no_grad()
    def __call__(self, action: torch.Tensor) -> None:
        """Record the deterministic effects of actions [B, ...]; the environments do not step."""
        venv: Any = self.runner.stepper.venv
        given = self.spec.to_env(action).to(self.kernel.device)
        post, reward = self.kernel.post_decision(venv.carry.state, given)
        rows = flatten_obs(self.space, self.kernel.observe_post(post), self.device)
        if rows.shape[1] != obs_size(self.space):
            raise ValueError(
                f"{type(self.kernel).__name__}.observe_post returns {rows.shape[1]} numbers, observe "
                f"{obs_size(self.space)}; PDPPO needs them alike"
            )
        self.seen.append(self.runner.show(rows))
        caused = torch.zeros(len(rows)) if reward is None else reward
        self.rewards.append(caused.to(self.device, torch.float32))

    def stack(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Observations [T, B, O], normalised, and deterministic rewards [T, B]."""
        return torch.stack(self.seen), torch.stack(self.rewards)


def split_kernel(venv: Any) -> Any:
    """The kernel of a vector environment, checked to show its post-decision states.

    Raises:
        ValueError: there is none.
    """
    from rlsuite_envs.kernel import Kernel

    kernel = getattr(venv, "kernel", None)
    if not isinstance(kernel, Kernel) or type(kernel).observe_post is Kernel.observe_post:
        what = getattr(getattr(venv, "spec", None), "id", None) or type(venv).__name__
        raise ValueError(
            f"{what} does not split its step, which PDPPO needs: write it as an rlsuite_envs.kernel.Kernel whose "
            "post_decision(state, action) returns what the action causes for certain and its reward, and "
            "define observe_post(post_state)"
        )
    return kernel


@dataclass(frozen=True)
class PDPPOBatch(Batch):
    """N samples: observations [N, O], actions [N, ...], old log_prob [N] or [N, M], and what to learn [N]."""

    obs: Any
    post_obs: Any
    action: Any
    log_prob: Any
    advantage: Any
    return_: Any
    post_return: Any
    mask: Any = None


class Window:
    """The newest rollouts, as one batch; saved with a checkpoint.

    Args:
        kind: the batch's class.
        size: rollouts to keep, at least 1.
    """

    def __init__(self, kind: type[Any], size: int) -> None:
        self.kind = kind
        self.size = size
        self.batches: list[Batch] = []

    def add(self, batch: Any) -> Any:
        """The newest `size` rollouts with this one, as one batch."""
        self.batches = [*self.batches, batch][-self.size :]
        if len(self.batches) == 1:
            return batch
        columns = zip(*(vars(b).values() for b in self.batches), strict=True)
        return self.kind(*[None if c[0] is None else torch.cat(c) for c in columns])

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The rollouts that the next update will use again."""
        kept = self.batches[-(self.size - 1) :] if self.size > 1 else []
        columns = ((i, name, v) for i, batch in enumerate(kept) for name, v in vars(batch).items())
        return {f"{i}.{name}": value for i, name, value in columns if value is not None}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Restore what `state_dict` gave."""
        count = len({key.partition(".")[0] for key in state})
        names = self.kind.__dataclass_fields__
        self.batches = [self.kind(*[state.get(f"{i}.{name}") for name in names]) for i in range(count)]
