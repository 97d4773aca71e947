"""EXP3: which policy of a finite set to play against an attacker that may change (PROTECTED's defence at test time).

    draw policy k ~ w,  observe its episode's return R,  scaled to g in [0, 1]
    log w_j += eta * g / (w_k + gamma)  for j = k,   then normalise

With implicit exploration gamma = eta / 2 (Neu 2015) the loss-free form needs no forced mixing with the uniform
distribution. Loss-based estimates, l = 1 - g, have the smaller variance and the textbook bound: for eta =
sqrt(2 ln K / (K T)), average regret <= sqrt(2 K ln K / T) and below 2 sqrt(K ln K / T).

What differs from the release of PROTECTED (`exp3.py`, Liu, Deng et al., arXiv 2402.12673): weights are kept as
logarithms (theirs multiply without renormalising and overflow); returns are scaled by given bounds, not divided
by 6000, so that the guarantee holds.

Shapes: K policies, T episodes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsuite.core.evaluate import Predictor

__all__ = ["Exp3", "NonDominatedSet", "learning_rate"]


def learning_rate(num_policies: int, episodes: int) -> float:
    """Eta = sqrt(2 ln K / (K T)), the rate of the bound; 0 for a single policy."""
    return math.sqrt(2 * math.log(num_policies) / (num_policies * episodes))


class Exp3:
    """The bandit.

    Args:
        num_policies: K >= 1.
        eta: step size, > 0 (for K = 1 any); see `learning_rate`.
        low: smallest possible return.
        high: largest possible return, > low; returns outside are clipped.
        estimate: "loss" (textbook) or "gain" (the release's).
        gamma: implicit exploration, >= 0; None is eta / 2 for gains and 0 for losses.
        seed: of the draws.

    Raises:
        ValueError: an argument out of range.
    """

    def __init__(
        self,
        num_policies: int,
        eta: float,
        *,
        low: float,
        high: float,
        estimate: str = "loss",
        gamma: float | None = None,
        seed: int = 0,
    ) -> None:
        if num_policies < 1 or not eta >= 0 or (num_policies > 1 and not 0 < eta < math.inf):
            raise ValueError(f"Exp3 needs num_policies >= 1 and eta > 0, not {num_policies}, {eta}")
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"Exp3 needs finite returns low < high, not low={low}, high={high}")
        if estimate not in ("loss", "gain") or (gamma is not None and not gamma >= 0):
            raise ValueError(f"Exp3 has estimates 'loss' and 'gain' and gamma >= 0, not {estimate!r}, {gamma}")
        self.eta = eta
        self.low = low
        self.high = high
        self.estimate = estimate
        self.gamma = gamma if gamma is not None else (eta / 2 if estimate == "gain" else 0.0)
        self.log_weights = np.full(num_policies, -math.log(num_policies))
        self.rng = np.random.default_rng(seed)

    @property
    def weights(self) -> NDArray[np.float64]:
        """The distribution [K] that the next policy is drawn from."""
        weights = np.exp(self.log_weights)
        found: NDArray[np.float64] = weights / weights.sum()
        return found

    def draw(self) -> int:
        """Index of a policy drawn from `weights`, 0..K-1."""
        return int(self.rng.choice(len(self.log_weights), p=self.weights))

    def update(self, policy: int, return_: float) -> None:
        """Learn from one episode of the policy drawn.

        Raises:
            ValueError: NaN return.
        """
        if math.isnan(return_):
            raise ValueError("the return given to Exp3 is NaN; look at the episode")
        gain = (min(max(return_, self.low), self.high) - self.low) / (self.high - self.low)
        amount = gain if self.estimate == "gain" else gain - 1.0
        self.log_weights[policy] += self.eta * amount / (self.weights[policy] + self.gamma)
        top = self.log_weights.max()
        self.log_weights -= top + math.log(np.exp(self.log_weights - top).sum())

    def state_dict(self) -> dict[str, Any]:
        """The log-weights and the random state."""
        return {"log_weights": self.log_weights.copy(), "rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            ValueError: another number of policies.
        """
        given = np.asarray(state["log_weights"], float)
        if given.shape != self.log_weights.shape:
            raise ValueError(f"the state is of {len(given)} policies, this bandit has {len(self.log_weights)}")
        self.rng.bit_generator.state = state["rng"]
        self.log_weights = given.copy()


class NonDominatedSet:
    """A set of policies as one: an episode is played by one of them, chosen by EXP3 from the returns so far.

    One environment at a time: call `end_episode(return_)` when an episode is over.

    Args:
        policies: K >= 1 trained policies of one task.
        bandit: chooses among them.

    Raises:
        ValueError: no policy, or a bandit of another size.
    """

    def __init__(self, policies: list[Predictor], bandit: Exp3) -> None:
        if not policies or len(policies) != len(bandit.log_weights):
            raise ValueError(f"{len(policies)} policies do not fit a bandit of {len(bandit.log_weights)}")
        self.policies = policies
        self.bandit = bandit
        self.current = bandit.draw()

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[np.ndarray, Any]:
        """Action of the policy chosen for this episode."""
        return self.policies[self.current].predict(observation, state, episode_start, deterministic)

    def end_episode(self, return_: float) -> None:
        """Tell the bandit what the chosen policy earned, and choose anew."""
        self.bandit.update(self.current, return_)
        self.current = self.bandit.draw()
