"""OpenES: an evolution strategy that estimates the gradient of a smoothed fitness from antithetic pairs.

    J(mu) = E[f(mu + sigma e)],  e ~ N(0, I)
    grad J ~ 1 / (P sigma) sum_i e_i F_i,     e = [z, -z],     F = the population's fitness, standardised

The mean mu climbs that gradient with Adam; sigma and Adam's step size decay by a factor per generation down to a floor.
Antithetic pairs (z and -z) cancel every even term of f, the constant above all, from the estimate; standardising makes
the step independent of the unit of fitness. With equal fitness everywhere the estimate is 0 and the mean stays.

Shapes: P candidates (even), D parameters.

Source: Salimans, Ho, Chen, Sidor, Sutskever, "Evolution strategies as a scalable alternative to reinforcement
learning", arXiv 1703.03864; defaults and order of operations (standardise after ranking, decay after the step, Adam's
beta1 0.99) are those of evosax 0.0.4, with which Adversarial Cheap Talk was run. Fitness is maximised here throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rlsuite.core.config import check_range, check_types
from rlsuite.core.rng import pack_rng, unpack_rng

__all__ = ["OpenES", "OpenESConfig", "antithetic", "centred_ranks", "es_gradient", "standardised"]


@dataclass(frozen=True)
class OpenESConfig:
    """Hyper-parameters of OpenES.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    sigma: float = 0.04
    """Standard deviation of the candidates around the mean in the first generation, parameter units, > 0."""
    sigma_decay: float = 0.999
    """Factor on sigma per generation, in (0, 1]."""
    sigma_limit: float = 0.01
    """Floor of sigma, > 0."""
    learning_rate: float = 0.01
    """Adam's step size in the first generation, > 0."""
    learning_rate_decay: float = 0.999
    """Factor on the step size per generation, in (0, 1]."""
    learning_rate_limit: float = 0.001
    """Floor of the step size, >= 0."""
    beta1: float = 0.99
    """Adam's decay of the mean gradient, in [0, 1)."""
    beta2: float = 0.999
    """Adam's decay of the squared gradient, in [0, 1)."""
    eps: float = 1e-8
    """Added to the root of Adam's second moment, > 0."""
    ranks: bool = False
    """Replace fitness by centred ranks in [-0.5, 0.5] before standardising: outliers lose their weight."""

    def __post_init__(self) -> None:
        check_types(self)
        inf, tiny = float("inf"), 1e-12
        check_range(
            self,
            sigma=(tiny, 1e6),
            sigma_decay=(tiny, 1),
            sigma_limit=(tiny, 1e6),
            learning_rate=(tiny, 1e6),
            learning_rate_decay=(tiny, 1),
            learning_rate_limit=(0, 1e6),
            beta1=(0, 1 - tiny),
            beta2=(0, 1 - tiny),
            eps=(1e-30, inf),
        )


def antithetic(population: int, num_params: int, generator: torch.Generator) -> Tensor:
    """Standard normal noise e = [z, -z], [P, D] float32 on the CPU: row i + P/2 is minus row i."""
    half = torch.randn((population // 2, num_params), generator=generator)
    return torch.cat((half, -half))


def centred_ranks(fitness: Tensor) -> Tensor:
    """Ranks of fitness [P], evenly spaced over [-0.5, 0.5]; ties share the mean of their ranks."""
    below = (fitness[None] < fitness[:, None]).sum(1)
    equal = (fitness[None] == fitness[:, None]).sum(1)
    return (below + (equal - 1) / 2) / (len(fitness) - 1) - 0.5


def standardised(fitness: Tensor) -> Tensor:
    """(f - mean) / std over the population [P], with the population's own std; 0 where all are equal."""
    gap = fitness - fitness.mean()
    std = gap.square().mean().sqrt()
    # Rounding of the mean leaves a tiny std where all are equal; it must not be blown up to 1.
    alike = std <= 1e-6 * fitness.abs().max()
    return torch.where(alike, torch.zeros_like(gap), gap / torch.where(alike, torch.ones_like(std), std))


def es_gradient(noise: Tensor, fitness: Tensor, sigma: float) -> Tensor:
    """The estimate 1 / (P sigma) sum_i e_i F_i of the gradient of E[f(mu + sigma e)], [D].

    Args:
        noise: e, [P, D], standard normal.
        fitness: F, [P], of the candidates mu + sigma e.
        sigma: > 0.

    Source: Salimans et al. 2017, section 2.
    """
    return noise.T @ fitness / (len(noise) * sigma)


class OpenES:
    """The strategy: `ask` for candidates, `tell` their fitness, read `mean`.

    Args:
        num_params: D, at least 1.
        population: P, even, at least 2.
        config: hyper-parameters; None takes the defaults.
        seed: of the noise.
        device: where candidates and the mean are; noise is drawn on the CPU, the same for every device.

    Attributes:
        mean: mu, [D] float32; 0 at first.
        generation: how many times `tell` was called.

    Raises:
        ValueError: a population that is odd or too small, or no parameters.

    Example:
        >>> es = OpenES(3, 64, OpenESConfig(sigma=0.1, learning_rate=0.1))
        >>> for _ in range(100):
        ...     candidates = es.ask()
        ...     metrics = es.tell(-(candidates - 1).square().sum(1))
    """

    def __init__(
        self,
        num_params: int,
        population: int,
        config: OpenESConfig | None = None,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        if isinstance(population, bool) or not isinstance(population, int) or population < 2 or population % 2:
            raise ValueError(
                f"population={population!r} must be an even integer of at least 2, as candidates come in "
                "antithetic pairs"
            )
        if num_params < 1:
            raise ValueError(f"num_params={num_params!r} must be at least 1")
        self.config = OpenESConfig() if config is None else config
        self.num_params = num_params
        self.population = population
        self.generator = torch.Generator().manual_seed(seed)
        self.mean = torch.zeros(num_params, device=device)
        self.first_moment = torch.zeros_like(self.mean)
        self.second_moment = torch.zeros_like(self.mean)
        self.generation = 0
        self._noise: Tensor | None = None

    @property
    def sigma(self) -> float:
        """Standard deviation of this generation's candidates."""
        config = self.config
        return max(config.sigma * config.sigma_decay**self.generation, min(config.sigma_limit, config.sigma))

    @property
    def learning_rate(self) -> float:
        """Adam's step size in this generation."""
        config = self.config
        floor = min(config.learning_rate_limit, config.learning_rate)
        return max(config.learning_rate * config.learning_rate_decay**self.generation, floor)

    def ask(self) -> Tensor:
        """Candidates mu + sigma e, [P, D]; candidate i + P/2 mirrors candidate i."""
        self._noise = antithetic(self.population, self.num_params, self.generator).to(self.mean)
        return self.mean + self.sigma * self._noise

    def tell(self, fitness: Tensor) -> dict[str, float]:
        """Move the mean towards the better of the candidates last asked for.

        Args:
            fitness: [P], the larger the better.

        Returns:
            sigma, learning_rate (of the step taken), gradient_norm and mean_norm.

        Raises:
            ValueError: no candidates were asked for, or another number of them. FloatingPointError: NaN or infinity.
        """
        if self._noise is None:
            raise ValueError("tell was called without ask: there are no candidates that the fitness could be of")
        if fitness.shape != (self.population,):
            raise ValueError(f"fitness has shape {tuple(fitness.shape)} but must be [{self.population}]")
        if not bool(torch.isfinite(fitness).all()):
            bad = int(torch.isfinite(fitness).logical_not().nonzero()[0, 0])
            raise FloatingPointError(f"the fitness of candidate {bad} is {float(fitness[bad])}")
        config, sigma, rate = self.config, self.sigma, self.learning_rate
        fitness = fitness.to(self.mean)
        shaped = standardised(centred_ranks(fitness) if config.ranks else fitness)
        gradient = es_gradient(self._noise, shaped, sigma)
        self.generation += 1
        self._noise = None
        self.first_moment.lerp_(gradient, 1 - config.beta1)
        self.second_moment.lerp_(gradient.square(), 1 - config.beta2)
        first = self.first_moment / (1 - config.beta1**self.generation)
        second = self.second_moment / (1 - config.beta2**self.generation)
        self.mean.add_(first / (second.sqrt() + config.eps), alpha=rate)
        return {
            "sigma": sigma,
            "learning_rate": rate,
            "gradient_norm": float(gradient.norm()),
            "mean_norm": float(self.mean.norm()),
        }

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of everything that changes, as it is between `tell` and `ask`."""
        return {
            "mean": self.mean.clone(),
            "first_moment": self.first_moment.clone(),
            "second_moment": self.second_moment.clone(),
            "generation": torch.tensor(self.generation),
            "generator": pack_rng(self.generator),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave; candidates asked for and not yet judged are forgotten.

        Raises:
            ValueError: a missing part, another number of parameters, or impossible numbers.
        """
        for name in ("mean", "first_moment", "second_moment"):
            vector = state.get(name)
            if vector is None or vector.shape != self.mean.shape or not bool(torch.isfinite(vector).all()):
                found = "missing" if vector is None else f"{tuple(vector.shape)} or not finite"
                raise ValueError(f"state {name!r} is {found}; it must be [{self.num_params}] and finite")
            getattr(self, name).copy_(vector)
        generation = int(state["generation"]) if "generation" in state else -1
        if generation < 0 or not math.isfinite(generation) or "generator" not in state:
            raise ValueError(f"state lacks a generation or a generator (generation {generation})")
        self.generation = generation
        self._noise = None
        unpack_rng(self.generator, state["generator"])
