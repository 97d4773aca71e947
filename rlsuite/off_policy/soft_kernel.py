"""The gradient step of a soft actor-critic in numpy, on the torch modules' own memory; CPU and small networks.

The arithmetic of `rlsuite.off_policy.soft_learner.SoftLearner` by hand: with networks of 64 to 256 units an update's
time is dispatch, not arithmetic (see `rlsuite.core.mlp_kernel`). The same draws from the same generator, so that both
back ends agree to rounding (tests/off_policy/test_soft_kernel.py).

The actor's loss is L = mean(alpha log pi(a) - min_i Q_i(s, a)) with a = tanh(u), u = mean + std * noise:

    dL/du = (2 alpha a - (1 - a^2) dQ/da) / N       since d log(1 - tanh^2 u) / du = -2 tanh u
    dL/dmean = dL/du,   dL/dlog_std = dL/du * std * noise - alpha / N, and 0 where the log-std is clamped

Shapes: N transitions, O observation entries, A action entries, H units of a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from rlsuite.core.buffers import ReplayBatch
from rlsuite.core.mlp_kernel import F32, LOG_2PI, Tower, grad_of
from rlsuite.core.networks import FlatParameters
from rlsuite.core.optim import FlatAdam
from rlsuite.off_policy.networks import LOG_STD_RANGE, Actor, SplitActor, TwinCritic

__all__ = ["SoftKernel", "StepSizes", "make_adam", "supports"]

LOG_2 = float(np.log(2))
NUMPY_ADAM = 30_000
"""Parameters up to which numpy's Adam is faster than a call of torch's."""


class StepSizes(NamedTuple):
    """Step sizes of one gradient step."""

    actor: float
    critic: float
    alpha: float


def supports(actor: nn.Module, critic: nn.Module) -> bool:
    """Whether these networks can be trained in numpy: float32 on a CPU, ReLU."""
    first = next(actor.parameters())
    return (
        isinstance(actor, Actor | SplitActor)
        and isinstance(critic, TwinCritic)
        and critic.relu
        and first.device.type == "cpu"
        and first.dtype == torch.float32
    )


def make_adam(flat: FlatParameters, by_hand: bool) -> FlatAdam:
    """The faster Adam for a network that is trained `by_hand` (in numpy), or by autograd."""
    return FlatAdam(flat, eps=1e-8, numpy=by_hand and len(flat.data) <= NUMPY_ADAM)


class _TwinTower:
    """Twin critics: forward keeps what backward needs, in buffers that the next forward of that N overwrites."""

    def __init__(self, critic: TwinCritic) -> None:
        self.weights = [w.detach().numpy() for w in critic.weights]  # [2, in, out]
        self.biases = [b.detach().numpy() for b in critic.biases]  # [2, 1, out]
        parameters = zip(critic.weights, critic.biases, strict=True)
        self.grads = [tuple(grad_of(parameter) for parameter in pair) for pair in parameters]
        self.buffers: dict[int, list[tuple[F32, F32]]] = {}

    def forward(self, x: F32) -> F32:
        """Values [2, N] at rows [N, O + A]."""
        n = len(x)
        if n not in self.buffers:
            shapes = [(2, n, w.shape[2]) for w in self.weights]
            self.buffers[n] = [(np.empty(s, np.float32), np.empty(s, np.float32)) for s in shapes]
        self.inputs: list[F32] = [x]
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            out = self.buffers[n][i][0]
            for k in (0, 1):
                np.dot(x if i == 0 else x[k], weight[k], out=out[k])
            out += bias
            if i < last:
                np.maximum(out, 0.0, out=out)
            x = out
            self.inputs.append(x)
        return x[..., 0]

    def backward(self, d_q: F32, *, weights: bool) -> F32 | None:
        """Parameter gradients written over the old ones, or else the gradient [N, O + A] by the rows.

        d_q [2, N] is the derivative by the values of the last forward.
        """
        d_out = d_q[..., None]
        buffers = self.buffers[d_q.shape[1]]
        last = len(self.weights) - 1
        total: F32 | None = None
        for i in range(last, -1, -1):
            if i < last:  # the mask of ReLU, on the gradient that the layer above left here
                d_out = buffers[i][1]
                d_out *= self.inputs[i + 1] > 0
            if weights:
                grad_w, grad_b = self.grads[i]
                for k in (0, 1):
                    np.dot((self.inputs[0] if i == 0 else self.inputs[i][k]).T, d_out[k], out=grad_w[k])
                np.add.reduce(d_out, axis=1, keepdims=True, out=grad_b)
            for k in (0, 1):
                if i > 0:
                    np.dot(d_out[k], self.weights[i][k].T, out=buffers[i - 1][1][k])
                elif not weights:
                    part = np.dot(d_out[k], self.weights[0][k].T)
                    total = part if total is None else total + part
        return total


class _Draw:
    """Actions of the policy for given noise [N, A], with what the gradient through them needs."""

    def __init__(self, mean: F32, raw: F32, noise: F32) -> None:
        log_std = np.minimum(np.maximum(raw, LOG_STD_RANGE[0]), LOG_STD_RANGE[1])
        self.raw = raw
        self.scaled = np.exp(log_std) * noise
        u = mean + self.scaled
        self.action = np.tanh(u)
        slope = np.logaddexp(0.0, -2.0 * u) + u - LOG_2  # minus half of log(1 - tanh(u)^2)
        inside = 2.0 * slope - 0.5 * noise * noise - log_std
        self.log_prob = np.add.reduce(inside, axis=1) - np.float32(0.5 * LOG_2PI * mean.shape[1])


class SoftKernel:
    """Trains the networks of a soft actor-critic.

    Args:
        actor: its parameters, like the others', are views of a flat vector already.
        critic: the twin critics.
        target: their moving average.
        flat: the vectors of "actor", "critic", "target" and "alpha", the last with log(alpha) alone.
        adam: the optimisers of "actor", "critic" and "alpha".
        tau: weight of the new critics in the average.
        max_grad_norm: of actor and critic, or None.
    """

    def __init__(
        self,
        actor: nn.Module,
        critic: TwinCritic,
        target: TwinCritic,
        flat: Mapping[str, FlatParameters],
        adam: Mapping[str, FlatAdam],
        *,
        tau: float,
        max_grad_norm: float | None,
    ) -> None:
        self.flat = flat
        self.adam = adam
        self.tau = tau
        self.max_grad_norm = max_grad_norm
        parts = [actor.net] if isinstance(actor, Actor) else [actor.mean, actor.log_std]
        self.towers = [Tower(part, "relu") for part in parts]  # type: ignore[arg-type]
        self.critic = _TwinTower(critic)
        self.target = _TwinTower(target)
        self.log_alpha = flat["alpha"].data.numpy()
        self.average = [flat[name].data.numpy() for name in ("target", "critic")]
        self.change = np.empty_like(self.average[0])

    def heads(self, obs: F32) -> tuple[F32, F32]:
        """Mean and unclamped log-std [N, A] at obs [N, O]."""
        outs = [tower.forward(obs) for tower in self.towers]
        if len(outs) == 2:
            return outs[0], outs[1]
        half = outs[0].shape[1] // 2
        return outs[0][:, :half], outs[0][:, half:]

    def gradient_step(
        self,
        batch: ReplayBatch,
        generator: torch.Generator,
        rates: StepSizes,
        *,
        alpha: torch.Tensor | None,
        target_entropy: float | None,
        train_actor: bool,
    ) -> dict[str, Any]:
        """`SoftLearner.gradient_step` in numpy; without `target_entropy` (nats) the temperature is not trained."""
        adam, clip, n = self.adam, self.max_grad_norm, len(batch.reward)
        obs, next_obs = batch.obs.numpy(), batch.next_obs.numpy()
        weight: Any = np.exp(self.log_alpha[0]) if alpha is None else alpha.numpy()
        shape = batch.action.shape
        noise = [torch.empty(shape).normal_(generator=generator).numpy() for _ in range(1 + train_actor)]
        ahead = _Draw(*self.heads(next_obs), noise[-1])
        draw = None
        if train_actor:  # after the next actions, so that the towers keep these activations for their gradient
            draw = _Draw(*self.heads(obs), noise[0])
            if target_entropy is not None:
                surplus = float(draw.log_prob.mean()) + target_entropy
                self.flat["alpha"].grad.fill_(-surplus)
                adam["alpha"].step(rates.alpha, None)
        q = self.target.forward(np.concatenate((next_obs, ahead.action), axis=1))
        value = np.minimum(q[0], q[1]) - weight * ahead.log_prob
        keep = batch.discount.numpy() * ~batch.terminated.numpy()
        goal = batch.reward.numpy() + keep * value
        q = self.critic.forward(np.concatenate((obs, batch.action.numpy()), axis=1))
        error = q - goal
        self.critic.backward(error / np.float32(n), weights=True)
        metrics = {"critic_loss": 0.5 * float(np.vdot(error, error)) / n, "ent_coef": float(np.mean(weight))}
        adam["critic"].step(rates.critic, clip)
        if draw is not None:
            metrics["actor_loss"] = self._improve_actor(draw, obs, weight)
            adam["actor"].step(rates.actor, clip)
        target, critic = self.average
        np.subtract(critic, target, out=self.change)
        self.change *= self.tau
        target += self.change
        return metrics

    def _improve_actor(self, draw: _Draw, obs: F32, alpha: Any) -> float:
        """Leave the gradient of the actor's loss in its flat vector; return the loss."""
        n = len(obs)
        q = self.critic.forward(np.concatenate((obs, draw.action), axis=1))
        # a draw between two equal critics is no loss: torch.minimum halves it, here the first takes it
        first = q[0] <= q[1]
        d_rows = self.critic.backward(np.stack((first, ~first)).astype(np.float32), weights=False)
        assert d_rows is not None  # asked for by weights=False
        per_row = np.broadcast_to(np.asarray(alpha, np.float32), (n,))[:, None]
        a = draw.action
        d_u = (2.0 * per_row * a - (1.0 - a * a) * d_rows[:, obs.shape[1] :]) / np.float32(n)
        d_log_std = d_u * draw.scaled - per_row / np.float32(n)
        d_log_std *= (draw.raw >= LOG_STD_RANGE[0]) & (draw.raw <= LOG_STD_RANGE[1])
        if len(self.towers) == 2:
            for tower, grad in zip(self.towers, (d_u, d_log_std), strict=True):
                tower.backward(grad)
        else:
            self.towers[0].backward(np.concatenate((d_u, d_log_std), axis=1))
        return float(np.mean(alpha * draw.log_prob - np.minimum(q[0], q[1])))
