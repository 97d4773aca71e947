"""A cart that mines two ores, and burns fuel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_flag, check_integer, check_non_negative, check_positive
from rlsuite_envs.drawing import Canvas
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.multi_objective.pictures import episode_picture

__all__ = ["CartAction", "CartState", "Minecart", "MinecartParams"]

MINE, LEFT, RIGHT, ACCELERATE, BRAKE, NOTHING = range(6)
"""Actions."""
STANDING = 0.001
"""Speed below which the cart stands."""
ROTATION = 10
"""Degrees that the cart turns in a frame; also along a wall."""
DECELERATION = 1.0
"""Speed that braking takes away in a frame: all of it."""
LOWEST_ANGLE, ANGLES = -355, 108
"""Angles are 45 plus multiples of 10 degrees. Turning brings them into 0..360, sliding along walls may lead out again,
by less than a turn: these are tabulated."""
ORE_COLORS = ("#3970fc", "#8930b6", "#2ca02c", "#ff7f0e", "#17becf", "#bcbd22")


def _mines(std: float) -> tuple[Any, ...]:
    """Five mines along the far walls, with two ores each."""
    return (
        ((0.16, 0.84), ((0.2, std), (0.0, std))),
        ((0.5, 0.84), ((0.15, std), (0.1, std))),
        ((0.84, 0.84), ((0.2, std), (0.2, std))),
        ((0.84, 0.5), ((0.1, std), (0.15, std))),
        ((0.84, 0.16), ((0.0, std), (0.2, std))),
    )


MINES = _mines(0.05)


@dataclass(frozen=True)
class MinecartParams:
    """Constants; lengths in sides of the square field, times in frames (a step has `frame_skip` of them)."""

    mines: Any = MINES
    """For each mine its place (x, y) in [0, 1] and, for each ore, mean and standard deviation of what a frame of mining
    yields; a draw below 0 yields nothing."""
    capacity: float = 1.5
    """Ore that the cart can hold, above 0; what is too much is left, in equal proportion."""
    frame_skip: int = 4
    """Frames in a step, 1..64."""
    incremental_frame_skip: bool = True
    """Whether the action is applied in each frame; else at once with all its strength, and home is looked for at the
    end of the step only."""
    acceleration: float = 0.0075
    """Speed gained per frame of accelerating, at least 0; speed is at most 1."""
    fuel_idle: float = 0.005
    """Fuel burnt per frame, at least 0."""
    fuel_acceleration: float = 0.025
    """Fuel burnt per frame of accelerating, beside that, at least 0."""
    fuel_mining: float = 0.05
    """Fuel burnt per frame of mining, beside that, at least 0."""
    mine_radius: float = 0.14
    """Distance up to which the nearest mine can be mined, above 0."""
    base_radius: float = 0.15
    """Distance from (0, 0) below which the cart is at home, above 0."""

    def __post_init__(self) -> None:
        check_positive(self, "capacity", "mine_radius", "base_radius")
        check_integer(self, "frame_skip", 1, 64)
        check_flag(self, "incremental_frame_skip")
        check_non_negative(self, "acceleration", "fuel_idle", "fuel_acceleration", "fuel_mining")
        object.__setattr__(self, "mines", _checked_mines(self.mines))

    @property
    def ores(self) -> int:
        """Kinds of ore."""
        return len(self.mines[0][1])


def _checked_mines(given: Any) -> tuple[Any, ...]:
    if not isinstance(given, tuple | list) or not 1 <= len(given) <= 100:
        raise ValueError(f"mines={given!r} must be 1 to 100 mines, each ((x, y), ((mean, std), ...)).")
    found: list[Any] = []
    for i, mine in enumerate(given):
        try:
            (x, y), ores = mine
            place, yields = (float(x), float(y)), tuple((float(mean), float(std)) for mean, std in ores)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"mines[{i}]={mine!r} must be ((x, y), ((mean, std), ...)).") from error
        if not all(0 <= part <= 1 for part in place):
            raise ValueError(f"mines[{i}] lies at {place}; x and y must lie in [0, 1].")
        if not yields or len(yields) > 6 or (found and len(yields) != len(found[0][1])):
            raise ValueError(f"mines[{i}] has {len(yields)} ores; all mines must have the same number, 1 to 6.")
        for mean, std in yields:
            if not (abs(mean) <= 1e6 and 0 <= std <= 1e6):
                raise ValueError(f"mines[{i}] yields ({mean}, {std}); std must be at least 0, and both at most 1e6.")
        found.append((place, yields))
    return tuple(found)


@dataclass(frozen=True)
class CartState:
    """The cart; lengths in sides of the field."""

    position: Tensor
    """x and y, [B, 2], each in [0, 1]."""
    speed: Tensor
    """Way per frame, [B]."""
    angle: Tensor
    """Direction in degrees, [B] int64; 0 along x, 90 along y (downwards in the picture)."""
    content: Tensor
    """Amount of each ore in the cart, [B, ores]."""
    departed: Tensor
    """Whether it has left home, [B] bool."""


@dataclass(frozen=True)
class CartAction:
    """State and action: what the cart does and what the mine yields go together frame by frame."""

    state: CartState
    """The state before the step."""
    action: Tensor
    """The action, [B] int64."""


class Minecart(Kernel[CartState, CartAction, Tensor]):
    """Minecart: drive to mines, load two ores, bring them home, and burn little fuel.

    ## Description
    A cart starts at home, in the corner of a square field. It turns, accelerates, brakes, and slides along the walls.
    Where it stands within reach of a mine it can load ore: how much of which ore depends on the mine, and on chance.
    Back home it sells what it has. Richer mines are farther away and cost more fuel.

    ## Action Space
    `Discrete(6)`: 0 mine, 1 left, 2 right (10 degrees per frame), 3 accelerate, 4 brake (to a stop), 5 nothing.

    ## Observation Space
    `Box(-1, 1, (7,))` float32: x, y, speed, sine and cosine of the direction, content of each ore over the capacity.

    ## Rewards
    [3]: first ore sold, second ore sold (both 0 until home), fuel (below 0: 0.02 per step, 0.1 more for accelerating,
    0.2 more for mining).

    ## Starting State
    At home, (0, 0), standing, with an empty cart, looking along the diagonal.

    ## Episode End
    Termination: home again after having left it. Truncation: 1,000 steps.

    ## Arguments
    The fields of `MinecartParams`. Preset "deterministic": every frame of mining yields the mean.

    There is no exact front: states are continuous. mo-gymnasium's own is an estimate over driving patterns, which
    learners have surpassed; it also takes the mean yield of draws below 0 to be that of truncated draws, while they
    yield nothing (an ore of mean 0 and deviation 0.05 yields 0.020 per frame, not 0.040).

    With `dtype="float64"` states equal mo-gymnasium's to about 1e-15. In float32, the default, rounding may decide
    whether a cart that comes back to where it was touches the wall there, and so another way begins.

    Source: Abels et al. 2019, Dynamic weights in multi-objective deep reinforcement learning (arXiv 1809.07803). Equal
    to mo-gymnasium's `minecart-v0` and `minecart-deterministic-v0`, step for step.
    """

    params_class = MinecartParams
    params: MinecartParams
    render_fps = 15

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        p = self.params
        self._places = self._floats([place for place, _ in p.mines])
        self._yields = self._floats([ores for _, ores in p.mines])
        self.deterministic = not any(std for _, ores in p.mines for _, std in ores)
        """Whether chance has no part."""
        angles = [math.radians(LOWEST_ANGLE + ROTATION * i) for i in range(ANGLES)]
        self._directions = self._floats([(math.cos(a), math.sin(a)) for a in angles])
        self._frames, self._at_once = (p.frame_skip, 1) if p.incremental_frame_skip else (1, p.frame_skip)
        self._turn = torch.tensor([0, -1, 1, 0, 0, 0], device=self.device) * ROTATION * self._at_once
        self._push = self._floats([0, 0, 0, p.acceleration, -DECELERATION, 0]) * self._at_once
        extra = [p.fuel_mining, 0.0, 0.0, p.fuel_acceleration, 0.0, 0.0]
        self._fuel = self._floats([-(p.fuel_idle + more) * p.frame_skip for more in extra])

    def _floats(self, values: Any) -> Tensor:
        return torch.tensor(np.array(values, np.float64), device=self.device, dtype=self.dtype)

    @property
    def observation_space(self) -> spaces.Box:
        """See the class."""
        return spaces.Box(-1.0, 1.0, (5 + self.params.ores,), np.float32)

    @property
    def action_space(self) -> spaces.Discrete:
        """Mine, left, right, accelerate, brake, nothing."""
        return spaces.Discrete(6)

    @property
    def max_episode_steps(self) -> int:
        """1,000 steps."""
        return 1000

    @property
    def reward_dim(self) -> int:
        """The ores, and fuel."""
        return self.params.ores + 1

    @property
    def reward_space(self) -> spaces.Box:
        """From 0 to the capacity for each ore; for fuel, from -1 (or the most a step burns, if that is more) to 0."""
        ores, kind = self.params.ores, self._reward_dtype
        low = np.array([0.0] * ores + [min(-1.0, self._fuel.min().item())], kind)
        return spaces.Box(low, np.array([self.params.capacity] * ores + [0.0], kind), dtype=kind)

    @property
    def objective_names(self) -> tuple[str, ...]:
        """The ores, and fuel."""
        return *(f"ore {i + 1}" for i in range(self.params.ores)), "fuel"

    def initial_state(self, num: int, rng: torch.Generator) -> CartState:
        """All at home."""
        zeros = torch.zeros(num, 3 + self.params.ores, dtype=self.dtype, device=self.device)
        angle = torch.full((num,), 45, device=self.device)
        departed = torch.zeros(num, dtype=torch.bool, device=self.device)
        return CartState(zeros[:, :2], zeros[:, 2], angle, zeros[:, 3:], departed)

    def post_decision(self, state: CartState, action: Tensor) -> tuple[CartAction, None]:
        """State and action."""
        return CartAction(state, action), None

    def sample_exogenous(self, state: CartState, rng: torch.Generator) -> Tensor | None:
        """Standard normal numbers [B, frame_skip, ores] that decide the yields; None where nothing is random."""
        if self.deterministic:
            return None
        size = (*state.speed.shape, self.params.frame_skip, self.params.ores)
        return torch.randn(size, generator=rng, device=self.device, dtype=self.dtype)

    def transition(self, post_state: CartAction, noise: Tensor | None) -> tuple[CartState, Tensor, Tensor]:
        """Frame by frame: the action, the way, and home. Reward [B, ores + 1]."""
        if noise is None and not self.deterministic:
            raise ValueError("Minecart.transition needs the noise of sample_exogenous where yields are random.")
        state, action = post_state.state, post_state.action
        x, y = state.position.unbind(-1)
        speed, angle, content, departed = state.speed, state.angle, state.content, state.departed
        turn, push = self._turn[action], self._push[action]
        turns, pushes, mines = turn != 0, (action == ACCELERATE) | (action == BRAKE), action == MINE
        sold, home = torch.zeros_like(content), torch.zeros_like(departed)
        goes_on = ~home
        for frame in range(self._frames):
            # In the frame after coming home the action is still applied, then nothing more happens.
            angle = torch.where(turns & goes_on, (angle + turn) % 360, angle)
            speed = torch.where(pushes & goes_on, (speed + push).clamp(0.0, 1.0), speed)
            draws = None if noise is None else noise[:, frame : frame + self._at_once]
            content = self._mined(x, y, content, draws, mines & goes_on & (speed < STANDING))
            goes_on = ~home
            for _ in range(self._at_once):
                x, y, speed, angle = self._driven(x, y, speed, angle, goes_on)
            near = (x * x + y * y).sqrt() < self.params.base_radius
            arrives = near & departed & goes_on
            paid = content * arrives[:, None]
            sold, content = sold + paid, content - paid
            departed = departed | (~near & goes_on)
            home = home | arrives
        reward = torch.cat((sold, self._fuel[action][:, None]), -1)
        return CartState(torch.stack((x, y), -1), speed, angle, content, departed), reward, home

    def _mined(self, x: Tensor, y: Tensor, content: Tensor, draws: Tensor | None, where: Tensor) -> Tensor:
        """Content [B, ores] after mining where [B] the cart does so, with draws [B, times, ores]."""
        distance = ((x[:, None] - self._places[:, 0]).square() + (y[:, None] - self._places[:, 1]).square()).sqrt()
        least, nearest = distance.min(1)
        where = where & (least <= self.params.mine_radius)
        mean, std = self._yields[nearest].unbind(-1)
        for time in range(self._at_once):
            ore = (mean if draws is None else mean + std * draws[:, time]).clamp_min(0.0) * where[:, None]
            free = (self.params.capacity - content.sum(-1)).clamp_min(0.0)
            total = ore.sum(-1)
            share = torch.where(total > free, free / total, 1.0)
            content = (content + ore * share[:, None]).clamp_max(self.params.capacity)
        return content

    def _driven(self, x: Tensor, y: Tensor, speed: Tensor, angle: Tensor, where: Tensor) -> tuple[Tensor, ...]:
        """x, y, speed and angle after the way of a frame; along a wall the cart turns."""
        where = where & (speed >= STANDING)
        cos, sin = self._direction(angle).unbind(-1)
        across, along = speed * cos, speed * sin
        # At a wall of one axis the cart turns towards where it goes along the other: at the upper end of x and the
        # lower end of y one way round, at the other two walls the other way.
        zero = torch.zeros_like(angle)
        at_x = ((x == 1) & (across > 0)).long() - ((x == 0) & (across < 0)).long()
        at_y = ((y == 1) & (along > 0)).long() - ((y == 0) & (along < 0)).long()
        towards_x = torch.where((x != 0) & (x != 1) & (across.abs() > STANDING), across.sign().long(), zero)
        towards_y = torch.where((y != 0) & (y != 1) & (along.abs() > STANDING), along.sign().long(), zero)
        turned = angle + ROTATION * (at_x * towards_y - at_y * towards_x)
        next_x, next_y = (x + across).clamp(0.0, 1.0), (y + along).clamp(0.0, 1.0)
        way = ((next_x - x).square() + (next_y - y).square()).sqrt()
        return (
            torch.where(where, next_x, x),
            torch.where(where, next_y, y),
            torch.where(where, way, speed),
            torch.where(where, turned, angle),
        )

    def _direction(self, angle: Tensor) -> Tensor:
        """Cosine and sine [B, 2] of angles in degrees."""
        return self._directions[torch.div(angle - LOWEST_ANGLE, ROTATION, rounding_mode="floor") % ANGLES]

    def observe(self, state: CartState) -> Tensor:
        """x, y, speed, sine and cosine of the direction, content over capacity: [B, 5 + ores] float32."""
        direction, filled = self._direction(state.angle).flip(-1), state.content / self.params.capacity
        return torch.cat((state.position, state.speed[:, None].clamp_max(1.0), direction, filled), -1).float()

    def observe_post(self, post_state: CartAction) -> Tensor:
        """Observation of the state before the step: nothing happens before the randomness does."""
        return self.observe(post_state.state)

    def render(self, state_row: CartState) -> np.ndarray:
        """The field from above with home, mines and what they yield; the cart points where it goes."""
        p = self.params
        canvas = Canvas(520, 520, (-0.18, 1.12), (-1.12, 0.18), "#efe9dd")
        canvas.rect(0, 0, 1, -1, "#f8f5ee", outline="#8c8577")
        canvas.disc(0, 0, p.base_radius, "#f2b8a8", outline="#b5533c")
        canvas.text(-0.01, 0.06, "home", size=15, anchor="mm")
        top = max([mean for _, ores in p.mines for mean, _ in ores] + [1e-9])
        for (x, y), ores in p.mines:
            canvas.disc(x, -y, p.mine_radius, None, outline="#8c8577")
            canvas.disc(x, -y, 0.05, "#d9d2c3", outline="#8c8577")
            for i, (mean, _) in enumerate(ores):
                left = x + (i - len(ores) / 2) * 0.035
                if mean > 0:
                    canvas.rect(left, -y - 0.035, left + 0.03, -y - 0.035 + 0.08 * mean / top, ORE_COLORS[i])
        x, y = state_row.position[0].tolist()
        ahead = self._direction(state_row.angle)[0].cpu().numpy() * np.array([1.0, -1.0])
        aside = np.array([-ahead[1], ahead[0]])
        place = np.array([x, -y])
        outline = ((-1, -1), (0.6, -1), (1.2, 0), (0.6, 1), (-1, 1))
        body = np.array([place + 0.05 * a * ahead + 0.035 * b * aside for a, b in outline])
        canvas.polygon(body, "#5d6670", outline="black")
        for i, amount in enumerate(state_row.content[0].tolist()):
            left = x + (i - p.ores / 2) * 0.03
            if amount > 0:
                canvas.rect(left, -y + 0.065, left + 0.026, -y + 0.065 + 0.09 * amount / p.capacity, ORE_COLORS[i])
        for i in range(p.ores):
            canvas.rect(0.1 + 0.18 * i, -1.045, 0.13 + 0.18 * i, -1.075, ORE_COLORS[i])
            canvas.text(0.145 + 0.18 * i, -1.06, f"ore {i + 1}", size=15)
        return canvas.array()

    def render_episode(self, states: CartState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The way, coloured by time, and the returns so far."""
        last = CartState(*(getattr(states, n)[-1:] for n in ("position", "speed", "angle", "content", "departed")))
        way = (states.position.double() + 0.18).cpu().numpy()
        return episode_picture(
            self.render(last), (1.3, 1.3), way, rewards.cpu().numpy(), self.objective_names, drift=0.0
        )


Minecart.presets = {"deterministic": MinecartParams(mines=_mines(0.0))}
