"""ACT: objectives, control against episodes played one by one, resume, plugging in, bad input."""

from __future__ import annotations

import dataclasses
import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import rlsuite_envs  # noqa: F401  # registers the environments
from rlsuite.adversarial.cheap_talk.act import ACT, ACTConfig
from rlsuite.adversarial.cheap_talk.control import control_returns
from rlsuite.adversarial.cheap_talk.speech import goal_features
from rlsuite.adversarial.cheap_talk.victim_ppo import VictimConfig
from rlsuite.adversarial.cheap_talk.victims import VICTIMS, Victims
from rlsuite.core.checkpoint import CheckpointError
from rlsuite.core.statistics import bootstrap_interval
from rlsuite_envs.cheap_talk.goals import goal_reward, sample_goal
from rlsuite_envs.cheap_talk.pendulum import TanhPendulum
from rlsuite_envs.kernel import tree_map

QUICK = VictimConfig(hidden=8, n_steps=16, n_updates=2, n_epochs=2)
TINY = {"population": 4, "message_hidden": (8,), "victim": QUICK, "device": "cpu"}


def small(env="CartPole", **changes):
    """An adversary whose generations take a fraction of a second."""
    return ACT(env, **{**TINY, **changes})


def control(env, **changes):
    victim = dataclasses.replace(VICTIMS[env], hidden=8, num_envs=4, n_steps=16, n_updates=2, n_epochs=2)
    return small(env, objective="control", episodes=3, num_seeds=2, victim=victim, **changes)


def test_the_experiments_settings_are_the_defaults():
    harm, steer = ACTConfig(), ACTConfig(objective="control")
    assert (harm.seeds_each, harm.scale, steer.seeds_each, steer.scale) == (1, 2 * math.pi, 4, math.pi)
    assert {name: config.timesteps for name, config in VICTIMS.items()} == {
        "CartPole": 32_768,
        "Pendulum": 524_288,
        "Reacher": 1_048_576,
    }
    assert ACT("Reacher", population=2).victim == VICTIMS["Reacher"]
    assert ACT("CartPole", population=2).speech.num_params == 5 * 64 + 65 * 64 + 65 * 2


def test_harm_is_the_opposite_of_help():
    candidates = 0.3 * torch.randn((4, small().speech.num_params), generator=torch.Generator().manual_seed(0))
    harm, returns = small(objective="harm").judge(candidates, [3, 4])
    help_, again = small(objective="help").judge(candidates, [3, 4])
    assert torch.equal(harm, -help_) and torch.equal(returns, again) and returns.shape == (2, 4, 2)
    assert torch.equal(help_, returns[-1]) and returns[-1].std() > 0
    mean, _ = small(objective="help", end_only=False).judge(candidates, [3, 4])
    torch.testing.assert_close(mean, returns.mean(0))


def test_a_vector_of_zeros_says_nothing():
    act = small()
    _, returns = act.judge(torch.zeros(2, act.speech.num_params), [5])
    torch.testing.assert_close(returns[:, :1], act.evaluate([5], "zero"), rtol=1e-5, atol=0)
    assert torch.equal(act.evaluate([5]), act.evaluate([5], "zero"))  # the mean starts there
    assert act.evaluate([5, 6], "random", networks=3).shape == (2, 3, 2)
    assert act.evaluate([5, 6], "none").shape == (2, 1, 2)


@pytest.mark.parametrize("env", ["CartPole", "Pendulum", "Reacher"])
def test_control_is_episodes_played_one_by_one(env):
    act = control(env)
    size = act.speech.num_params
    candidates = 0.5 * torch.randn((2, size), generator=torch.Generator().manual_seed(1))
    victims = Victims(act.speech.talking(candidates), act.victim, [0, 1])
    victims.train()
    measured = control_returns(victims, act.speech.steering(candidates), [8, 9], 3)
    kernel, limit = act.speech.talk.inner, act.speech.talk.max_episode_steps
    total = torch.zeros(2, 2)
    for p in range(2):
        act.es.mean.copy_(candidates[p])
        tell = act.controller
        for r, seed in enumerate([8, 9]):
            rng = torch.Generator().manual_seed(seed)
            starts = kernel.initial_state(3, rng)
            goals = sample_goal(starts, rng)
            for b in range(3):
                state = tree_map(lambda x, b=b: x[b : b + 1], starts)
                for _ in range(limit):
                    seen = kernel.observe(state)
                    message = torch.as_tensor(tell.predict(seen[0].numpy(), goals[b].numpy()))
                    everyone = torch.cat((seen[0], message)).expand(4, 1, -1)
                    action = victims.act(everyone)[2 * p + r]
                    before = goal_reward(state, goals[b : b + 1])
                    state, _, terminated = kernel.advance(state, action)
                    after = goal_reward(state, goals[b : b + 1])
                    total[p, r] += float(after if env == "CartPole" else before) / 3
                    if terminated:
                        break
    torch.testing.assert_close(measured, total, rtol=1e-3, atol=1e-3)
    assert measured.std() > 0


def test_a_pendulums_goal_is_shown_by_cosine_and_sine():
    features = goal_features(TanhPendulum(), torch.tensor([0.0, math.pi / 2, 3.0, -3.0]))
    torch.testing.assert_close(features[:2], torch.tensor([[1.0, 0.0], [0.0, 1.0]]), rtol=0, atol=1e-6)
    assert not torch.allclose(features[2], features[3])  # equal cosines are told apart


def test_messages_in_the_environment_are_those_of_predict():
    act = small("CartPole", message_dim=3, message_scale=0.7).learn(3)
    env = gym.make("rlsuite/CheapTalk-CartPole-v0", **act.talk_kwargs())
    obs, _ = env.reset(seed=1)
    assert obs.shape == (7,)
    for _ in range(5):
        np.testing.assert_allclose(obs[4:], act.predict(obs[:4]), rtol=1e-5, atol=1e-6)
        obs, *_ = env.step(env.action_space.sample())
    env.close()
    batch = act.predict(np.stack([obs[:4], 0 * obs[:4]]))
    assert batch.shape == (2, 3) and np.abs(batch).max() <= 0.7 and np.ptp(batch[0]) > 0


def test_learning_changes_messages_and_reports():
    seen = []
    act = small(objective="help").learn(3, on_update=lambda a: seen.append((a.generation, a.metrics)))
    assert [generation for generation, _ in seen] == [1, 2, 3] and act.generation == 3
    metrics = act.metrics
    assert metrics["time/victims"] == 12 and metrics["time/victims_per_second"] > 0
    assert metrics["act/fitness_best"] >= metrics["act/fitness_mean"] == metrics["act/return_last"] > 0
    assert act.es.mean.abs().max() > 0
    stopped = small().learn(5, on_update=lambda a: a.generation < 2)
    assert stopped.generation == 2


def test_the_logger_gets_every_generation(tmp_path):
    from stable_baselines3.common.logger import configure

    act = small()
    act.set_logger(configure(str(tmp_path), ["csv"]))
    act.learn(2)
    act.logger.close()
    rows = (tmp_path / "progress.csv").read_text().strip().splitlines()
    assert len(rows) == 3 and "act/fitness_mean" in rows[0] and "time/victims_per_second" in rows[0]


@pytest.mark.parametrize("make", [small, lambda: control("Pendulum")])
def test_resumed_is_uninterrupted(make, tmp_path):
    whole = make().learn(4)
    make().learn(2).save(tmp_path / "act")
    resumed = ACT.load(tmp_path / "act.zip", device="cpu")
    assert resumed.generation == 2 and resumed.metrics["time/generations"] == 2
    resumed.learn(2)
    assert torch.equal(whole.es.mean, resumed.es.mean)
    assert whole.config == resumed.config and whole.victim == resumed.victim
    assert whole.metrics["act/fitness_mean"] == resumed.metrics["act/fitness_mean"]
    other = ACT("CartPole", seed=1, **TINY).learn(1)
    assert other.es.mean.shape != whole.es.mean.shape or not torch.equal(other.es.mean, whole.es.mean)


def test_a_controller_survives_saving(tmp_path):
    act = control("Reacher").learn(1)
    act.save(tmp_path / "act.zip")
    loaded = ACT.load(tmp_path / "act.zip")
    obs, goal = np.linspace(-1, 1, 10), np.array([0.5, -0.5])
    message = act.predict(obs, goal)
    assert message.shape == (2,) and np.array_equal(message, loaded.controller.predict(obs, goal))
    assert not np.array_equal(message, act.predict(obs, -goal))
    both = act.predict(np.stack([obs, obs]), np.stack([goal, -goal]))
    np.testing.assert_allclose(both[0], message, atol=1e-6)


def test_another_kernel_can_be_talked_about():
    act = ACT("rlsuite/Acrobot-v1", env_kwargs={"torque": 0.5}, **TINY).learn(1)
    assert act.predict(np.zeros(6)).shape == (2,)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"env": "rlsuite/Nonsense-v0"}, "Nonsense"),
        ({"env": "Cartpole"}, "Presets: CartPole, Pendulum, Reacher"),
        ({"env": "rlsuite/LostSales-L4-p4-v0"}, "noise"),
        ({"env": "rlsuite/Acrobot-v1", "objective": "control"}, "no goals"),
        ({"env_kwargs": {"grvity": 1.0}}, "gravity"),
        ({"population": 7}, "even"),
        ({"population": 0}, "population"),
        ({"population": True}, "population"),
        ({"sigma": 0.0}, "sigma"),
        ({"sigma": -1.0}, "sigma"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"objective": "ANTI"}, "'harm', 'help', 'control'"),
        ({"num_seeds": 0}, "num_seeds"),
        ({"episodes": 0}, "episodes"),
        ({"message_dim": 0}, "message_dim"),
        ({"message_scale": 0.0}, "message_scale"),
        ({"message_hidden": (0,)}, "hidden"),
        ({"seed": -1}, "seed"),
        ({"device": "tpu9"}, "device"),
        ({"sgima": 0.1}, "did you mean 'sigma'"),
    ],
)
def test_bad_input_is_refused_before_any_simulation(values, words, monkeypatch):
    monkeypatch.setattr(Victims, "update", lambda self: pytest.fail("simulated"))
    with pytest.raises(ValueError, match=words):
        small(**values)


@pytest.mark.parametrize("generations", [0, -1, 1.5, True])
def test_generations_must_be_a_positive_integer(generations):
    with pytest.raises(ValueError, match="generations"):
        small().learn(generations)


def test_questions_that_have_no_answer_are_refused():
    act, steer = small(), control("CartPole")
    with pytest.raises(ValueError, match="controller"):
        act.predict(np.zeros(4), 0.5)
    with pytest.raises(ValueError, match="controller"):
        act.controller  # noqa: B018
    for bad in (np.zeros(5), np.zeros((2, 6)), np.array([0, 0, math.nan, 0.0]), 3.0):
        with pytest.raises(ValueError, match=r"rows to talk about"):
            act.predict(bad)
    for obs, goal in ((np.zeros(4), np.zeros(2)), (np.zeros(3), 0.0), (np.zeros(4), math.inf)):
        with pytest.raises(ValueError, match=r"rows to talk about"):
            steer.predict(obs, goal)
    with pytest.raises(ValueError, match="one row for one"):
        steer.predict(np.zeros((3, 4)), np.zeros(2))
    with pytest.raises(ValueError, match="messages="):
        act.evaluate([0], "loud")


def test_strangers_files_are_refused(tmp_path):
    from rlsuite.policy_gradient.ppo import PPO

    PPO("CartPole-v1", n_steps=64).save(tmp_path / "ppo.zip")
    with pytest.raises(CheckpointError, match=r"ppo\.zip"):
        ACT.load(tmp_path / "ppo.zip")
    with pytest.raises(FileNotFoundError):
        ACT.load(tmp_path / "missing.zip")
    (tmp_path / "torn.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match="torn"):
        ACT.load(tmp_path / "torn.zip")


def test_arguments_at_load_count_or_are_refused_by_name(tmp_path):
    ACT("CartPole", population=2, message_hidden=(4,), victim=VictimConfig(n_updates=1), device="cpu").save(
        tmp_path / "a.zip"
    )
    other = {"population": 4, "sigma": 0.1, "sigma_decay": 0.9, "sigma_limit": 0.02, "learning_rate": 0.02}
    other |= {"learning_rate_decay": 0.9, "learning_rate_limit": 0.002, "beta1": 0.5, "beta2": 0.9, "eps": 1e-6}
    other |= {"ranks": True, "num_seeds": 2, "end_only": False, "episodes": 32}
    shaped = {
        "objective": "help",
        "message_dim": 3,
        "message_scale": 1.0,
        "message_hidden": (8,),
        "steering_hidden": (4,),
    }
    assert {*other, *shaped} == {field.name for field in dataclasses.fields(ACTConfig)} and {*shaped} == {*ACT.stored}
    loaded = ACT.load(tmp_path / "a.zip", device="cpu", seed=5, **other)
    assert {name: getattr(loaded.config, name) for name in other} == other and loaded.seed == 5
    assert not torch.equal(
        loaded.es.ask(), ACT.load(tmp_path / "a.zip", device="cpu", population=4, sigma=0.1).es.ask()
    )
    wrong = {**shaped, "env": "Pendulum", "victim": VictimConfig(), "env_kwargs": {}, "seed": -1, "sigma": -1.0}
    for name, value in {**wrong, "device": "tpu", "populaton": 2}.items():
        with pytest.raises(ValueError, match=name) as caught:
            ACT.load(tmp_path / "a.zip", **{"device": "cpu", name: value})
        assert not isinstance(caught.value, CheckpointError)


@given(st.floats(allow_nan=False).filter(lambda x: not 1e-9 <= x <= 1e6))
def test_a_scale_out_of_range_is_named(scale):
    with pytest.raises(ValueError, match="message_scale"):
        ACTConfig(message_scale=scale)


@pytest.mark.slow
@pytest.mark.parametrize(("word", "updates"), [("harm", 8), ("help", 4)])
def test_evolved_words_change_what_a_victim_learns(word, updates):
    """Mean returns of victims that no generation saw, while they learn: 95 % intervals apart from random messages'.

    Ten generations are few, so each word is tried where it works soonest: help early in a training, harm over more
    of it.
    """
    act = ACT(
        "CartPole",
        objective=word,
        population=64,
        end_only=False,
        message_dim=8,
        message_hidden=(8,),
        sigma=0.4,
        sigma_decay=0.99,
        sigma_limit=0.1,
        learning_rate=0.1,
        learning_rate_decay=0.99,
        beta1=0.9,
        victim=dataclasses.replace(VICTIMS["CartPole"], n_updates=updates),
        device="cpu",
    ).learn(10)
    seeds = range(10**6, 10**6 + 128)
    evolved = bootstrap_interval(act.evaluate(seeds).mean(0).flatten().numpy())
    networks = act.evaluate(seeds[:4], "random", networks=32).mean((0, 2))  # one number per network
    random = bootstrap_interval(networks.numpy())
    if word == "harm":
        assert evolved.high < random.low
    else:
        assert evolved.low > random.high
