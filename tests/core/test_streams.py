"""Random streams are apart and go on; what runs from step to step ends where episodes restart."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlsuite import PPO, SAC
from rlsuite.core.buffers import ReplayBuffer
from rlsuite.core.evaluate import evaluate
from rlsuite.core.normalize import ReturnNorm
from rlsuite.core.rng import EPISODES, RESETS, env_seed

SEEN: list[tuple[str, Any]] = []


class Luck(gym.Env[Any, Any]):
    """Ten steps; one normal draw at reset is shown, and paid at the end. Notes seeds and draws."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = spaces.Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.luck = 0, self.np_random.normal()
        SEEN.extend([("draw", self.luck)] + ([] if seed is None else [("seed", seed)]))
        return np.array([self.luck]), {}

    def step(self, action):
        self.t += 1
        return np.array([self.luck]), self.luck * (self.t == 10), self.t == 10, False, {}


gym.register("Luck-v0", Luck, disable_env_checker=True)


def seen(what):
    """What the environments noted since the last call."""
    found = [value for kind, value in SEEN if kind == what]
    SEEN.clear()
    return found


def ppo(seed=0, **options):
    return PPO("Luck-v0", **{"num_envs": 4, "n_steps": 4, "batch_size": 16, "n_epochs": 1} | options, seed=seed)


def test_runs_of_adjacent_seeds_share_no_environment_and_none_with_evaluation():
    SEEN.clear()
    seeds = []
    for seed in range(5):
        model = ppo(seed, num_envs=16, n_steps=1).learn(16)
        evaluate(model, "Luck-v0", episodes=10, seed=seed)
        evaluate(model, "Luck-v0", episodes=10, seed=seed + 5)
        seeds += seen("seed")
    assert len(seeds) == len(set(seeds)) == 5 * (16 + 10 + 10)
    assert max(seeds) < 2**31


def test_environment_seeds_of_many_runs_are_disjoint_and_fit_into_31_bits():
    for stream in (RESETS, EPISODES):
        first = np.sort([env_seed(seed, stream) for seed in range(300)])
        assert first.min() >= 0 and first.max() + 2**20 < 2**31 and np.diff(first).min() > 64
    assert env_seed(3, RESETS, 1) != env_seed(3, RESETS, 2)
    assert env_seed(3, RESETS, 1) == env_seed(3, RESETS, 1)


@pytest.mark.parametrize("algorithm", [PPO, SAC])
@pytest.mark.parametrize("between", ["nothing", "evaluation"])
def test_learn_again_draws_new_episodes(algorithm, between):
    """Also where an evaluation has put the same environment back to the same state each time."""
    options = {"n_steps": 10, "batch_size": 10} if algorithm is PPO else {"batch_size": 4, "learning_starts": 5}
    env = gym.make("Luck-v0")
    model, draws = algorithm(env, net_arch=(8,), seed=3, **options), []
    seen("draw")
    for _ in range(4):
        model.learn(10)
        draws += seen("draw")
        if between == "evaluation":
            evaluate(model, env, episodes=1)
            seen("draw")
    assert len(draws) == len(set(draws)) == 8  # a reset at the beginning and one at the end of each


def test_learn_in_pieces_is_as_lucky_as_learn_at_once():
    model = ppo(num_envs=1, n_steps=10, batch_size=10, net_arch=(2,))
    seen("draw")
    for _ in range(100):
        model.learn(10)
    draws = seen("draw")[::2]
    assert abs(np.mean(draws)) < 3 / 100**0.5 and 0.8 < np.std(draws) < 1.2


def test_set_env_and_another_number_of_environments_draw_anew():
    model, draws = ppo().learn(16), seen("draw")
    for env in ("Luck-v0", gym.make_vec("Luck-v0", 5, vector_kwargs={"autoreset_mode": "SameStep"})):
        model.set_env(env)
        model.learn(16, reset_num_timesteps=False)
        draws += seen("draw")
    assert len(draws) == len(set(draws)) >= 4 + 4 + 5


def test_a_loaded_model_goes_on_with_new_draws(tmp_path):
    model = ppo().learn(16)
    model.save(tmp_path / "m")
    first = set(seen("draw"))
    again = []
    for _ in range(2):
        PPO.load(tmp_path / "m", env="Luck-v0").learn(16, reset_num_timesteps=False)
        again.append(seen("draw"))
    assert again[0] == again[1] and not first & set(again[0])


def test_same_seed_same_draws_again():
    runs = []
    for _ in range(2):
        ppo(5).learn(16).learn(16)
        runs.append(seen("draw"))
    assert runs[0] == runs[1]


def fill(buffer, rewards):
    for i, reward in enumerate(rewards):
        obs = torch.full((1, 1), float(i))
        flags = torch.zeros(1, dtype=torch.bool)
        buffer.add(obs, obs + 1, torch.zeros(1, 1), torch.tensor([reward]), flags, flags)


@pytest.mark.parametrize("capacity, kept", [(8, 4), (4, 4)])
def test_a_cut_ends_n_step_windows(capacity, kept):
    buffer = ReplayBuffer(capacity, 1, (1,), (1,), n_step=3, gamma=0.5)
    buffer.cut()
    fill(buffer, [1.0, 2.0])
    buffer.cut()
    fill(buffer, [4.0, 8.0])
    reward, discount, ended, last = buffer._windows(torch.arange(kept))
    assert reward.tolist() == [2.0, 2.0, 8.0, 8.0]  # 1 + 2/2 and 2 do not reach the 4 behind the cut
    assert discount.tolist() == [0.25, 0.5, 0.25, 0.5] and last.tolist() == [1, 1, 3, 3] and not ended.any()


def test_sac_cuts_its_windows_and_ppo_its_returns_where_episodes_restart():
    sac = SAC("Pendulum-v1", n_step=3, batch_size=4, learning_starts=100, net_arch=(8,)).learn(5)
    sac.learn(5, reset_num_timesteps=False)
    assert not sac.buffer.truncated[:10].any()
    sac.learn(5)
    sac.set_env("Pendulum-v1")
    sac.learn(5, reset_num_timesteps=False)
    assert sac.buffer.truncated[:20, 0].nonzero().flatten().tolist() == [9, 14]
    model = ppo(normalize_reward=True).learn(16)
    model.return_norm(np.ones(4), np.zeros(4, bool))
    model.forget_episodes()
    model.start_runner()
    assert model.return_norm.state_dict()["return"].tolist() == [0.0] * 4


def test_a_cut_of_the_return_normaliser_keeps_its_statistics():
    norm = ReturnNorm(2, gamma=0.9)
    norm(np.array([1.0, 3.0]), np.zeros(2, bool))
    norm.cut()
    assert norm.var == 1.0 and norm.state_dict()["return"].tolist() == [0.0, 0.0]


def test_demand_does_not_repeat_the_start_states_draws(monkeypatch):
    """A kernel that draws its start and its noise alike shows both."""
    from rlsuite.inventory.classical.play import draw_noise
    from rlsuite_envs.kernel import make_kernel

    kernel = make_kernel("rlsuite_envs.classic.pendulum:Pendulum")
    monkeypatch.setattr(type(kernel), "initial_state", lambda self, num, rng: torch.rand(num, generator=rng))
    monkeypatch.setattr(type(kernel), "sample_exogenous", lambda self, state, rng: torch.rand(4, generator=rng))
    noise = draw_noise(kernel, 4, 3, periods=2)
    start = kernel.initial_state(4, torch.Generator().manual_seed(3))
    assert not torch.isin(start, torch.cat([noise(None, 0), noise(None, 1)])).any()


def test_opponents_of_neighbouring_seeds_are_apart():
    from rlsuite.adversarial.games.panel import panel
    from rlsuite_envs.mujoco.two_player import ForcedPool

    game = ForcedPool("InvertedPendulum-v5", 1)
    seeds = [
        opponent.generator.initial_seed()
        for seed in range(4)
        for opponent in panel(game, horizon=100, seed=seed).values()
        if hasattr(opponent, "generator")
    ]
    game.close()
    assert len(seeds) == len(set(seeds)) == 12


def test_baselines_of_adjacent_seeds_share_no_environment():
    from rlsuite_zoo.runs.baselines import BaselineModel
    from rlsuite_zoo.runs.folder import RunSpec

    SEEN.clear()
    seeds = []
    for seed in range(2):
        config = {"n_steps": 4, "batch_size": 16, "n_epochs": 1}
        spec = RunSpec(algo="sb3:ppo", env="Luck-v0", seed=seed, steps=16, num_envs=4, device="cpu", config=config)
        BaselineModel(spec, None).model.learn(16)
        seeds += seen("seed")
    assert len(seeds) == len(set(seeds)) == 8
