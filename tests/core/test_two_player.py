"""One player's side of a game: the opponent inside the step, both signs of the reward, frozen opponents, resume."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from stable_baselines3 import PPO as SB3PPO

from rlsuite import PPO, QARL, RARL
from rlsuite.core.evaluate import evaluate
from rlsuite.core.opponents import Learned, StepForce, Uniform, Zero, box_bounds
from rlsuite.core.two_player import ADVERSARY, AGENT, Match, Versus
from rlsuite.sb3 import as_vec_env
from rlsuite_envs.make import make_vector_env
from rlsuite_envs.mujoco import MujocoPool
from rlsuite_envs.mujoco.two_player import ForcedPool

BOX = spaces.Box(np.float32([-2, 0]), np.float32([2, 600]))
SMALL = {"n_steps": 32, "batch_size": 32, "device": "cpu", "seed": 2, "net_arch": (16,)}


def windy(num_envs=3):
    return make_vector_env("rlsuite/WindyPoint-v0", num_envs)


def test_an_idle_opponent_leaves_the_plain_task():
    plain, side = (
        MujocoPool("Hopper-v5", 2, num_threads=1),
        Versus(ForcedPool("Hopper-v5", 2, num_threads=1), AGENT),
    )
    assert side.single_action_space == plain.single_action_space
    left, right = plain.reset(seed=1)[0], side.reset(seed=1)[0]
    rng = np.random.default_rng(0)
    for _ in range(40):
        np.testing.assert_array_equal(left, right)
        action = rng.uniform(-1, 1, (2, 3))
        (left, *rest), (right, *others) = plain.step(action), side.step(action)
        for a, b in zip(rest[:3], others[:3], strict=True):
            np.testing.assert_array_equal(a, b)


def test_both_sides_play_the_same_game_for_opposite_rewards():
    seen = []

    def protagonist(obs, started):
        seen.append((obs.clone(), started.clone()))
        return torch.tensor([[1.0, 0.5]]).expand(len(obs), -1)

    match = Match(windy())
    mine = Versus(match, AGENT, lambda obs, started: torch.full((len(obs), 1), 10.0))
    theirs = mine.other_side(protagonist)
    first, _ = mine.reset(seed=0)
    middle, reward, *_ = mine.step(torch.tensor([[1.0, 0.5]]).expand(3, -1))
    obs, cost, *_ = theirs.step(torch.full((3, 1), 10.0))
    assert torch.equal(seen[0][0], middle)
    assert not seen[0][1].any()  # the game went on: nothing started here

    alone = windy()
    alone.reset(seed=0)
    pair = (torch.tensor([[1.0, 0.5]]).expand(3, -1), torch.full((3, 1), 10.0))
    torch.testing.assert_close(alone.step(pair)[1], reward, rtol=0, atol=0)
    again = alone.step(pair)
    torch.testing.assert_close(again[1], -cost, rtol=0, atol=0)
    torch.testing.assert_close(again[0], obs, rtol=0, atol=0)
    assert (first[:, 0] < -1.4).all() and (cost < 0).all()


def test_the_adversary_has_a_share_of_its_box_and_a_limit_per_environment():
    given = []
    match = Match(windy())
    original = match.game.step
    match.game.step = lambda actions: given.append(actions[1].clone()) or original(actions)
    side = Versus(match, ADVERSARY, Zero(match.spaces[AGENT]), adv_fraction=0.25)
    assert side.single_action_space.high[0] == 0.25
    side.reset(seed=0)
    side.step(torch.tensor([[9.0], [-9.0], [0.125]]))
    match.limit = torch.tensor([[0.125], [9.0], [0.0]])
    side.step(torch.tensor([[9.0], [-9.0], [0.125]]))
    assert given[0][:, 0].tolist() == [0.25, -0.25, 0.125]
    assert given[1][:, 0].tolist() == [0.125, -0.25, 0.0]
    mine = side.other_side(lambda obs, started: torch.full((3, 1), 9.0))
    match.limit = None
    mine.step(torch.zeros(3, 2))
    assert given[2][:, 0].tolist() == [0.25] * 3


def test_uniform_fills_its_box_and_repeats_itself():
    one, two = Uniform(BOX, 0), Uniform(BOX, 1)
    rows, started = torch.zeros(4000, 3), torch.zeros(4000, dtype=torch.bool)
    drawn = one(rows, started)
    low, high = box_bounds(BOX)
    assert (drawn >= low).all() and (drawn <= high).all()
    torch.testing.assert_close(drawn.mean(0), (low + high) / 2, rtol=0.03, atol=0.06)
    two.load_state_dict(one.state_dict())
    assert torch.equal(one(rows, started), two(rows, started))


def test_zero_is_the_nearest_the_box_has():
    zero = Zero(spaces.Box(np.float32([-1, 2]), np.float32([1, 5])))
    assert zero(torch.zeros(2, 1), torch.zeros(2, dtype=torch.bool)).tolist() == [[0, 2], [0, 2]]


def test_pulses():
    pulses = StepForce(BOX, 500, length=10, hold=4, seed=3)
    rows, going = torch.zeros(500, 3), torch.zeros(500, dtype=torch.bool)
    forces = torch.stack([pulses(rows, going) for _ in range(200)])  # [T, B, D]
    on = forces.abs().sum(-1) > 0
    for b in range(50):
        edges = np.flatnonzero(np.diff(np.r_[0, on[:, b].int().numpy(), 0]))
        for begin, end in edges.reshape(-1, 2).tolist():
            if end < 200 and end - begin == 4:
                assert (forces[begin:end, b] == forces[begin, b]).all()
            else:
                assert end == 200 or (end - begin) % 4 == 0  # a pulse cut off, or pulses in a row
    # idle steps before a pulse are geometric with mean length - 1, so hold / (hold + length - 1) of the time is a pulse
    assert float(on[50:].float().mean()) == pytest.approx(4 / 13, abs=0.02)
    pulses(rows, going)
    fixed = StepForce(BOX, 500, length=1, hold=5, random_size=False)
    assert torch.equal(fixed(rows, going), torch.tensor([2.0, 600.0]).expand(500, -1))
    idle = StepForce(BOX, 500, length=1e9, hold=5)
    idle._left[:] = 5
    assert not idle(rows, ~going).any()  # a new episode ends the pulse
    twin = StepForce(BOX, 500, length=10, hold=4, seed=9)
    twin.load_state_dict(pulses.state_dict())
    assert torch.equal(twin(rows, going), pulses(rows, going))


def test_a_learned_opponent_is_frozen_and_sees_raw_observations():
    model = PPO(Versus(ForcedPool("Hopper-v5", 2), AGENT), normalize_obs=True, **SMALL).learn(64)
    count, mean = model.obs_norm.count, model.obs_norm.mean.clone()
    weights = model.parts.flat.data.clone()
    theirs = Versus(ForcedPool("Hopper-v5", 2), ADVERSARY, Learned(model))
    adversary = PPO(theirs, **SMALL).learn(128)
    assert adversary.action_space.shape == (2,)
    assert model.obs_norm.count == count and torch.equal(model.obs_norm.mean, mean)
    assert torch.equal(model.parts.flat.data, weights)
    sides = [Versus(ForcedPool("Hopper-v5", 2), AGENT, who) for who in (None, Learned(adversary, deterministic=True))]
    quiet, pushed = (evaluate(model, side, episodes=4).returns for side in sides)
    assert not np.array_equal(quiet, pushed)


def test_stable_baselines3_trains_either_side_and_sits_on_it():
    model = PPO(Versus(ForcedPool("Hopper-v5", 2), AGENT), **SMALL)
    theirs = Versus(ForcedPool("Hopper-v5", 2), ADVERSARY, Learned(model))
    adversary = SB3PPO("MlpPolicy", as_vec_env(theirs), n_steps=32, batch_size=32, device="cpu", seed=0).learn(128)
    mine = Versus(ForcedPool("Hopper-v5", 2), AGENT, Learned(adversary))
    again = SB3PPO("MlpPolicy", as_vec_env(mine), n_steps=32, batch_size=32, device="cpu", seed=0).learn(128)
    assert again.action_space.shape == (3,) and adversary.action_space.shape == (2,)
    assert np.isfinite(evaluate(again, mine, episodes=2).returns).all()


@pytest.mark.parametrize("game", [windy, lambda: ForcedPool("Hopper-v5", 3)])
def test_any_algorithm_resumes_in_a_game_to_the_same_bits(tmp_path, game):
    def side(seed):
        match = Match(game())
        return Versus(match, AGENT, Uniform(match.spaces[ADVERSARY], seed))

    def save(agent):
        if agent.num_timesteps == 192:
            agent.save(tmp_path / "half")

    whole = PPO(side(5), **SMALL)
    whole.learn(384, on_update=save)
    resumed = PPO.load(tmp_path / "half", env=side(6), device="cpu")
    resumed.learn(192, reset_num_timesteps=False)
    assert torch.equal(resumed.parts.flat.data, whole.parts.flat.data)


def test_bad_games_and_players_are_refused():
    with pytest.raises(ValueError, match=r"Tuple\(\(agent, adversary\)\)"):
        Match(MujocoPool("Hopper-v5", 2))
    with pytest.raises(ValueError, match="player is 2"):
        Versus(windy(), 2)
    with pytest.raises(ValueError, match=r"adv_fraction is 1\.2"):
        Versus(windy(), AGENT, adv_fraction=1.2)
    with pytest.raises(ValueError, match="bounded Box"):
        Uniform(spaces.Discrete(3), 0)
    with pytest.raises(ValueError, match="hold >= 1"):
        StepForce(BOX, 1, length=3, hold=0)


class Game(VectorEnv):
    """Ten steps; asserts both players' actions; gives NaN to environment 1 at step `bad`."""

    metadata: ClassVar = {"autoreset_mode": AutoresetMode.SAME_STEP}
    render_mode = spec = None

    def __init__(self, agent, adversary, bad=None):
        self.num_envs, self.steps, self.t, self.bad = 2, 0, 0, bad
        self.single_observation_space = spaces.Box(-np.inf, np.inf, (3,))
        self.single_action_space = spaces.Tuple((agent, adversary))
        self.observation_space = batch_space(self.single_observation_space, 2)

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.zeros((2, 3), np.float32), {}

    def step(self, actions):
        for action, space in zip(actions, self.single_action_space.spaces, strict=True):
            assert action.dtype == space.dtype and all(space.contains(action[i, ...]) for i in range(2))
        self.t, self.steps = (self.t + 1) % 10, self.steps + 1
        obs, done = np.zeros((2, 3), np.float32), np.full(2, self.t == 0)
        if self.steps == self.bad:
            obs[1, 2] = np.nan
        info = {"final_obs": obs.copy(), "_final_obs": done} if done[0] else {}
        return obs, np.ones(2), np.zeros(2, bool), done, info


PLAYERS = {
    "matrix": spaces.Box(-1, 1, (2, 3)),
    "one": spaces.Box(-1, 1, (1, 1)),
    "scalar": spaces.Box(-1, 1, ()),
    "float64": spaces.Box(-0.1, 0.1, (2,), np.float64),  # float32's 0.1 lies outside
    "int8": spaces.MultiDiscrete([2, 3], dtype=np.int8),
    "int16": spaces.Discrete(3, start=2, dtype=np.int16),
}
ON = {"n_steps": 8, "batch_size": 16, "n_epochs": 1, "net_arch": (8,), "seed": 0, "device": "cpu"}
OFF = {"critic_starts": 8, "actor_starts": 8, "batch_size": 8, "buffer_size": 100, "net_arch": (8,)} | {
    "seed": 0,
    "device": "cpu",
}


@pytest.mark.parametrize(("mine", "theirs"), [*zip(PLAYERS, [*PLAYERS][1:], strict=False), ("int16", "matrix")])
@pytest.mark.parametrize("options", [{}, {"adversary": "random"}, {"adversary": "none"}], ids=str)
def test_both_players_actions_are_in_their_spaces(mine, theirs, options) -> None:
    agent, adversary = PLAYERS[mine], PLAYERS[theirs]
    boxed = isinstance(adversary, spaces.Box)
    if options and not boxed:
        options = {}  # chance and rest need a Box
    model = RARL(Game(agent, adversary), adv_fraction=0.5 if boxed else 1.0, **options, **ON).learn(32)
    action, _ = model.predict(np.zeros(3, np.float32))
    assert agent.contains(action) and action.dtype == agent.dtype
    if boxed and isinstance(agent, spaces.Box):
        model = QARL(Game(agent, adversary), **options, **OFF).learn(60)
        assert agent.contains(model.predict(np.zeros(3, np.float32))[0])


@pytest.mark.parametrize(("algorithm", "settings"), [(RARL, ON), (QARL, OFF)])
def test_both_players_count_the_games_steps(algorithm, settings) -> None:
    model = algorithm(Game(PLAYERS["matrix"], PLAYERS["scalar"], bad=13), **settings)
    with pytest.raises(FloatingPointError, match=r"^observation is nan at step 13 in environment 1 \(index \[2\]\)"):
        model.learn(200)


def test_an_adversary_that_diverged_is_named() -> None:
    model = RARL(Game(PLAYERS["matrix"], PLAYERS["one"]), **ON)
    with torch.no_grad():
        model.adversary.flat.data.fill_(np.nan)
    with pytest.raises(FloatingPointError, match=r"^the adversary's action is nan at step 1 in environment 0"):
        model.learn(16)
