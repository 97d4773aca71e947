"""Message functions: deterministic, bounded functions of the current observation alone.

A message is scale * tanh(network(observation)), or a constant, or nothing. The network is a random one, a given
`torch.nn.Module`, or a stack of P networks of one shape, of which each environment of a batch hears one: its
*channel*. That is the whole formal setting: the released experiments also contain recurrent messages and
messages that see the victim's action, which are not functions of the state, and are not built here.

Shapes: B environments, O observation entries, M message entries, P networks.

Source: Adversarial Cheap Talk (arXiv 2211.11030): two hidden layers of 64 ReLU units, two message entries, scale
2 pi while a victim trains (pi in the test-time experiments), biases uniform in [0, 0.05), inputs as they are
(not normalised). The initial weights are not stated; here they are normal with variance 1 / fan-in.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rlsuite_envs.checks import MOST, check_choice, check_integer, check_positive

__all__ = [
    "MESSAGES",
    "MessageFunction",
    "MessageParams",
    "Shared",
    "random_weights",
    "unflatten_weights",
    "weight_shapes",
]

MESSAGES = ("auto", "none", "constant", "random", "given")
ACTIVATIONS = {"relu": torch.relu_, "tanh": torch.tanh_}


class Shared:
    """Something that copies share: compared and hashed by identity, and never copied itself.

    Constants are hashed, compared and copied (Gymnasium copies an environment's arguments whenever somebody
    asks for its `spec`); networks should not be.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __copy__(self) -> Shared:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Shared:
        return self

    def __repr__(self) -> str:
        return f"Shared({type(self.value).__name__})"


@dataclass(frozen=True)
class MessageParams:
    """Constants of the message about an observation."""

    message: str = "auto"
    """ "none" (nothing is appended), "constant", "random" (a random network), "given" (`network`), or "auto":
    "given" where there is a network, else "random"."""
    message_dim: int = 2
    """M, entries of a message, >= 1."""
    scale: float = 2 * math.pi
    """Messages lie in [-scale, scale], > 0."""
    constant: float | tuple[float, ...] = 0.0
    """The constant message: one number for all entries, or M numbers, within the scale."""
    networks: int = 1
    """P, how many networks the random ones are, >= 1; row b of B environments hears number b P // B, so that
    with P = B each has its own, and otherwise neighbours share one."""
    hidden: tuple[int, ...] = (64, 64)
    """Units of the random networks' hidden layers, each >= 1."""
    activation: str = "relu"
    """ "relu" or "tanh", between the layers of random networks and given weights."""
    message_seed: int = 0
    """Seed of the random networks' weights, >= 0."""
    network: Any = None
    """A given `nn.Module` from [B, O] to [B, M], or the weights W1 [P, h, O], b1 [P, h], ..., W [P, M, h],
    b [P, M] of P networks as a sequence of tensors. Shared by all copies of these constants, never copied: who
    changes it in place changes the messages. It must be where the environment computes."""

    def __post_init__(self) -> None:
        check_choice(self, "message", MESSAGES)
        check_integer(self, "message_dim", 1, MOST)
        check_positive(self, "scale")
        check_integer(self, "networks", 1, MOST)
        check_integer(self, "message_seed", 0)
        check_choice(self, "activation", tuple(ACTIVATIONS))
        if not isinstance(self.hidden, Iterable):
            raise ValueError(f"hidden={self.hidden!r} must be the sizes of the hidden layers, e.g. (64, 64).")
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for units in self.hidden:
            if not isinstance(units, int) or isinstance(units, bool) or units < 1:
                raise ValueError(f"hidden={self.hidden!r} must be integers of at least 1.")
        if isinstance(self.constant, Iterable):
            object.__setattr__(self, "constant", tuple(self.constant))
        self.constants()
        if self.network is not None and not isinstance(self.network, Shared):
            object.__setattr__(self, "network", Shared(self.network))
        if (self.network is None) == (self.kind == "given"):
            found = "none" if self.network is None else "one"
            raise ValueError(
                f"message={self.message!r} but there is {found} in network=; give network= with message='given' "
                "(or 'auto'), and with no other."
            )
        if self.networks != 1 and self.kind != "random":
            raise ValueError(
                f"networks={self.networks!r} is for message='random'; the weights of given networks say P."
            )

    @property
    def kind(self) -> str:
        """The message function, "auto" resolved."""
        if self.message != "auto":
            return self.message
        return "random" if self.network is None else "given"

    def constants(self) -> tuple[float, ...]:
        """The M entries of the constant message."""
        many = isinstance(self.constant, tuple)
        values = self.constant if isinstance(self.constant, tuple) else (self.constant,) * self.message_dim
        if many and len(values) != self.message_dim:
            raise ValueError(
                f"constant={self.constant!r} has {len(values)} entries but message_dim={self.message_dim}."
            )
        for value in values:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not abs(value) <= self.scale:
                raise ValueError(
                    f"constant={self.constant!r} must be numbers in [-scale, scale] with scale={self.scale!r}."
                )
        return tuple(float(value) for value in values)


class MessageFunction:
    """The message function of a `MessageParams` for observations of O entries.

    Args:
        params: what is said.
        observation_dim: O.
        device: where the observations will be.

    Raises:
        ValueError: a network that does not fit: wrong shapes, another device, or outputs that are not a function
            of the observation (dropout, batch statistics, recurrence).
    """

    def __init__(self, params: MessageParams, observation_dim: int, device: torch.device) -> None:
        self.params = params
        self.dim = 0 if params.kind == "none" else params.message_dim
        self.observation_dim = observation_dim
        self.module: nn.Module | None = None
        self.weights: tuple[Tensor, ...] = ()
        if params.kind == "constant":
            self.weights = (torch.tensor(params.constants(), dtype=torch.float32, device=device),)
        elif params.kind == "random":
            drawn = random_weights(
                observation_dim,
                params.message_dim,
                networks=params.networks,
                hidden=params.hidden,
                seed=params.message_seed,
            )
            self.weights = tuple(weight.to(device) for weight in drawn)
        elif params.kind == "given":
            given = params.network.value
            if isinstance(given, nn.Module):
                _check_module(given, observation_dim, params.message_dim, device)
                self.module = given
            else:
                self.weights = _check_weights(given, observation_dim, params.message_dim, device)

    @property
    def networks(self) -> int:
        """P, number of networks; 1 for anything but a stack of networks."""
        return len(self.weights[0]) if len(self.weights) > 1 else 1

    def channels(self, num: int, device: torch.device) -> Tensor:
        """Which network each of num environments hears, [num] int64: equal shares, neighbours together."""
        return torch.arange(num, device=device) * self.networks // max(num, 1)

    def __call__(self, observation: Tensor, channel: Tensor) -> Tensor:
        """Messages [B, M] float32 about observations [B, O] float32, by the networks channel [B] int64."""
        if self.dim == 0:
            return observation.new_empty((len(observation), 0))
        if self.params.kind == "constant":
            return self.weights[0].expand(len(observation), -1)
        if self.module is not None:
            out = self.module(observation)
        else:
            out = _stacked(self.weights, observation, channel, self.params.activation)
        return self.params.scale * torch.tanh(out)


def _stacked(weights: Sequence[Tensor], x: Tensor, channel: Tensor, activation: str) -> Tensor:
    """The outputs [B, M] of network channel[b] for row b."""
    act = ACTIVATIONS[activation]
    networks, num = len(weights[0]), len(x)
    layers = list(zip(weights[::2], weights[1::2], strict=True))
    if networks == 1:
        for i, (w, b) in enumerate(layers):
            x = torch.addmm(b[0], x, w[0].T)
            x = act(x) if i + 1 < len(layers) else x
        return x
    # Each network's rows lie together unless somebody moved them, and then no weight need be copied. Only a CPU
    # can tell without waiting for the device; elsewhere each row takes a copy of its network's weights.
    regular = num % networks == 0 and channel.device.type == "cpu"
    if regular and torch.equal(channel, torch.arange(num) * networks // num):
        x = x.reshape(networks, -1, x.shape[-1])
        for i, (w, b) in enumerate(layers):
            x = torch.baddbmm(b[:, None], x, w.mT)
            x = act(x) if i + 1 < len(layers) else x
        return x.reshape(num, -1)
    for i, (w, b) in enumerate(layers):
        x = torch.baddbmm(b[channel, :, None], w[channel], x[..., None]).squeeze(-1)
        x = act(x) if i + 1 < len(layers) else x
    return x


def weight_shapes(
    observation_dim: int, message_dim: int = 2, hidden: Sequence[int] = (64, 64)
) -> tuple[tuple[int, ...], ...]:
    """Shapes of one network's weights: (h, O), (h,), ..., (M, h), (M,)."""
    sizes = (observation_dim, *hidden, message_dim)
    return tuple(shape for i, o in itertools.pairwise(sizes) for shape in ((o, i), (o,)))


def random_weights(
    observation_dim: int,
    message_dim: int = 2,
    *,
    networks: int = 1,
    hidden: Sequence[int] = (64, 64),
    seed: int = 0,
) -> tuple[Tensor, ...]:
    """Random weights W1 [P, h, O], b1 [P, h], ..., W [P, M, h], b [P, M] of P networks, float32 on the CPU.

    Weights are normal with variance 1 / fan-in, biases uniform in [0, 0.05). The same on every device.
    """
    rng = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn((networks, *shape), generator=rng) / math.sqrt(shape[1])
        if len(shape) == 2
        else 0.05 * torch.rand((networks, *shape), generator=rng)
        for shape in weight_shapes(observation_dim, message_dim, hidden)
    )


def unflatten_weights(
    flat: Tensor, observation_dim: int, message_dim: int = 2, hidden: Sequence[int] = (64, 64)
) -> tuple[Tensor, ...]:
    """Weights of P networks as views of their parameter vectors [P, D], e.g. an evolution strategy's population.

    Raises:
        ValueError: D is not the number of parameters of such a network.
    """
    shapes = weight_shapes(observation_dim, message_dim, hidden)
    sizes = [math.prod(shape) for shape in shapes]
    if flat.ndim != 2 or flat.shape[1] != sum(sizes):
        raise ValueError(
            f"flat has shape {tuple(flat.shape)} but must be [P, {sum(sizes)}] for observation_dim="
            f"{observation_dim}, message_dim={message_dim}, hidden={tuple(hidden)}."
        )
    parts = flat.split(sizes, dim=1)
    return tuple(part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True))


def _check_weights(given: Any, observation_dim: int, message_dim: int, device: torch.device) -> tuple[Tensor, ...]:
    """The weights of stacked networks, checked."""
    remedy = f"W1 [P, h, {observation_dim}], b1 [P, h], ..., W [P, {message_dim}, h], b [P, {message_dim}]"
    listed = isinstance(given, list | tuple)
    if not listed or len(given) < 2 or len(given) % 2 or not all(isinstance(w, Tensor) for w in given):
        raise ValueError(f"network={given!r} must be an nn.Module, or a sequence of tensors {remedy}.")
    weights = tuple(given)
    networks, inputs = len(weights[0]) if weights[0].ndim else 0, observation_dim
    for i, (w, b) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
        outputs = message_dim if 2 * i + 2 == len(weights) else (w.shape[1] if w.ndim == 3 else 0)
        for tensor, wanted in ((w, (networks, outputs, inputs)), (b, (networks, outputs))):
            if tuple(tensor.shape) != wanted or 0 in wanted:
                raise ValueError(
                    f"network: layer {i + 1} has a tensor of shape {tuple(tensor.shape)} where {wanted} is due; "
                    f"weights are {remedy}."
                )
            if tensor.dtype != torch.float32 or not _same(tensor.device, device):
                raise ValueError(
                    f"network: layer {i + 1} is {tensor.dtype} on {tensor.device} but must be torch.float32 on "
                    f"{device}."
                )
        inputs = outputs
    return weights


def _check_module(module: nn.Module, observation_dim: int, message_dim: int, device: torch.device) -> None:
    """Raise ValueError unless the module maps rows to rows, deterministically and on this device."""
    for tensor in module.parameters():
        if not _same(tensor.device, device):
            raise ValueError(f"network is on {tensor.device} but the environment is on {device}; move one of them.")
    probe = torch.linspace(-1, 1, 3 * observation_dim, device=device).reshape(3, observation_dim)
    try:
        with torch.no_grad():
            outs = [module(probe), module(probe), *(module(probe[i : i + 1]) for i in range(3))]
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"network {type(module).__name__} cannot take observations [3, {observation_dim}] or one row of them "
            f"({str(error).splitlines()[0]}); .eval() helps against batch statistics."
        ) from error
    if not isinstance(outs[0], Tensor) or outs[0].shape != (3, message_dim):
        found = tuple(outs[0].shape) if isinstance(outs[0], Tensor) else type(outs[0]).__name__
        raise ValueError(
            f"network {type(module).__name__} returns {found} for observations [3, {observation_dim}] but must "
            f"return one tensor {(3, message_dim)}: set message_dim, or wrap it (a recurrent network is no "
            "function of the observation alone)."
        )
    if not torch.equal(outs[0], outs[1]) or not torch.allclose(outs[0], torch.cat(outs[2:]), atol=1e-4):
        raise ValueError(
            f"network {type(module).__name__} is not a function of the observation alone (dropout or batch "
            "statistics?); call .eval() on it."
        )


def _same(one: torch.device, other: torch.device) -> bool:
    """Whether two devices are one: "cuda" is "cuda:0"."""
    return one.type == other.type and (one.index or 0) == (other.index or 0)
