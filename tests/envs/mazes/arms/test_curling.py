"""Curling and billiard: collisions by hand, recordings of Box2D, and what must hold on any table."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite_envs.kernel import tree_map
from rlsuite_envs.mazes.arms.billiard import Billiard, BilliardParams
from rlsuite_envs.mazes.arms.curling import Curling, CurlingParams
from rlsuite_envs.mazes.arms.table_game import TableState

# Recorded with pybox2d 2.3.10, 100 velocity and 100 position iterations, the bodies not marked as bullets; ball
# (x, y, vx, vy, spin), then joint angles and speeds. "free": no arm, every 10th step. "hits": constant commands from
# the start position, the steps from the first hit on. "arm": constant commands, ball out of reach, every 15th step.
RECORDINGS: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "box2d_recordings.json").read_text())
FOLDED = (0.0, 0.9 * math.pi)
"""An arm out of the way of balls in the upper half."""
DT = 1 / 60


def table(
    kernel: Curling | Billiard,
    ball: Any = (0.8, 0.6),
    velocity: Any = (0.0, 0.0),
    spin: Any = 0.0,
    angles: Any = FOLDED,
    t: int = 0,
) -> TableState:
    """A state of one row, or of as many as the given arrays have."""
    rows = [torch.as_tensor(np.array(v), dtype=kernel.dtype) for v in (ball, velocity, angles)]
    num = max(len(row) if row.ndim == 2 else 1 for row in rows)
    pairs = [row.reshape(-1, 2).expand(num, 2).clone() for row in rows]
    speeds, steps = torch.zeros(num, 2, dtype=kernel.dtype), torch.full((num,), t)
    spins = torch.as_tensor(spin, dtype=kernel.dtype).expand(num).clone()
    return TableState(pairs[0], pairs[1], spins, pairs[2], speeds, steps)


def play(kernel: Curling, state: TableState, command: Any, steps: int) -> list[TableState]:
    """The states after each step of one command."""
    action = torch.tensor(command, dtype=kernel.dtype).expand(len(state.t), 2)
    states = []
    for _ in range(steps):
        state = kernel.advance(state, action)[0]
        states.append(state)
    return states


@pytest.fixture
def exact() -> Curling:
    return Curling(dtype=torch.float64)


@pytest.mark.parametrize("recording", RECORDINGS["free"], ids=lambda r: str(r["velocity"]))
def test_balls_among_walls_move_as_in_box2d(exact: Curling, recording: dict[str, Any]) -> None:
    state = table(exact, recording["ball"], recording["velocity"], recording["spin"])
    if recording["velocity"][0] < 0:
        state = tree_map(torch.clone, table(exact, recording["ball"], recording["velocity"], recording["spin"]))
    states = play(exact, state, (0.0, 0.0), 120)[9::10]
    found = np.array([[*s.ball[0], *s.velocity[0], s.spin[0]] for s in states])
    theirs = np.array(recording["rows"])
    np.testing.assert_allclose(found[:, :2], theirs[:, :2], atol=2e-3)
    np.testing.assert_allclose(found[:, 2:4], theirs[:, 2:4], atol=1e-3)
    np.testing.assert_allclose(found[:, 4], theirs[:, 4], atol=0.02)


@pytest.mark.parametrize("recording", RECORDINGS["hits"], ids=lambda r: str(r["command"]))
def test_hits_by_the_arm_are_box2ds(exact: Curling, recording: dict[str, Any]) -> None:
    rows, first = np.array(recording["rows"]), recording["first"]
    states = play(exact, exact.initial_state(1, torch.Generator()), recording["command"], first + len(rows))
    assert not states[first - 1].velocity.any()
    found = np.array([[*s.ball[0], *s.velocity[0]] for s in states[first:]])
    np.testing.assert_allclose(found[:, 2:], rows[:, 2:4], rtol=0.01, atol=0.02)
    np.testing.assert_allclose(found[:, :2], rows[:, :2], atol=0.015)


@pytest.mark.parametrize("recording", RECORDINGS["arm"], ids=lambda r: str(r["command"]))
def test_the_arm_moves_as_in_box2d(exact: Curling, recording: dict[str, Any]) -> None:
    state = table(exact, (-1.2, 1.2), angles=(0.0, 0.0))
    rows = np.array(recording["rows"])
    states = play(exact, state, recording["command"], 15 * len(rows))[14::15]
    found = np.array([s.angles[0].tolist() for s in states])
    # Within 1.5 degrees: Box2D passes its limits by a step, and the tip rubs along the wall.
    np.testing.assert_allclose(found, rows[:, :2], atol=0.026)


@pytest.mark.parametrize(("implicit", "factor"), [(False, 1 - 1.1 * DT), (True, 1 / (1 + 1.1 * DT))])
def test_a_free_ball_slows_down_by_the_damping_law(implicit: bool, factor: float) -> None:
    kernel = Curling(CurlingParams(implicit_damping=implicit), dtype=torch.float64)
    last = play(kernel, table(kernel, (-0.8, 0.6), (0.7, -0.2), 3.0), (0.0, 0.0), 30)[-1]
    np.testing.assert_allclose(last.velocity[0], [0.7 * factor**30, -0.2 * factor**30], rtol=1e-12)
    way = DT * sum(factor**k for k in range(1, 31))
    np.testing.assert_allclose(last.ball[0], [-0.8 + 0.7 * way, 0.6 - 0.2 * way], rtol=1e-12)
    spin = 1 / (1 + 2 * DT) if implicit else 1 - 2 * DT
    assert last.spin.item() == pytest.approx(3.0 * spin**30, rel=1e-12)


@pytest.mark.parametrize("direction", [(1, 0), (-1, 0), (0, 1), (0, -1)])
@pytest.mark.parametrize("speed", [1.5, 3.0, 6.0])
@pytest.mark.parametrize("restitution", [0.0, 0.5, 0.9, 1.0])
def test_walls_return_the_restitution_at_normal_incidence(
    direction: tuple[int, int], speed: float, restitution: float
) -> None:
    kernel = Curling(CurlingParams(restitution=restitution, damping=0.0), dtype=torch.float64)
    start = (0.9 * direction[0], 0.9 * direction[1]) if direction != (0, -1) else (0.9, -0.9)
    state = table(kernel, start, np.multiply(direction, speed), angles=(0.0, 0.0))
    states = play(kernel, state, (0.0, 0.0), int(0.4 / (speed * DT)) + 3)
    out = np.array([s.velocity[0].numpy() @ direction for s in states])
    before, after = out[out > 0], out[out <= 0]
    np.testing.assert_allclose(before, speed, rtol=1e-12)
    assert len(after) >= 1
    np.testing.assert_allclose(after, -restitution * speed, rtol=1e-12, atol=1e-12)
    assert not states[-1].spin.any()


def test_slow_balls_stick_to_walls(exact: Curling) -> None:
    state = table(exact, (1.2, 0.9), (0.95, 0.0))
    last = play(exact, state, (0.0, 0.0), 30)[-1]
    assert last.velocity[0, 0] == 0
    assert 1.29 <= last.ball[0, 0] <= 1.305


@pytest.mark.parametrize("command", [(1.0, 1.0), (0.8, 0.7), (1.0, -0.5)])
def test_a_head_on_hit_of_a_resting_ball(exact: Curling, command: tuple[float, float]) -> None:
    """The stretched arm meets a ball beside it 1.5 m above the shoulder, 0.5 m above the elbow."""
    state = table(exact, (-0.205, 0.0), angles=(0.0, 0.0))
    after = play(exact, state, command, 1)[0]
    surface = 1.5 * command[0] + 0.5 * command[1]
    bounce = 1.9 if surface > 1 else 1.0
    np.testing.assert_allclose(after.velocity[0], [-bounce * surface, 0.0], rtol=1e-12, atol=0.02 * surface)
    assert after.velocity[0, 0].item() == pytest.approx(-bounce * surface, rel=1e-12)
    np.testing.assert_allclose(after.speeds[0], command)  # the servo does not feel it


def test_friction_ends_in_rolling(exact: Curling) -> None:
    """A ball that meets a wall at a steep angle leaves with its surface at rest on the wall, v_t = -r spin."""
    kernel = Curling(CurlingParams(damping=0.0, spin_damping=0.0), dtype=torch.float64)
    state = table(kernel, (0.9, 0.9), (3.0, 0.6))
    last = next(s for s in play(kernel, state, (0.0, 0.0), 30) if s.velocity[0, 0] < 0)
    # A solid disc that was not spinning keeps 2/3 of v_t; the contact point is up to 5 mm off the radius.
    assert last.velocity[0, 1].item() == pytest.approx(0.4, rel=0.03)
    assert last.spin.item() == pytest.approx(-0.4 / 0.15, rel=0.05)


def overlap(ball: np.ndarray, angles: np.ndarray, radius: float = 0.15) -> np.ndarray:
    """How deep balls [B, 2] reach into the arms' boxes [B, 2], by complex numbers."""
    z = ball[:, 0] + 1j * ball[:, 1]
    first, second = np.exp(1j * (angles[:, 0] + np.pi / 2)), np.exp(1j * (angles.sum(1) + np.pi / 2))
    depth = np.full(len(z), -np.inf)
    for pivot, along, near, far in ((-1.5j, first, 0.0, 1.0), (-1.5j + first, second, -0.1, 0.9)):
        local = (z - pivot) / along
        nearest = np.clip(local.real, near, far) + 1j * np.clip(local.imag, -0.05, 0.05)
        depth = np.maximum(depth, radius - abs(local - nearest))
    return depth


def arm_corners(angles: np.ndarray) -> np.ndarray:
    """Corners of the second links, [B, 4] complex."""
    first, second = np.exp(1j * (angles[:, 0] + np.pi / 2)), np.exp(1j * (angles.sum(1) + np.pi / 2))
    offsets = np.array([a + 1j * b for a in (-0.1, 0.9) for b in (-0.05, 0.05)])
    return (-1.5j + first)[:, None] + second[:, None] * offsets


@pytest.mark.parametrize("hold", [10, 60, 300])
def test_nothing_leaves_the_table_nor_passes_through(hold: int) -> None:
    kernel, rng = Curling(), np.random.default_rng(hold)
    num = 300
    ball = rng.uniform(-1.29, 1.29, (num, 2))
    ball[:, 0] = np.where(abs(ball[:, 0]) < 0.25, 0.3, ball[:, 0])
    state = table(kernel, ball, rng.normal(0, 4, (num, 2)), angles=(0.0, 0.0))
    for step in range(300):
        if step % hold == 0:
            command = torch.from_numpy(np.sign(rng.uniform(-1, 1, (num, 2))) * rng.uniform(0.3, 1, (num, 2)))
        before, state = state, kernel.advance(state, command)[0]
        found = {name: getattr(state, name).double().numpy() for name in ("ball", "angles", "velocity", "speeds")}
        assert all(np.isfinite(value).all() for value in found.values())
        assert abs(found["ball"]).max() <= 1.3051
        assert (abs(found["angles"]) <= np.array([0.4, 0.9]) * math.pi + 1e-6).all()
        assert abs(found["speeds"]).max() <= 1 + 1e-5
        # A step of the fastest ball is less than the thickness of ball and link; what overlaps is pushed out.
        assert overlap(found["ball"], found["angles"]).max() <= 0.0151
        corners = arm_corners(found["angles"])
        assert abs(corners.real).max() <= 1.45
        assert corners.imag.min() >= -1.45
        np.testing.assert_allclose(found["angles"] - before.angles.double().numpy(), found["speeds"] / 60, atol=1e-5)


def test_a_resting_arm_gives_no_energy() -> None:
    kernel, rng = (
        Curling(CurlingParams(damping=0.0, spin_damping=0.0), dtype=torch.float64),
        np.random.default_rng(3),
    )
    num = 400
    angles = rng.uniform(-0.4, 0.4, (num, 2))  # away from the walls
    ball = rng.uniform(-1.2, 1.2, (num, 2))
    free = overlap(ball, angles) < -0.02
    state = table(kernel, ball[free], rng.normal(0, 3, (free.sum(), 2)), 2.0, angles[free])
    energy = state.velocity.square().sum(1) + 0.5 * 0.15**2 * state.spin.square()
    for _ in range(120):
        state = kernel.advance(state, torch.zeros(len(state.t), 2))[0]
        now = state.velocity.square().sum(1) + 0.5 * 0.15**2 * state.spin.square()
        assert (now <= energy * (1 + 1e-9)).all()
        energy = now


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_mirrored_tables_stay_mirrored(seed: int) -> None:
    kernel, rng = Curling(dtype=torch.float64), np.random.default_rng(seed)
    ball, velocity = rng.uniform(0.3, 1.2, 2) * rng.choice([-1, 1], 2), rng.normal(0, 2, 2)
    spin, commands = rng.normal(), rng.uniform(-1, 1, (40, 2))
    flip = np.array([-1.0, 1.0])
    state = table(kernel, [ball, ball * flip], [velocity, velocity * flip], angles=(0.0, 0.0))
    state = TableState(
        state.ball, state.velocity, torch.tensor([spin, -spin]).double(), state.angles, state.speeds, state.t
    )
    for command in commands:
        state = kernel.advance(state, torch.from_numpy(np.array([command, -command])))[0]
    np.testing.assert_allclose(state.ball[0], state.ball[1] * torch.from_numpy(flip), atol=1e-8)
    np.testing.assert_allclose(state.angles[0], -state.angles[1], atol=1e-9)


@pytest.mark.parametrize(
    ("ball", "reward", "area"),
    [((0.8, 0.8), 1.0, 0), ((0.8, 0.6), 0.5, 0), ((0.8, -0.75), 0.75, 1), ((-0.8, 0.8), 0.0, -1)],
)
def test_curling_pays_at_the_end_only(exact: Curling, ball: Any, reward: float, area: int) -> None:
    still = torch.zeros(1, 2, dtype=torch.float64)
    angles = (0.0, 0.9 * math.pi)  # folded to the left, away from these balls
    state, paid, terminated = exact.advance(table(exact, ball, angles=angles, t=498), still)
    assert (paid.item(), terminated.item()) == (0.0, False)
    info = exact.info(state)
    assert (info["area"].item(), info["success"].item()) == (area, area >= 0)
    np.testing.assert_allclose(info["behaviour"][0], ball)
    _, paid, terminated = exact.advance(state, still)
    assert paid.item() == pytest.approx(reward, abs=1e-12)
    assert not terminated.item()  # the shells truncate


def test_dense_rewards_add_up_to_the_way_towards_the_disc() -> None:
    kernel = Curling(CurlingParams(reward="dense", horizon=50), dtype=torch.float64)
    state = start = table(kernel, (0.2, 0.9), (1.2, -0.2), angles=FOLDED)
    paid = 0.0
    for _ in range(50):
        state, reward, _ = kernel.advance(state, torch.zeros(1, 2))
        paid += reward.item()
    d0, d1 = kernel.info(start)["distance"].item(), kernel.info(state)["distance"].item()
    score = max(0.0, (0.4 - d1) / 0.4)
    assert score > 0
    assert paid == pytest.approx(d0 - d1 + score, abs=1e-9)


@pytest.mark.parametrize(("ball", "velocity"), [((1.0, 1.0), (4.0, 4.0)), ((-1.2, 0.9), (0.0, 5.0))])
def test_billiard_ends_when_the_ball_falls(ball: Any, velocity: Any) -> None:
    kernel = Billiard(dtype=torch.float64)
    state = table(kernel, ball, velocity, angles=(0.0, 0.0))
    for _ in range(20):
        state, reward, terminated = kernel.advance(state, torch.zeros(1, 2))
        hole = math.dist(state.ball[0].tolist(), (math.copysign(1.5, ball[0]), 1.5)) <= 0.4
        assert (reward.item(), terminated.item()) == (100.0 * hole, hole)
        if hole:
            return
    raise AssertionError("the ball should have fallen")


def test_observations() -> None:
    scaled, raw = Curling(), Curling(CurlingParams(observation="raw"))
    state = table(raw, (0.75, -0.3), angles=(0.2 * math.pi, -0.45 * math.pi))
    np.testing.assert_allclose(raw.observe(state)[0], [0.75, -0.3, 0.2 * math.pi, -0.45 * math.pi, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(scaled.observe(state)[0], [0.5, -0.2, 0.5, -0.5, 0, 0], rtol=1e-6)


def test_rows_do_not_depend_on_each_other() -> None:
    kernel, generator = Curling(), torch.Generator().manual_seed(0)
    actions = torch.rand((50, 5, 2), generator=generator) * 2 - 1
    together = kernel.initial_state(5, generator)
    alone = [kernel.initial_state(1, generator) for _ in range(5)]
    for action in actions:
        together = kernel.advance(together, action)[0]
        alone = [kernel.advance(s, action[i : i + 1])[0] for i, s in enumerate(alone)]
    torch.testing.assert_close(together.ball, torch.cat([s.ball for s in alone]), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("kind", "bad", "message"),
    [
        (CurlingParams, {"areas": ()}, "areas"),
        (CurlingParams, {"areas": ((0.0, 0.0, -0.1),)}, r"areas\[0\].*radius"),
        (CurlingParams, {"areas": ((2.0, 0.0, 0.1),)}, r"areas\[0\].*-1.5, 1.5"),
        (CurlingParams, {"areas": (0.0, 0.0, 0.1)}, "areas.*three numbers"),
        (CurlingParams, {"ball_start": (0.1, 0.0)}, r"ball_start=\(0.1, 0.0\).*arm"),
        (CurlingParams, {"ball_start": (1.4, 0.9)}, "ball_start.*1.3"),
        (CurlingParams, {"ball_start": (math.nan, 0.9)}, "ball_start"),
        (CurlingParams, {"ball_start": 1.0}, "ball_start"),
        (CurlingParams, {"ball_radius": 0.01}, r"ball_radius=0.01.*0.05, 0.5"),
        (CurlingParams, {"restitution": 1.1}, "restitution=1.1"),
        (CurlingParams, {"damping": -1.0}, "damping=-1.0"),
        (CurlingParams, {"spin_damping": math.nan}, "spin_damping=nan"),
        (CurlingParams, {"solver_iterations": 0}, "solver_iterations=0"),
        (CurlingParams, {"observation": "pixels"}, "observation='pixels'"),
        (CurlingParams, {"reward": "shaped"}, "reward='shaped'"),
        (CurlingParams, {"horizon": 0}, "horizon=0"),
        (BilliardParams, {"hole_reward": 0.0}, "hole_reward=0.0"),
        (BilliardParams, {"implicit_damping": 1}, "implicit_damping=1"),
    ],
)
def test_impossible_constants_are_refused(kind: Any, bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**bad)


@pytest.mark.parametrize("id", ["rlsuite/Curling-v0", "rlsuite/Billiard-v0"])
def test_pictures(id: str) -> None:
    env: Any = gym.make(id, render_mode="rgb_array", horizon=30)
    env.reset(seed=0)
    states, actions, rewards = [env.unwrapped.state], [], []
    for _ in range(30):
        action = np.array([1.0, 0.3], np.float32)
        _, reward, *_ = env.step(action)
        states.append(env.unwrapped.state)
        actions.append(torch.from_numpy(action))
        rewards.append(float(reward))
    frame = env.render()
    assert frame.shape == (480, 480, 3)
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) > 3
    kernel = env.unwrapped.kernel
    stacked = tree_map(lambda *rows: torch.cat(rows), *states)
    picture = kernel.render_episode(stacked, torch.stack(actions), torch.tensor(rewards))
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
