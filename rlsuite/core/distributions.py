"""Action distributions as plain tensor functions; `rlsuite.core.actions` describes the spaces they serve.

Shapes: `...` any leading batch axes, K components, A action dims, n choices.

torch.distributions checks arguments and builds intermediate tensors on every call, which at 16 environments
costs more than the network; these classes hold two tensors and call the minimum of operations. Each has
`sample(generator)`, `sample_with_log_prob(generator)`, `mode()`, `log_prob(action)`, `entropy()` and (where
closed) `kl_divergence(other)`. Log-probabilities and entropies are joint: summed over components or action
dims, so their shape is the batch's.

Masks are boolean, True = allowed. A forbidden logit becomes a very large negative finite number, not -inf:
probability and entropy contribution are exactly 0, while gradients and the ratio of two log-probabilities
stay free of NaN. `validate=True` checks for NaN parameters and rows without an allowed action; it costs a
host sync on an accelerator and is therefore off by default.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from rlsuite.core.actions import ActionSpec, action_spec
from rlsuite.core.gaussian import DiagGaussian, SquashedGaussian, check_params

__all__ = [
    "ActionSpec",
    "Bernoulli",
    "Categorical",
    "DiagGaussian",
    "Distribution",
    "MultiCategorical",
    "SquashedGaussian",
    "action_spec",
    "distribution",
]


def _forbidden(dtype: torch.dtype) -> float:
    # Far below any logit, yet so small that the joint log-probability of many forbidden choices, and the
    # subtraction of the log-normaliser in half precision, do not overflow to -inf.
    return max(-1e30, torch.finfo(dtype).min / 2)


def _forbid(logits: Tensor, mask: Tensor) -> Tensor:
    return logits.masked_fill(~mask, _forbidden(logits.dtype))


def _check_mask(mask: Tensor, shape: torch.Size) -> None:
    if mask.dtype != torch.bool or mask.shape != shape:
        raise ValueError(
            f"action mask must be bool of shape {tuple(shape)} (True = allowed), "
            f"got {mask.dtype} of shape {tuple(mask.shape)}."
        )


def _check_some_allowed(mask: Tensor, what: str) -> None:
    empty = ~mask.any(-1)
    if bool(empty.any()):
        row = empty.nonzero()[0].tolist()
        raise ValueError(
            f"action mask forbids every choice of {what} {row}; each needs at least one True "
            "(let the environment terminate, or allow a no-op)."
        )


class Categorical:
    """One choice among n, with probabilities softmax(logits)."""

    __slots__ = ("log_probs",)

    def __init__(self, logits: Tensor, mask: Tensor | None = None, *, validate: bool = False) -> None:
        """Build from `logits` [..., n] and an optional `mask` [..., n] bool, True = allowed.

        Raises:
            ValueError: Only with `validate`: NaN logits, a mask of another shape, a row without an allowed
                choice.
        """
        if validate:
            check_params("logits", logits)
            if mask is not None:
                _check_mask(mask, logits.shape)
                _check_some_allowed(mask, "row")
        if mask is not None:
            logits = _forbid(logits, mask)
        self.log_probs = functional.log_softmax(logits, dim=-1)

    def sample(self, generator: Generator | None = None) -> Tensor:
        """Draw [...] int64."""
        # The exponential race argmax p/E, as torch.multinomial does inside, without its host sync on an
        # accelerator. exponential_() never returns 0, so a forbidden choice (p = 0) scores 0 and cannot win.
        noise = torch.empty_like(self.log_probs).exponential_(generator=generator)
        return (self.log_probs.exp() / noise).argmax(-1)

    def sample_with_log_prob(self, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Draw an action and its log-probability, both [...]."""
        action = self.sample(generator)
        return action, self.log_prob(action)

    def mode(self) -> Tensor:
        """The most probable choice, [...] int64 (the first of equals)."""
        return self.log_probs.argmax(-1)

    def log_prob(self, action: Tensor) -> Tensor:
        """Log-probability [...] of `action` [...] int64."""
        return self.log_probs.gather(-1, action.long().unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """Entropy [...], nats."""
        return -(self.log_probs.exp() * self.log_probs).sum(-1)

    def kl_divergence(self, other: Categorical) -> Tensor:
        """KL(self || other) [...], nats; both need the same mask."""
        return (self.log_probs.exp() * (self.log_probs - other.log_probs)).sum(-1)


@lru_cache(maxsize=64)
def _padding(nvec: tuple[int, ...], device: torch.device) -> Tensor:
    """Gather index [K * max(nvec)] into the concatenated logits plus one forbidden column at the end."""
    width, total = max(nvec), sum(nvec)
    index = np.full((len(nvec), width), total)
    start = 0
    for k, n in enumerate(nvec):
        index[k, :n] = np.arange(start, start + n)
        start += n
    with torch.inference_mode(False):  # cached for all callers: an inference tensor could not be used in training
        return torch.as_tensor(index.reshape(-1), device=device)


class MultiCategorical:
    """K independent choices, component k among nvec[k]; log-probabilities and entropies are summed."""

    __slots__ = ("parts",)

    def __init__(
        self, logits: Tensor, nvec: tuple[int, ...], mask: Tensor | None = None, *, validate: bool = False
    ) -> None:
        """Build from `logits` [..., sum(nvec)], parts in order; `mask` likewise, bool, True = allowed.

        Raises:
            ValueError: If the last axis is not sum(nvec); with `validate` also for NaN logits, a mask of
                another shape, or a component without an allowed choice.
        """
        nvec = tuple(int(n) for n in nvec)
        if logits.shape[-1] != sum(nvec):
            raise ValueError(f"logits have {logits.shape[-1]} columns, nvec {nvec} needs {sum(nvec)}.")
        if validate:
            check_params("logits", logits)
            if mask is not None:
                _check_mask(mask, logits.shape)
                for k, part in enumerate(mask.split(list(nvec), dim=-1)):
                    _check_some_allowed(part, f"component {k} in row")
        if mask is not None:
            logits = _forbid(logits, mask)
        if len(set(nvec)) > 1:
            # All components in one softmax: shorter ones are padded with forbidden choices.
            padded = functional.pad(logits, (0, 1), value=_forbidden(logits.dtype))
            logits = padded.index_select(-1, _padding(nvec, logits.device))
        self.parts = Categorical(logits.unflatten(-1, (len(nvec), max(nvec))))

    def sample(self, generator: Generator | None = None) -> Tensor:
        """Draw [..., K] int64."""
        return self.parts.sample(generator)

    def sample_with_log_prob(self, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Draw an action [..., K] and its joint log-probability [...]."""
        action = self.parts.sample(generator)
        return action, self.log_prob(action)

    def mode(self) -> Tensor:
        """The most probable joint choice, [..., K] int64."""
        return self.parts.mode()

    def log_prob(self, action: Tensor) -> Tensor:
        """Joint log-probability [...] of `action` [..., K] int64."""
        return self.parts.log_prob(action).sum(-1)

    def entropy(self) -> Tensor:
        """Joint entropy [...], nats."""
        return self.parts.entropy().sum(-1)

    def kl_divergence(self, other: MultiCategorical) -> Tensor:
        """KL(self || other) [...], nats."""
        return self.parts.kl_divergence(other.parts).sum(-1)


class Bernoulli:
    """A independent bits, bit i set with probability sigmoid(logits_i), as far as the mask leaves it both values."""

    __slots__ = ("logits",)

    def __init__(self, logits: Tensor, mask: Tensor | None = None, *, validate: bool = False) -> None:
        """Build from `logits` [..., A] and an optional `mask` [..., 2 A] bool: may bit i be 0, may it be 1, for each i.

        Raises:
            ValueError: Only with `validate`: NaN logits, a mask of another shape, or a bit without an allowed value.
        """
        pairs = None if mask is None else mask.unflatten(-1, (-1, 2))
        if validate:
            check_params("logits", logits)
            if mask is not None and pairs is not None:
                _check_mask(mask, torch.Size((*logits.shape[:-1], 2 * logits.shape[-1])))
                _check_some_allowed(pairs, "bit")
        if pairs is not None:
            limit = _forbidden(logits.dtype)
            logits = logits.masked_fill(~pairs[..., 0], -limit).masked_fill(~pairs[..., 1], limit)
        self.logits = logits

    def sample(self, generator: Generator | None = None) -> Tensor:
        """Draw [..., A] int64 of 0 and 1."""
        noise = torch.empty_like(self.logits).uniform_(generator=generator)
        return (noise < self.logits.sigmoid()).long()

    def sample_with_log_prob(self, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Draw an action [..., A] and its joint log-probability [...]."""
        action = self.sample(generator)
        return action, self.log_prob(action)

    def mode(self) -> Tensor:
        """The most probable bits, [..., A] int64 (0 at probability 1/2)."""
        return (self.logits > 0).long()

    def log_prob(self, action: Tensor) -> Tensor:
        """Joint log-probability [...] of `action` [..., A] of 0 and 1."""
        return (action * self.logits - functional.softplus(self.logits)).sum(-1)

    def entropy(self) -> Tensor:
        """Joint entropy [...], nats."""
        return (functional.softplus(self.logits) - self.logits.sigmoid() * self.logits).sum(-1)

    def kl_divergence(self, other: Bernoulli) -> Tensor:
        """KL(self || other) [...], nats."""
        p, q = self.logits, other.logits
        return (p.sigmoid() * (p - q) + functional.softplus(q) - functional.softplus(p)).sum(-1)


Distribution = Categorical | MultiCategorical | Bernoulli | DiagGaussian | SquashedGaussian


def distribution(
    spec: ActionSpec,
    params: Tensor,
    log_std: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    validate: bool = False,
) -> Categorical | MultiCategorical | Bernoulli | DiagGaussian:
    """The action distribution of a policy head's output.

    Args:
        spec: From `action_spec`.
        params: [..., num_params] logits, or means.
        log_std: Gaussian only: [A] or [..., A].
        mask: Discrete kinds only: [..., spec.mask_size] bool, True = allowed.
        validate: Check values, at the cost of a host sync (see the module docstring).

    Raises:
        ValueError: If log_std or mask does not fit the kind; with `validate` for bad values.
    """
    if spec.kind == "gaussian":
        if log_std is None or mask is not None:
            raise ValueError(f"a gaussian policy needs log_std and takes no mask (got log_std={log_std}, mask={mask}).")
        return DiagGaussian(params, log_std, validate=validate)
    if log_std is not None:
        raise ValueError(f"log_std is for Box actions; the action space here is {spec.kind}.")
    if spec.kind == "categorical":
        return Categorical(params, mask, validate=validate)
    if spec.kind == "multi_categorical":
        return MultiCategorical(params, spec.nvec, mask, validate=validate)
    return Bernoulli(params, mask, validate=validate)
