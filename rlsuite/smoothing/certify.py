"""From a policy to its certificate in one call: check, play, certify."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import VectorEnv

from rlsuite.core.config import nearest
from rlsuite.core.evaluate import Predictor
from rlsuite.smoothing.certificates import (
    Certificate,
    certify_dkw,
    certify_expectation,
    certify_ladder,
    certify_percentile,
    certify_success,
)
from rlsuite.smoothing.episodes import smoothed_returns
from rlsuite.smoothing.sample_size import Method
from rlsuite.smoothing.survival import check_returns

__all__ = ["CERTIFYING_SEED", "certify_policy", "certify_returns", "check_certificate"]

CERTIFYING_SEED = 6_000_003
"""Offset added to the seed, as an agent trained with that seed (0 by default) has met its start states and noise."""
CERTIFIERS: dict[str, Callable[..., Certificate]] = {
    "success": certify_success,
    "ladder": certify_ladder,
    "dkw": certify_dkw,
    "percentile": certify_percentile,
    "expectation": certify_expectation,
}


def certify_policy(
    policy: Predictor,
    env: str | VectorEnv[Any, Any, Any],
    budgets: npt.ArrayLike,
    *,
    sigma: float,
    method: Method = "dkw",
    episodes: int = 10_000,
    alpha: float = 0.05,
    above: float = 0.0,
    seed: int = 0,
    frames: int = 1,
    stacked: bool = False,
    env_kwargs: dict[str, Any] | None = None,
    **options: Any,
) -> Certificate:
    """Play clean smoothed episodes and certify what an attack of each total norm leaves.

    All settings are tried on invented returns first: bad ones, and too few episodes, are refused before anything is
    played.

    Args:
        policy: the base policy, best trained under the same noise (`rlsuite.smoothing.noise`).
        env: id, or SAME_STEP vector environment.
        budgets: B, one or [G], total L2 norm of an episode's attack, observation units.
        sigma: noise, > 0, observation units.
        method: "success", "ladder", "dkw", "percentile" or "expectation"; see `rlsuite.smoothing.certificates`.
        episodes: N.
        alpha: failure probability, in (0, 1).
        above: an episode with a larger return is a success ("success" only).
        seed: of environments and noise.
        frames: k, frames that the policy sees.
        stacked: whether the environment stacks them itself.
        env_kwargs: of the environment, when env is an id.
        options: of the method: `ladder`; `minimum`; `minimum` and `maximum`; `q`, `interval`; ...

    Example:
        >>> certificate = certify_policy(
        ...     model, "rlsuite/CartPole-v1", [0.1, 0.2], sigma=0.2, method="ladder", ladder=500
        ... )  # doctest: +SKIP
        >>> print(certificate)  # doctest: +SKIP

    Raises:
        ValueError: bad settings, too few episodes, or a return outside the given limits.
        TypeError: an option that the method does not have or lacks.
    """
    check_certificate(method, budgets, sigma, episodes=episodes, alpha=alpha, **options)
    run = smoothed_returns(
        policy,
        env,
        sigma=sigma,
        episodes=episodes,
        seed=seed + CERTIFYING_SEED,
        frames=frames,
        stacked=stacked,
        env_kwargs=env_kwargs,
    )
    return certify_returns(run.returns, method, budgets, sigma, alpha=alpha, above=above, **options)


def certify_returns(
    returns: np.ndarray,
    method: str,
    budgets: npt.ArrayLike,
    sigma: float,
    *,
    alpha: float = 0.05,
    above: float = 0.0,
    **options: Any,
) -> Certificate:
    """The certificate of returns [N] of clean smoothed episodes; `certify_policy` has the arguments and errors."""
    values = check_returns(returns, -np.inf)
    return _certifier(method)(values > above if method == "success" else values, budgets, sigma, alpha=alpha, **options)


def check_certificate(
    method: str,
    budgets: npt.ArrayLike,
    sigma: float,
    *,
    episodes: int,
    alpha: float = 0.05,
    **options: Any,
) -> None:
    """Try all settings on invented returns, before anything is played; `certify_policy` has the arguments.

    Raises:
        ValueError: bad settings, or too few episodes. TypeError: an option that the method does not have or lacks.
    """
    certify = _certifier(method)
    if isinstance(episodes, bool) or not isinstance(episodes, (int, np.integer)) or episodes < 1:
        raise ValueError(f"episodes={episodes!r} must be an integer of at least 1.")
    certify(np.full(int(episodes), _allowed(method, options)), budgets, sigma, alpha=alpha, **options)


def _certifier(method: str) -> Callable[..., Certificate]:
    if method not in CERTIFIERS:
        raise ValueError(f"method {method!r} is unknown: {nearest(str(method), list(CERTIFIERS))}.")
    return CERTIFIERS[method]


def _allowed(method: str, options: dict[str, Any]) -> float:
    """The least return that the settings allow."""
    if method == "ladder" and not np.isscalar(options.get("ladder")):
        rungs = np.asarray(options.get("ladder", [0.0]), np.float64).reshape(-1)
        return float(rungs[0]) if len(rungs) and np.isfinite(rungs[0]) else 0.0
    minimum = options.get("minimum", 0.0)
    return float(minimum) if isinstance(minimum, int | float | np.number) and np.isfinite(float(minimum)) else 0.0
