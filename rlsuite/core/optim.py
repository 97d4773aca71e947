"""Adam on one flat parameter vector, with the global gradient norm clipped first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from rlsuite.core.networks import FlatParameters


class FlatAdam:
    """torch's Adam on a `FlatParameters`; on the CPU the same arithmetic in numpy, without dispatch cost.

    Args:
        flat: parameters and gradients, [M] each.
        eps: added to the root of the second moment; 1e-5 as in Stable-Baselines3's policies.
        numpy: use the numpy arithmetic (CPU only). Equal to torch's to rounding (tests/core/test_mlp_kernel.py).

    Source: Kingma and Ba 2015, algorithm 1.
    """

    def __init__(
        self,
        flat: FlatParameters,
        *,
        eps: float = 1e-5,
        betas: tuple[float, float] = (0.9, 0.999),
        numpy: bool = False,
    ) -> None:
        self.flat = flat
        self.eps = eps
        self.betas = betas
        self.numpy = numpy
        self.mean = torch.zeros_like(flat.data)
        self.square = torch.zeros_like(flat.data)
        self._norms = torch.zeros((), device=flat.data.device)  # sum of all norms: stays NaN once one was
        self.steps = torch.zeros((), dtype=torch.float32, device=flat.data.device)  # torch's fused Adam wants float32
        # numpy's views of the tensors, and two vectors of scratch; made once, since making a view costs a call
        self._views: tuple[np.ndarray, ...] | None = None
        if numpy:
            shared = (flat.data, flat.grad, self.mean, self.square, self.steps)
            self._views = (*(x.numpy() for x in shared), *np.empty((2, flat.data.numel()), np.float32))
        vector = torch.nn.Parameter(flat.data)  # shares the memory of `flat`
        vector.grad = flat.grad
        cuda = flat.data.is_cuda
        self.adam = torch.optim.Adam([vector], betas=betas, eps=eps, fused=True, capturable=cuda)
        # torch keeps its moments where this object can save them and the numpy arithmetic can use them
        self.adam.state[vector] = {"step": self.steps, "exp_avg": self.mean, "exp_avg_sq": self.square}

    def step(self, learning_rate: float, max_grad_norm: float | None) -> float | torch.Tensor:
        """Clip the gradient to `max_grad_norm` (global L2), apply it, return its norm before clipping.

        A gradient that is not finite is not applied: parameters and moments stay as they are. On an accelerator, where
        looking would wait for the device, its entries that are not finite are left out; the norm that comes back, and
        `healthy`, tell.

        Raises:
            FloatingPointError: on a CPU, the gradient's norm is NaN or infinite.
        """
        if self._views is not None:
            return self._step_numpy(self._views, learning_rate, max_grad_norm)
        norm = torch.linalg.vector_norm(self.flat.grad)
        if norm.device.type == "cpu":
            check_norm(norm.item())
        else:
            self._norms.add_(norm)
            self.flat.grad.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
        if max_grad_norm is not None:
            scale = torch.clamp(max_grad_norm / (norm + 1e-6), max=1.0)
            self.flat.grad.mul_(scale.nan_to_num(nan=0.0))
        self._step_torch(learning_rate)
        return norm

    @property
    def healthy(self) -> bool:
        """Whether all gradients so far were finite; waits for the device."""
        return math.isfinite(float(self._norms))

    def _step_torch(self, learning_rate: float) -> None:
        self.adam.param_groups[0]["lr"] = learning_rate
        self.adam.step()

    def _step_numpy(self, views: tuple[np.ndarray, ...], learning_rate: float, max_grad_norm: float | None) -> float:
        data, grad, mean, square, steps, first, second = views
        with np.errstate(over="ignore", invalid="ignore"):  # said below, in words
            norm = math.sqrt(np.dot(grad, grad))
        check_norm(norm)
        if max_grad_norm is not None and norm > max_grad_norm:
            grad *= max_grad_norm / (norm + 1e-6)
        b1, b2 = self.betas
        steps += 1
        t = float(steps)
        mean *= b1
        mean += np.multiply(grad, 1 - b1, out=first)
        np.multiply(grad, grad, out=first)
        first *= 1 - b2
        square *= b2
        square += first
        np.sqrt(square, out=second)
        second *= 1 / math.sqrt(1 - b2**t)
        second += self.eps
        np.divide(mean, second, out=first)
        first *= learning_rate / (1 - b1**t)
        data -= first
        return norm

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Moments and step count (copies)."""
        return {"mean": self.mean.clone(), "square": self.square.clone(), "steps": self.steps.clone()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Restore what `state_dict` gave."""
        for name, own in (("mean", self.mean), ("square", self.square), ("steps", self.steps)):
            if state[name].shape != own.shape:
                shape = tuple(state[name].shape)
                raise ValueError(f"the optimiser's {name!r} has shape {shape}, not {tuple(own.shape)}")
        self.mean.copy_(state["mean"])
        self.square.copy_(state["square"])
        self.steps.copy_(state["steps"])


def check_update(metrics: Mapping[str, Any], *weights: FlatParameters) -> None:
    """Raise if an update left a metric (a number, or a tensor with one) or a weight that is not finite.

    Raises:
        FloatingPointError: names them, and the remedy.
    """
    bad = {name: float(value) for name, value in metrics.items() if not math.isfinite(float(value))}
    if not all(bool(torch.isfinite(flat.data).all()) for flat in weights):
        bad["weights"] = math.nan
    if bad:
        raise FloatingPointError(
            f"training diverged: {', '.join(f'{name} is {value}' for name, value in bad.items())}; "
            "earlier checkpoints are still good. Lower learning_rate, or normalise (normalize_obs, normalize_reward)"
        )


def check_norm(norm: float) -> None:
    """Raise if a gradient's norm is not finite.

    Raises:
        FloatingPointError: names the remedy.
    """
    if not math.isfinite(norm):
        raise FloatingPointError(
            f"training diverged: the gradient's norm is {norm}; it was not applied, the weights are finite still. "
            "Lower learning_rate, or normalise (normalize_obs, normalize_reward)"
        )
