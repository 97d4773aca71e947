"""Billiard: push a ball with a two-link arm into one of the two upper holes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rlsuite_envs.checks import check_positive
from rlsuite_envs.mazes.arms.table_game import TableGame, TableParams, TableState
from rlsuite_envs.mazes.reward_areas import Area

__all__ = ["Billiard", "BilliardParams"]


@dataclass(frozen=True)
class BilliardParams(TableParams):
    """Constants; the defaults are the release's."""

    areas: tuple[Area, ...] = ((-1.5, 1.5, 0.4), (1.5, 1.5, 0.4))
    """Holes (x, y, radius) with centres on the table, [-1.5, 1.5]^2; at least one."""
    hole_reward: float = 100.0
    """Reward of the ball in a hole, > 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "hole_reward")


class Billiard(TableGame):
    """Hit a ball into a hole.

    ## Description
    The table, arm and ball of `Curling`, with holes of radius 0.4 m at the two upper corners. A ball is in a hole as
    soon as its centre is.

    ## Action Space
    `Box(-1, 1, (2,))` float32: speeds of shoulder and elbow, rad/s, counterclockwise; values outside are clipped.

    ## Observation Space
    `Box(-1, 1, (6,))` float32: as `Curling`.

    ## Rewards
    "sparse": 100 in the step in which the ball falls into a hole, else 0. "dense" adds the step's decrease of the
    distance to the nearest hole's centre.

    ## Starting State
    The arm upright, the ball at (-0.5, 0.2), all at rest.

    ## Episode End
    Termination: the ball is in a hole. Truncation: after `horizon` (500; TAXONS: 300) steps of 1/60 s.

    ## Information
    `behaviour` [2]: the ball's position, whose last value is the behaviour descriptor. `area`: number of the hole
    it is in, -1 for none. `success`: whether it is in one. `distance`: to the nearest hole's centre.

    ## Arguments
    The fields of `BilliardParams`.

    Source: Paolo et al., TAXONS (2020).
    """

    params_class = BilliardParams
    params: BilliardParams

    def post_decision(self, state: TableState, action: Tensor) -> tuple[TableState, Tensor]:
        """The next state and its reward: nothing here is random."""
        after = self.move(state, action)
        reward = self.params.hole_reward * self._holed(after).to(self.dtype)
        if self.params.reward == "dense":
            reward = reward + self.areas.distance(*state.ball.unbind(1)) - self.areas.distance(*after.ball.unbind(1))
        return after, reward

    def _holed(self, state: TableState) -> Tensor:
        """Whether the ball is in a hole, [B] bool."""
        return self.areas.index(*state.ball.unbind(1)) >= 0

    def transition(self, post_state: TableState, noise: None) -> tuple[TableState, None, Tensor]:
        """The state itself; terminated where the ball is in a hole."""
        return post_state, None, self._holed(post_state)
