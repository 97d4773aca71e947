"""The race car: integration against SciPy, closed forms of its equations, and the coverage of its track."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from rlsuite_envs.coverage.car_racing import CarRacing, CarRacingParams, CarRacingState
from rlsuite_envs.coverage.car_track import synthetic_track

torch.set_num_threads(1)
FIELDS = ("s", "d", "mu", "vx", "vy", "yaw_rate")


def kernel(**params: Any) -> CarRacing:
    return CarRacing(CarRacingParams(**params), dtype=torch.float64)


def state(*values: float) -> CarRacingState:
    numbers: Any = [torch.tensor([v], dtype=torch.float64) for v in values]
    zero = torch.zeros(1, dtype=torch.float64)
    more: Any = (torch.zeros(1, dtype=torch.int64), zero, zero)
    return CarRacingState(*numbers, *more)


def straight(**params: Any) -> CarRacing:
    """The car on a straight without end."""
    k = kernel(**params)
    k._table = torch.zeros_like(k._table)
    k._table[1] = 100.0
    return k


def exact(k: CarRacing, x0: list[float], throttle: float, steering: float, time: float) -> np.ndarray:
    controls = [torch.tensor([v], dtype=torch.float64) for v in (throttle, steering)]

    def slope(_: float, x: np.ndarray) -> np.ndarray:
        return k.derivatives(torch.tensor(x)[:, None], *controls)[:, 0].numpy()

    return solve_ivp(slope, (0, time), x0, method="DOP853", rtol=1e-10, atol=1e-12, max_step=0.005).y[:, -1]


def after(k: CarRacing, x0: list[float], throttle: float, steering: float, steps: int) -> np.ndarray:
    now = state(*x0)
    for _ in range(steps):
        now, _, _ = k.advance(now, torch.tensor([[throttle, steering]], dtype=torch.float64))
    return np.array([getattr(now, name).item() for name in FIELDS])


@pytest.mark.parametrize("throttle", [-0.4, 0.2, 1.0])
@pytest.mark.parametrize("steering", [-0.15, 0.0, 0.25])
@pytest.mark.parametrize("speed", [1.0, 1.8])
def test_steps_follow_the_differential_equation(throttle: float, steering: float, speed: float) -> None:
    k = straight()
    x0 = [3.0, -0.02, 0.05, speed, 0.03, 0.6]
    got, wanted = after(k, x0, throttle, steering, 4), exact(k, x0, throttle, steering, 0.12)
    np.testing.assert_allclose(got, wanted, rtol=0.02, atol=6e-3)  # 0.55 m/s is nearly too stiff
    fine = straight(substeps=20)
    np.testing.assert_allclose(after(fine, x0, throttle, steering, 4), wanted, rtol=1e-7, atol=1e-7)


def test_on_the_track_too() -> None:
    k = kernel(substeps=10)
    x0 = [2.0, -0.02, 0.05, 1.5, 0.03, 0.6]
    # The curvature is linear between the points of its table, hence not smooth: no fourth order across them.
    np.testing.assert_allclose(after(k, x0, 0.3, 0.1, 10), exact(k, x0, 0.3, 0.1, 0.3), rtol=2e-5, atol=2e-5)


def test_the_integration_is_of_fourth_order() -> None:
    x0 = [3.0, -0.02, 0.05, 1.6, 0.03, 0.6]
    wanted = exact(straight(), x0, 0.5, 0.1, 0.24)
    errors = [np.abs(after(straight(substeps=n), x0, 0.5, 0.1, 8) - wanted).max() for n in (2, 4, 8)]
    assert 11 < errors[0] / errors[1] < 30
    assert 11 < errors[1] / errors[2] < 30


def test_straight_ahead_has_a_closed_form() -> None:
    """Without drag quadratic in the speed, m v' = a - b v with a = Cm1 D - Cr0, b = Cm2 D."""
    k = straight(drag=(0.05, 0.0), substeps=4)
    a, b, m, v0, time = 0.287 * 0.6 - 0.05, 0.054527 * 0.6, 0.041, 0.8, 0.6
    rate = b / m
    v = a / b + (v0 - a / b) * math.exp(-rate * time)
    s = a / b * time + (v0 - a / b) * (1 - math.exp(-rate * time)) / rate
    got = after(k, [0.0, 0.1, 0.0, v0, 0.0, 0.0], 0.6, 0.0, 20)
    np.testing.assert_allclose(got, [s, 0.1, 0.0, v, 0.0, 0.0], rtol=1e-9, atol=1e-9)


def test_slow_cars_turn_as_the_steering_says() -> None:
    """Kinematic bicycle: yaw rate vx tan(delta) / wheelbase, sideways speed rear / wheelbase vx tan(delta)."""
    k = straight(drag=(0.0, 0.0), motor=(0.0, 0.0))  # coasting
    for steering in (0.3, -0.7):
        got = after(k, [0.0, 0.0, 0.0, 0.25, 0.0, 0.0], 0.0, steering, 30)
        rate = 0.25 * math.tan(steering) / 0.062
        np.testing.assert_allclose(got[3:], [0.25, 0.033 * rate, rate], rtol=1e-6)


def test_derivatives_by_hand() -> None:
    k = kernel(drag=(0.0, 0.0), motor=(0.0, 0.0))
    x = torch.tensor([[5.0], [0.1], [math.pi / 2], [2.0], [1.0], [3.0]], dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.float64)
    bend = k.curvature(x[0]).item()
    slope = k.derivatives(x, zero, zero)[:, 0].tolist()
    along = -1.0 / (1 - 0.1 * bend)  # facing left, the sideways speed points backwards
    assert slope[:3] == pytest.approx([along, 2.0, 3.0 - bend * along])
    front = 0.2016 * math.sin(1.2 * math.atan(2.579 * -math.atan2(1 + 0.029 * 3, 2)))
    rear = 0.20844 * math.sin(1.2691 * math.atan(3.3852 / 1.2 * -math.atan2(1 - 0.033 * 3, 2)))
    assert slope[3] == pytest.approx(1.0 * 3.0)
    assert slope[4] == pytest.approx((front + rear) / 0.041 - 2.0 * 3.0)
    assert slope[5] == pytest.approx((0.029 * front - 0.033 * rear) / 27.8e-6)


def test_the_track_is_closed_and_in_the_stated_ranges() -> None:
    track = synthetic_track()
    assert (track.x[-1], track.y[-1]) == pytest.approx((track.x[0], track.y[0]))
    assert track.heading[-1] - track.heading[0] == pytest.approx(2 * math.pi)
    steps = np.hypot(np.diff(track.x), np.diff(track.y))
    assert steps.sum() == pytest.approx(track.length, rel=2e-5)  # of its polygon
    np.testing.assert_allclose(steps, track.length / 1000, rtol=1e-3)
    bend = (track.curvature[1:] + track.curvature[:-1]) / 2
    np.testing.assert_allclose(np.diff(track.heading) / steps, bend, atol=0.03)
    assert 5.7 < np.abs(track.curvature).max() < 5.95
    assert track.half_width.min() == pytest.approx(0.07, abs=1e-3)
    assert 0.27 < track.half_width.max() <= 0.30
    assert (track.half_width * np.abs(track.curvature)).max() < 0.6  # 1 - kappa d stays well above 0
    assert track.half_width[0] > 0.2  # starts at +-0.1, up to +-0.2, lie on it


def test_the_track_does_not_touch_itself() -> None:
    track = synthetic_track()
    points = np.stack((track.x[:-1], track.y[:-1]), axis=1)[::4]
    width = track.half_width[:-1][::4]
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1) - width[:, None] - width[None]
    along = np.arange(250)
    gap = np.abs(along[:, None] - along[None])
    far = np.minimum(gap, 250 - gap) * track.length / 250 > 1.0
    assert apart[far].min() > 0.05


def drive(k: CarRacing, speed: float, num: int = 4) -> tuple[list[CarRacingState], list[torch.Tensor]]:
    """A lap by feedback: slower before bends, steering into them and back to the middle."""
    now = k.initial_state(num, torch.Generator().manual_seed(0))
    states, rewards = [now], []
    ahead = torch.linspace(0, 0.8, 9, dtype=torch.float64)
    for _ in range(k.params.horizon):
        wanted = speed / (1 + k.curvature(now.s[:, None] + ahead).abs().amax(1) / 3)
        steering = 0.062 * k.curvature(now.s + 0.1) - 0.75 * now.d - 0.3 * now.mu
        now, reward, ended = k.advance(now, torch.stack(((wanted - now.vx) * 2 + 0.25, steering), dim=1))
        states.append(now)
        rewards.append(reward)
        if ended.any():
            break
    return states, rewards


@pytest.mark.parametrize("reward", ["marginal", "progress"])
def test_a_lap_can_be_finished_and_its_rewards_telescope(reward: str) -> None:
    k = kernel(reward=reward)
    states, rewards = drive(k, 1.2)
    last, info = states[-1], k.info(states[-1])
    assert info["success"].all()
    assert (info["set_value"] == 16.4).all()
    over = (last.s - 16.4) if reward == "progress" else 0.0
    expected = 16.4 + over + 1.0 - 0.01 * len(rewards)
    torch.testing.assert_close(torch.stack(rewards).sum(0), torch.zeros(4).double() + expected)
    modular = torch.stack([s.s for s in states[1:]]).sum(0)
    torch.testing.assert_close(info["modular_value"], modular)
    sides = {round(d, 9) for d in states[0].d.tolist()}
    assert sides <= {-0.1, 0.1}


def test_too_fast_a_car_leaves_the_track() -> None:
    k = kernel()
    states, rewards = drive(k, 6.0)
    before, last = states[-2], states[-1]
    left = last.d.abs() > k.half_width(last.s)
    assert left.any()
    gain = last.reached - before.reached
    torch.testing.assert_close(rewards[-1], gain - 0.01 - left.double())
    assert not k.info(last)["success"].any()


def test_going_back_earns_nothing_and_modular_pays_the_place() -> None:
    back = state(3.0, 0.0, math.pi, 1.0, 0.0, 0.0)
    back = dataclasses.replace(back, reached=back.s, modular=back.s)
    action = torch.tensor([[0.2, 0.0]], dtype=torch.float64)
    after_, earned, _ = kernel().advance(back, action)
    assert after_.s < 3.0
    assert earned.item() == pytest.approx(-0.01)
    assert after_.reached.item() == 3.0
    _, progress, _ = kernel(reward="progress").advance(back, action)
    assert progress.item() == pytest.approx((after_.s - 3.0).item() - 0.01)
    _, modular, _ = kernel(reward="modular").advance(back, action)
    assert modular.item() == pytest.approx(after_.s.item() - 0.01)


def test_braking_stops_the_car_for_good() -> None:
    got = after(straight(), [1.0, 0.0, 0.0, 0.5, 0.0, 0.0], -1.0, 0.0, 40)
    assert got[3] == 0.0
    assert got[0] < 1.1


def test_observations() -> None:
    x = state(4.1, 0.15, 2 * math.pi + 0.5, 1.0, -0.2, 5.0)
    scaled = kernel().observe(x)[0].tolist()
    assert scaled == pytest.approx([0.25, 0.5, 0.5, 0.5, -0.2], abs=1e-6)
    assert kernel(observation="raw").observe(x)[0].tolist() == pytest.approx([4.1, 0.15, 0.5, 1.0, -0.2])
    k = kernel(observation="preview")
    seen = k.observe(x)[0]
    track = synthetic_track()
    at = np.linspace(0, track.length, 1001)
    bends = np.interp(4.1 + np.array([0.1, 0.25, 0.5, 0.75, 1.0, 1.5]), at, track.curvature) / 6
    np.testing.assert_allclose(seen[7:], bends, atol=1e-6)
    assert seen[5:7].tolist() == pytest.approx([0.5, np.interp(4.1, at, track.half_width) / 0.3], abs=1e-6)


def test_tables_wrap_around() -> None:
    k = kernel()
    s = torch.tensor([-1e-18, 0.0, 16.4076, -1.0, 15.4076], dtype=torch.float64)
    bend = k.curvature(s).tolist()
    assert bend[0] == pytest.approx(bend[1]) == pytest.approx(bend[2])
    assert bend[3] == pytest.approx(bend[4])


@pytest.mark.parametrize("preset", ["", "-modular", "-progress", "-preview"])
def test_single_and_vector_agree(preset: str) -> None:
    id = f"rlsuite/CarRacing{preset}-v0"
    env, twin = gym.make(id), gym.make_vec(id, num_envs=1)
    obs, _ = env.reset(seed=3)
    np.testing.assert_array_equal(twin.reset(seed=3)[0][0], obs)
    env.action_space.seed(0)
    for _ in range(50):
        action = env.action_space.sample() * np.array([1.0, 0.1], np.float32)
        obs, reward, terminated, _, _ = env.step(action)
        obs2, reward2, terminated2, _, info2 = twin.step(action[None])
        assert (reward2[0], terminated2[0]) == (reward, terminated)
        if terminated:
            np.testing.assert_array_equal(info2["final_obs"][0], obs)
            obs, _ = env.reset()
        else:
            np.testing.assert_array_equal(obs2[0], obs)
        assert np.isfinite(obs).all()


def test_pictures() -> None:
    env: Any = gym.make("rlsuite/CarRacing-v0", render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape[1:] == (480, 3)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"horizon": 0}, "horizon=0 must be an integer of at least 1"),
        ({"substeps": 0}, r"substeps=0 must be an integer in 1..1000"),
        ({"mass": 0.0}, "mass=0.0 must be above 0"),
        ({"dt": float("nan")}, "dt=nan must be a finite number"),
        ({"motor": (0.287,)}, r"motor=\(0.287,\) must be 2 finite numbers"),
        ({"rear_tyre": (1.0, -1.0, 1.0)}, r"rear_tyre=.*3 finite numbers of at least 0"),
        ({"max_steering": 2.0}, "max_steering=2.0 must be at most 1.5"),
        ({"finish": 20.0}, "finish=20.0 must be at most 16.4076"),
        ({"start_offset": 0.3}, "start_offset=0.3 must be at most 0.2"),
        ({"reward": "submodular"}, "reward='submodular' must be one of 'marginal'"),
        ({"observation": "full"}, "observation='full' must be one of"),
        ({"step_cost": -0.1}, "step_cost=-0.1 must be at least 0"),
    ],
)
def test_bad_constants(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/CarRacing-v0", **kwargs)
