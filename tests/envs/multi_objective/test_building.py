"""The building of nine zones: exact solutions of heat flow, weather's statistics, rewards by hand, gradients."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from rlsuite_envs.kernel import make_kernel, tree_items, tree_map
from rlsuite_envs.multi_objective.building import NineZoneBuilding, NineZoneBuildingState
from rlsuite_envs.multi_objective.heat_network import step_matrices

torch.set_num_threads(1)

CALM: dict[str, Any] = {"base_gain": 0.0, "occupancy_gain": 0.0, "solar_gain": 0.0}
STEADY: dict[str, Any] = {"outdoor_year": 0.0, "outdoor_day": 0.0, "outdoor_noise": 0.0}
SEALED: dict[str, Any] = {"facade_outer": 0.0, "facade_middle": 0.0, "roof": 0.0, "floor": 0.0}
LONE: dict[str, Any] = {"wall": 0.0, "ceiling": 0.0}


def building(**constants: Any) -> NineZoneBuilding:
    return make_kernel(NineZoneBuilding, **{"dtype": "float64", **constants})


def start(kernel: NineZoneBuilding, num: int = 5, seed: int = 0) -> NineZoneBuildingState:
    return kernel.initial_state(num, torch.Generator().manual_seed(seed))


def actions(num: int, steps: int = 1, seed: int = 1) -> Tensor:
    return 2 * torch.rand((steps, num, 9), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1


def random_network(seed: int, places: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    capacity, exchange, losses = (
        torch.rand(shape, generator=rng, dtype=torch.float64) for shape in ((places,), (places, places), (places, 2))
    )
    return capacity + 0.2, exchange + exchange.T, losses


# --- the exact step of heat


@pytest.mark.parametrize("hours", [0.1, 1.0, 30.0])
def test_a_step_is_the_solution_of_the_differential_equation(hours: float) -> None:
    """Against SciPy's integrator on the equation itself, link by link."""
    capacity, exchange, losses = random_network(3)
    keep, heat = step_matrices(capacity, exchange, losses, hours)
    rng = np.random.default_rng(0)
    first, sources, outside = rng.normal(20, 5, 6), rng.normal(0, 3, 6), np.array([-4.0, 11.0])
    c, g, l = capacity.numpy(), exchange.numpy(), losses.numpy()  # noqa: E741

    def slope(_: float, t: np.ndarray) -> np.ndarray:
        flow = [sum(g[i, j] * (t[j] - t[i]) for j in range(6) if j != i) + l[i] @ (outside - t[i]) for i in range(6)]
        return (np.array(flow) + sources) / c

    expected = solve_ivp(slope, (0, hours), first, method="Radau", rtol=1e-11, atol=1e-11).y[:, -1]
    np.testing.assert_allclose(keep.numpy() @ first + heat.numpy() @ (sources + l @ outside), expected, rtol=1e-8)


@pytest.mark.parametrize("lossless", [False, True])
def test_a_step_is_the_matrix_exponential(lossless: bool) -> None:
    capacity, exchange, losses = random_network(4)
    losses = losses * (not lossless)
    between = exchange - torch.diag(exchange.diag())
    rates = (torch.diag(between.sum(1) + losses.sum(1)) - between) / capacity[:, None]
    block = torch.zeros(12, 12, dtype=torch.float64)
    block[:6, :6], block[:6, 6:] = -rates, torch.diag(1 / capacity)
    whole = torch.linalg.matrix_exp(block)
    keep, heat = step_matrices(capacity, exchange, losses, 1.0)
    torch.testing.assert_close(keep, whole[:6, :6], rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(heat, whole[:6, 6:], rtol=1e-12, atol=1e-13)


def test_two_half_steps_are_one() -> None:
    keep, heat = step_matrices(*random_network(5), 1.0)
    half_keep, half_heat = step_matrices(*random_network(5), 0.5)
    torch.testing.assert_close(half_keep @ half_keep, keep, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(half_keep @ half_heat + half_heat, heat, rtol=1e-12, atol=1e-14)


def test_everything_as_warm_as_its_surroundings_stays_so() -> None:
    capacity, exchange, losses = random_network(6)
    keep, heat = step_matrices(capacity, exchange, losses, 7.0)
    torch.testing.assert_close(keep.sum(1) + heat @ losses.sum(1), torch.ones(6, dtype=torch.float64))
    assert (keep > 0).all() and (heat > 0).all()


def test_without_losses_heat_is_conserved_and_evens_out() -> None:
    capacity, exchange, losses = random_network(7)
    keep, heat = step_matrices(capacity, exchange, 0 * losses, 1.0)
    torch.testing.assert_close(capacity @ keep, capacity)  # no heat is lost between the places
    torch.testing.assert_close(capacity @ heat, torch.ones(6, dtype=torch.float64))  # 1 kW for 1 h adds 1 kWh
    ever, _ = step_matrices(capacity, exchange, 0 * losses, 1e5)
    torch.testing.assert_close(ever, (capacity / capacity.sum()).expand(6, 6))


def test_conductances_are_as_documented() -> None:
    _, exchange, losses = building().network()
    p = building().params
    assert torch.equal(exchange, exchange.T)
    assert exchange.count_nonzero() == 2 * (6 + 6)  # six walls, six ceilings
    assert exchange[0, 1] == exchange[7, 8] == p.wall and exchange[2, 3] == exchange[0, 2] == 0
    assert exchange[1, 4] == exchange[5, 8] == p.ceiling and exchange[0, 6] == 0
    assert losses[:, 0].tolist() == pytest.approx([0.2, 0.1, 0.2] * 2 + [0.28, 0.18, 0.28])
    assert losses[:, 1].tolist() == [p.floor] * 3 + [0.0] * 6


# --- the building in closed form


def test_a_sealed_zone_gains_just_what_it_is_given() -> None:
    kernel = building(**SEALED, **LONE, occupancy_gain=0.0, solar_gain=0.0, base_gain=0.7)
    state, action = start(kernel), actions(5)[0]
    after, _ = kernel.post_decision(state, action)
    expected = state.temperature + (0.7 + kernel.params.max_power * action) / kernel.params.capacity
    torch.testing.assert_close(after.temperature, expected, rtol=0, atol=1e-12)


def test_a_sealed_building_keeps_its_heat() -> None:
    kernel = building(**SEALED, **CALM)
    state, total = start(kernel), start(kernel).temperature.sum(1)
    for _ in range(50):
        state, _, _ = kernel.advance(state, torch.zeros(5, 9), torch.zeros(5, 3))
        torch.testing.assert_close(state.temperature.sum(1), total, rtol=1e-13, atol=0)
    action = actions(5)[0]
    after, _ = kernel.post_decision(state, action)
    stored = kernel.params.capacity * (after.temperature - state.temperature).sum(1)
    torch.testing.assert_close(stored, kernel.params.max_power * action.sum(1), rtol=0, atol=1e-10)


def test_lone_zones_decay_to_the_outside_at_their_own_rate() -> None:
    kernel = building(**LONE, **CALM, **STEADY, floor=0.0)
    state = first = start(kernel)
    for _ in range(7):
        state, _, _ = kernel.advance(state, torch.zeros(5, 9), torch.zeros(5, 3))
    rate = torch.tensor([0.2, 0.1, 0.2] * 2 + [0.28, 0.18, 0.28], dtype=torch.float64) / kernel.params.capacity
    expected = 10.0 + (first.temperature - 10.0) * torch.exp(-7 * rate)
    torch.testing.assert_close(state.temperature, expected, rtol=1e-13, atol=1e-12)


def test_constant_heating_ends_in_the_solution_of_the_balance() -> None:
    kernel = building(**CALM, **STEADY, outdoor_mean=-3.0, soil=9.0)
    action, state = actions(5)[0], start(kernel)
    for _ in range(1500):
        state, _, _ = kernel.advance(state, action, torch.zeros(5, 3))
    _, exchange, losses = kernel.network()
    leaving = torch.diag(exchange.sum(1) + losses.sum(1)) - exchange
    given = losses @ torch.tensor([-3.0, 9.0], dtype=torch.float64) + kernel.params.max_power * action
    torch.testing.assert_close(state.temperature, torch.linalg.solve(leaving, given.T).T, rtol=1e-12, atol=1e-11)


def test_a_days_gains_are_stored_where_nothing_is_lost() -> None:
    kernel = building(**STEADY, **SEALED)
    state, gained = at(kernel, 0), torch.zeros(1, 9, dtype=torch.float64)
    first = state.temperature
    for _ in range(24):
        gained += kernel.gains(state)
        state, _, _ = kernel.advance(state, torch.zeros(1, 9), torch.zeros(1, 3))
    stored = kernel.params.capacity * (state.temperature - first)
    assert gained.min() > 24 * 0.3 + 10 * 2
    torch.testing.assert_close(stored.sum(), gained.sum(), rtol=1e-12, atol=0)


# --- time, weather and price


def at(kernel: NineZoneBuilding, hour: int) -> NineZoneBuildingState:
    """The building at an hour of an average year."""
    state = start(kernel, 1)
    return dataclasses.replace(state, hour=torch.tensor([hour]), weather=torch.zeros_like(state.weather))


def test_outdoor_temperature_and_sun_follow_the_clock() -> None:
    kernel = building()
    assert kernel.outdoor(at(kernel, 480 + 15 - 480 % 24)).item() == pytest.approx(10 - 10 + 4, abs=0.01)
    assert kernel.outdoor(at(kernel, 4860 - 4860 % 24 + 3)).item() == pytest.approx(10 + 10 - 4, abs=0.01)
    assert kernel.outdoor(at(kernel, 8760 + 7)).item() == pytest.approx(kernel.outdoor(at(kernel, 7)).item())
    calm = building(base_gain=0.0, occupancy_gain=0.0)
    june = 24 * 171
    sun = torch.cat([calm.gains(at(calm, june + h)) for h in range(24)])
    assert sun.view(24, 3, 3).std(1).max() == 0  # floors are alike
    assert [sun[:, place].argmax().item() for place in (2, 1, 0)] in ([9, 11, 13], [10, 12, 14])
    assert sun[:5].max() == 0 and sun[19:].max() == 0
    best = math.cos(math.pi * 0.5 / 10) * 2.5 * 0.5 * (0.6 - 0.4 * math.cos((june + 10 + 240) * math.tau / 8760))
    assert sun[10, 2].item() == pytest.approx(best, rel=1e-9)
    assert calm.gains(at(calm, 12)).max() < 0.3 * sun[12].max()  # New Year


def test_people_come_on_weekdays_from_8_to_18() -> None:
    kernel = building(solar_gain=0.0)
    gains = torch.cat([kernel.gains(at(kernel, h)) for h in range(7 * 24)])[:, 0].view(7, 24)
    expected = torch.full((7, 24), 0.3, dtype=torch.float64)
    expected[:5, 8:18] += 2.0
    torch.testing.assert_close(gains, expected)


def test_prices_follow_the_profile_and_stay_in_their_range() -> None:
    profile = tuple(float(h) for h in range(24))
    kernel = building(prices=profile, weekend_price=0.5, price_noise=0.2)
    assert [kernel.price(at(kernel, h)).item() for h in (0, 13, 23)] == [0, 13, 23]
    assert kernel.price(at(kernel, 5 * 24 + 13)).item() == 6.5
    assert kernel.highest_price == pytest.approx(23 * 1.2)
    wild = dataclasses.replace(at(kernel, 23), weather=torch.tensor([[0.0, 0.0, 50.0]], dtype=torch.float64))
    assert kernel.price(wild).item() == pytest.approx(kernel.highest_price)
    assert kernel.observe(wild)[0, 11] == 1


def test_weather_is_stationary_and_remembers() -> None:
    kernel = building(outdoor_memory=0.9, sky_memory=0.5, price_memory=0.0)
    rng, state = torch.Generator().manual_seed(3), start(kernel, 20_000, seed=2)
    before = state.weather
    for _ in range(3):
        state, _, _ = kernel.advance(state, torch.zeros(20_000, 9), kernel.sample_exogenous(state, rng))
    both = torch.cat((before, state.weather), 1)
    torch.testing.assert_close(both.mean(0), torch.zeros(6).double(), rtol=0, atol=0.03)
    torch.testing.assert_close(both.std(0), torch.ones(6).double(), rtol=0, atol=0.02)
    found = torch.corrcoef(both.T)
    expected = torch.eye(6, dtype=torch.float64)
    for i, memory in enumerate((0.9**3, 0.5**3, 0.0)):
        expected[i, i + 3] = expected[i + 3, i] = memory
    torch.testing.assert_close(found, expected, rtol=0, atol=0.03)


def test_episodes_start_within_their_days_and_repeat_with_the_seed() -> None:
    state = start(building(start_days=(31, 32), start_spread=0.5), 2000)
    assert (state.hour.min().item(), state.hour.max().item()) == (31 * 24, 33 * 24 - 1)
    assert (state.temperature - 20).abs().max() <= 0.5 and (state.action == 0).all()
    assert start(building(), 5000).hour.max() // 24 == 364

    def course(seed: int) -> Any:
        env: Any = gym.make("rlsuite/NineZoneBuilding-v0")
        env.action_space.seed(0)
        steps = [env.reset(seed=seed)[0], *(env.step(env.action_space.sample())[0] for _ in range(5))]
        return np.stack(steps)

    np.testing.assert_array_equal(course(4), course(4))
    assert (course(4) != course(5)).any()


# --- objectives


def test_objectives_by_hand() -> None:
    kernel = building(**CALM, **STEADY, **SEALED, **LONE, prices=(0.25,) * 24, price_noise=0.0, weekend_price=1.0)
    state = at(kernel, 3)
    off = torch.tensor([20.0, 21, 17, 20, 20, 20, 45, -5, 20], dtype=torch.float64)
    last = torch.tensor([0.5, -0.5, 0, 0, 0, 0, 1, 1, 1], dtype=torch.float64)
    state = dataclasses.replace(state, temperature=off[None], action=last[None])
    action = torch.tensor([[0.5, 0, 0, -0.25, 0, 9.0, 0, 0, 0]], dtype=torch.float64)  # 9 is clipped to 1
    after, reward = kernel.post_decision(state, action)
    assert after.temperature[0].tolist() == pytest.approx([21, 21, 17, 19.5, 20, 22, 45, -5, 20])
    assert reward[0].tolist() == pytest.approx(
        [*(3 - 5 / 20, 3 - 2.5 / 20, 1), *(2.5, 1.75, 3), *(3 - 0.5, 3 - 1.25, 0)]
    )
    whole = building(**CALM, **STEADY, **SEALED, **LONE, prices=(0.25,) * 24, price_noise=0.0, objectives="building")
    _, reward = whole.post_decision(state, action)
    assert reward[0].tolist() == pytest.approx([7 - 7.5 / 20, 9 - 1.75, 9 - (4 - 1.75)])


def test_dear_hours_cost_more() -> None:
    kernel = building(prices=(0.1,) * 12 + (0.4,) * 12, price_noise=0.0)
    action = torch.full((1, 9), 0.5)
    cheap, dear = (kernel.post_decision(at(kernel, h), action)[1][0, 3:6] for h in (11, 12))
    assert cheap.tolist() == pytest.approx([3 - 1.5 / 4] * 3) and dear.tolist() == pytest.approx([1.5] * 3)


def test_objectives_of_the_whole_sum_up_the_floors_and_all_stay_in_their_space() -> None:
    floors, whole = building(dtype="float32"), building(dtype="float32", preset="3obj")
    assert (floors.reward_dim, whole.reward_dim) == (9, 3)
    assert floors.objective_names[0] == "comfort floor 1" and floors.objective_names[8] == "ramping floor 3"
    assert whole.objective_names == ("comfort", "energy", "ramping")
    state, rng = start(floors, 200), torch.Generator().manual_seed(1)
    for action in 3 * actions(200, 20):
        noise = floors.sample_exogenous(state, rng)
        after, parts, _ = floors.advance(state, action, noise)
        same, sums, _ = whole.advance(state, action, noise)
        assert torch.equal(after.temperature, same.temperature)
        torch.testing.assert_close(parts.view(-1, 3, 3).sum(2)[:, :2], sums[:, :2])
        assert (sums[:, 2] >= parts[:, 6:].sum(1) - 1e-4).all()
        for kernel, reward in ((floors, parts), (whole, sums)):
            assert all(kernel.reward_space.contains(row.numpy()) for row in reward)
        state = after


RULES = {"off": (0.0, 99.0), "gentle": (0.1, 99.0), "firm": (0.5, 99.0), "cheap hours": (0.5, 0.2)}
MEANS = {
    "off": (5.89, 9.00, 9.00),
    "gentle": (8.29, 8.44, 8.83),
    "firm": (8.81, 8.26, 8.74),
    "cheap hours": (8.68, 8.45, 8.07),
}


def test_simple_rules_earn_what_is_reported_and_no_one_is_best() -> None:
    kernel = make_kernel(NineZoneBuilding, preset="3obj")
    for name, (gain, limit) in RULES.items():
        rng = torch.Generator().manual_seed(0)
        state, total = kernel.initial_state(300, rng), torch.zeros(3)
        for _ in range(480):
            action = gain * (20 - state.temperature) * (kernel.price(state) < limit)[:, None]
            state, reward, _ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
            total += reward.mean(0)
        np.testing.assert_allclose(total / 480, MEANS[name], atol=0.06)
    means = np.array(list(MEANS.values()))
    better = (means[:, None] >= means[None]).all(2) & (means[:, None] > means[None]).any(2)
    assert not better.any()


# --- observations, gradients, shells


def test_observations_tell_all_that_the_future_depends_on() -> None:
    """A state rebuilt from what is seen goes on in the same way."""
    kernel, p = building(), building().params
    state, rng = start(kernel, 50), torch.Generator().manual_seed(0)
    for action in actions(50, 4):
        state, _, _ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
    seen = kernel.observe(state).double()

    def angle(k: int) -> Tensor:
        return torch.atan2(seen[:, k], seen[:, k + 1]).remainder(math.tau) / math.tau

    week = (angle(14) * 168).round().long()
    year = (angle(16) * 8760).round().long() % 8760
    assert torch.equal(week % 24, (angle(12) * 24).round().long() % 24)
    hour = torch.where(year % 168 == week % 168, year, year + 8760)  # after the year's end weekdays go on
    assert torch.equal(hour, state.hour)
    blank = dataclasses.replace(state, hour=hour, weather=torch.zeros_like(state.weather))
    weather = torch.stack(
        (
            (seen[:, 9] * 10 + p.target - kernel.outdoor(blank)) / p.outdoor_noise,
            torch.logit(seen[:, 10]) / 1.5,
            torch.atanh((seen[:, 11] * kernel.highest_price / kernel.price(blank) - 1) / p.price_noise),
        ),
        1,
    )
    rebuilt = NineZoneBuildingState(seen[:, :9] * 10 + p.target, seen[:, 18:].repeat_interleave(3, 1), hour, weather)
    for action in actions(50, 3, seed=7):
        noise = kernel.sample_exogenous(state, rng)
        state, reward, _ = kernel.advance(state, action, noise)
        rebuilt, other, _ = kernel.advance(rebuilt, action, noise)
        torch.testing.assert_close(other, reward, rtol=0, atol=1e-4)
        torch.testing.assert_close(kernel.observe(rebuilt), kernel.observe(state), rtol=0, atol=1e-4)


def test_rewards_and_states_are_differentiable() -> None:
    kernel = building()
    state = start(kernel, 2)

    def step(temperature: Tensor, action: Tensor) -> tuple[Tensor, ...]:
        after, reward = kernel.post_decision(dataclasses.replace(state, temperature=temperature), action)
        following, second, _ = kernel.advance(after, -0.4 * action, torch.zeros(2, 3))
        return reward, second, following.temperature

    inputs = (state.temperature.requires_grad_(), actions(2)[0].mul(0.9).requires_grad_())
    assert torch.autograd.gradcheck(step, inputs)


def test_both_shells_pay_vectors_of_named_objectives() -> None:
    for id, num in (("rlsuite/NineZoneBuilding-v0", 9), ("rlsuite/NineZoneBuilding-3obj-v0", 3)):
        single, many = gym.make(id).unwrapped, gym.make_vec(id, num_envs=4)
        for env in (single, many):
            assert (env.reward_dim, len(env.objective_names), env.reward_space.shape) == (num, num, (num,))
        single.reset(seed=0)
        many.reset(seed=0)
        assert single.step(single.action_space.sample())[1].shape == (num,)
        assert many.step(many.action_space.sample())[1].shape == (4, num)
    assert gym.make("rlsuite/NineZoneBuilding-winter-v0", horizon=3).unwrapped.kernel.params.start_days == (0, 30)


def test_arguments_are_left_alone() -> None:
    kernel = building()
    state, action = start(kernel), 3 * actions(5)[0]
    before, given = {k: v.clone() for k, v in tree_items(state, "s").items()}, action.clone()
    kernel.advance(state, action, torch.zeros(5, 3))
    kernel.observe(state).zero_()
    assert torch.equal(action, given)
    assert all(torch.equal(before[name], value) for name, value in tree_items(state, "s").items())


def test_pictures() -> None:
    kernel = building()
    state, states, rewards = start(kernel, 1), [start(kernel, 1)], []
    for action in actions(1, 30):
        state, reward, _ = kernel.advance(state, action, torch.zeros(1, 3))
        states.append(state)
        rewards.append(reward)
    for shown in (states[0], states[-1], at(kernel, 3), at(kernel, 364 * 24 + 12), at(kernel, 365 * 24 + 2)):
        frame = kernel.render(shown)
        assert frame.dtype == np.uint8 and frame.shape[2] == 3 and frame.std() > 10
    whole: Any = tree_map(lambda *rows: torch.cat(rows), *states)
    picture = kernel.render_episode(whole, actions(1, 30)[:, 0], torch.cat(rewards))
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.std() > 10


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"objectives": "zones"}, "objectives='zones' must be one of 'floors', 'building'"),
        ({"start_days": (5, 3)}, r"start_days=\(5, 3\) must be two whole numbers, 0 <= first <= last <= 364"),
        ({"start_days": (0, 365)}, r"start_days=\(0, 365\)"),
        ({"start_days": [0, True]}, r"start_days=\(0, True\)"),
        ({"prices": (0.1,) * 23}, "prices=.* must be 24 numbers"),
        ({"prices": (0,) * 24}, "prices=.*not all 0"),
        ({"prices": (0.1,) * 23 + (float("nan"),)}, "prices=.* must be 24 numbers"),
        ({"price_noise": 1.2}, r"price_noise=1.2 must lie in \[0, 1\]"),
        ({"outdoor_memory": -0.1}, r"outdoor_memory=-0.1 must lie in"),
        ({"capacity": 0.0}, "capacity=0.0 must be above 0"),
        ({"wall": -1}, "wall=-1 must be at least 0"),
        ({"horizon": 0}, "horizon=0 must be an integer of at least 1"),
    ],
)
def test_bad_constants_are_named(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"NineZoneBuilding: {message}"):
        building(**constants)
