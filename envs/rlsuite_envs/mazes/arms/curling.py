"""Curling: push a ball with a two-link arm so that it comes to rest in one of two discs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rlsuite_envs.mazes.arms.table_game import TableGame, TableParams, TableState
from rlsuite_envs.mazes.reward_areas import Area

__all__ = ["Curling", "CurlingParams"]


@dataclass(frozen=True)
class CurlingParams(TableParams):
    """Constants; the defaults are SERENE's."""

    areas: tuple[Area, ...] = ((0.8, 0.8, 0.4), (0.8, -0.8, 0.2))
    """Discs (x, y, radius) with centres on the table, [-1.5, 1.5]^2, that reward the ball; at least one."""


class Curling(TableGame):
    """Hit a ball so that it lies in a disc in the end.

    ## Description
    A table of 3 m x 3 m, seen from above, has a ball of radius 0.15 m and an arm of two links, 1 m each, mounted at
    the middle of the lower wall. The joints are driven at commanded speeds of up to 1 rad/s, within +-0.4 pi
    (shoulder) and +-0.9 pi (elbow). The ball rolls with damping and bounces off arm and walls with restitution 0.9.
    The physics are Box2D's with the simplifications named in `planar_physics`; the second link reaches from 0.1 m
    before the elbow to 0.9 m behind it, as in the release.

    ## Action Space
    `Box(-1, 1, (2,))` float32: speeds of shoulder and elbow, rad/s, counterclockwise; values outside are clipped.

    ## Observation Space
    `Box(-1, 1, (6,))` float32; with observation="raw" in the release's units.

    | index | meaning | raw range | scaled by | unit |
    |---|---|---|---|---|
    | 0 | x of the ball, from the table's centre | -1.5, 1.5 | 1.5 | m |
    | 1 | y of the ball | -1.5, 1.5 | 1.5 | m |
    | 2 | angle of the shoulder, from upwards | -0.4 pi, 0.4 pi | 0.4 pi | rad |
    | 3 | angle of the elbow | -0.9 pi, 0.9 pi | 0.9 pi | rad |
    | 4 | speed of the shoulder | -1, 1 | 1 | rad/s |
    | 5 | speed of the elbow | -1, 1 | 1 | rad/s |

    The ball's velocity is not observed.

    ## Rewards
    "sparse": 0; in the last step (R - d) / R where the ball's centre is at distance d <= R from that of a reward
    area of radius R: 0.4 at (0.8, 0.8), 0.2 at (0.8, -0.8). "dense" adds the step's decrease of the distance to the
    nearest centre.

    ## Starting State
    The arm upright, the ball at (-0.5, 0.2), all at rest.

    ## Episode End
    Termination: never. Truncation: after `horizon` (500) steps of 1/60 s.

    ## Information
    `behaviour` [2]: the ball's position, whose last value is the behaviour descriptor. `area`: number of the reward
    area around it, -1 for none. `success`: whether there is one. `distance`: to the nearest centre.

    ## Arguments
    The fields of `CurlingParams`.

    Source: Paolo et al., SERENE (2021) and STAX (2024).
    """

    params_class = CurlingParams
    params: CurlingParams

    def post_decision(self, state: TableState, action: Tensor) -> tuple[TableState, Tensor]:
        """The next state and its reward: nothing here is random."""
        after = self.move(state, action)
        last = after.t >= self.params.horizon
        return after, self.areas.reward(state.ball.unbind(1), after.ball.unbind(1), last, self.params.reward)

    def transition(self, post_state: TableState, noise: None) -> tuple[TableState, None, Tensor]:
        """The state itself; the episode never terminates."""
        return post_state, None, torch.zeros_like(post_state.spin, dtype=torch.bool)
