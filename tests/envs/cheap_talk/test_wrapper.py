"""Cheap talk appends a message and changes nothing else."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import rlsuite_envs
from rlsuite_envs.cheap_talk.messages import random_weights
from rlsuite_envs.cheap_talk.wrapper import CheapTalk, CheapTalkParams, CheapTalkWrapper
from rlsuite_envs.kernel import tree_items
from rlsuite_envs.vector import TensorVectorEnv

torch.set_num_threads(1)
VICTIMS = [
    "rlsuite/CartPole-v1",
    "rlsuite/Pendulum-v1",
    "rlsuite/TanhPendulum-v0",
    "rlsuite/TwoLinkReacher-v0",
]
SAID = [
    {"message": "none"},
    {"message": "constant", "constant": (0.5, -1.0)},
    {"message": "random", "message_seed": 3, "message_dim": 5},
    {"message": "random", "networks": 7},
]


def vector(id: str, num_envs: int = 7, **kwargs: Any) -> Any:
    return gym.make_vec(id, num_envs=num_envs, output="torch", **kwargs)


@pytest.mark.parametrize("said", SAID, ids=lambda said: "-".join(map(str, said.values())))
@pytest.mark.parametrize("id", VICTIMS)
def test_dynamics_rewards_and_ends_are_the_environments_bit_for_bit(id: str, said: dict[str, Any]) -> None:
    plain, talk = vector(id), vector("rlsuite/CheapTalk-v0", env=id, **said)
    width = plain.single_observation_space.shape[0]
    seen, _ = plain.reset(seed=5)
    heard, _ = talk.reset(seed=5)
    plain.action_space.seed(1)
    ended = 0
    for _ in range(250):
        assert torch.equal(heard[:, :width], seen)
        action = plain.action_space.sample()
        seen, reward, terminated, truncated, info = plain.step(action)
        heard, reward2, terminated2, truncated2, info2 = talk.step(action)
        assert torch.equal(reward, reward2)
        assert torch.equal(terminated, terminated2)
        assert torch.equal(truncated, truncated2)
        assert ("final_obs" in info) == ("final_obs" in info2)
        if "final_obs" in info:
            ended += int(info["_final_obs"].sum())
            assert torch.equal(info["final_obs"], info2["final_obs"][:, :width])
    assert ended > 0
    inner = tree_items(talk.state.inner, "s")
    assert all(torch.equal(t, inner[name]) for name, t in tree_items(plain.state, "s").items())


def test_the_message_is_a_function_of_the_observation_also_after_a_restart() -> None:
    talk = vector("rlsuite/CheapTalk-v0", num_envs=4, networks=2, message_dim=3)
    speak, width = talk.kernel.speak, 4
    talk.reset(seed=0)
    restarts = 0
    for _ in range(120):
        obs, _, _, _, info = talk.step(np.ones(4, np.int64))
        torch.testing.assert_close(obs[:, width:], speak(obs[:, :width], talk.state.channel))
        assert talk.state.channel.tolist() == [0, 0, 1, 1]
        if "final_obs" in info:
            restarts += 1
            last = info["final_obs"]
            torch.testing.assert_close(last[:, width:], speak(last[:, :width], talk.state.channel))
    assert restarts > 3


@pytest.mark.parametrize("masked", [False, True])
def test_rows_keep_their_network_over_restarts(masked: bool) -> None:
    talk = vector("rlsuite/CheapTalk-v0", num_envs=6, networks=6)
    talk._stepper.masked = masked
    talk.reset(seed=0)
    moved = torch.tensor([3, 1, 4, 0, 5, 2])
    talk.set_state(type(talk.state)(talk.state.inner, moved))
    for _ in range(60):
        talk.step(np.zeros(6, np.int64))
    assert torch.equal(talk.state.channel, moved)
    talk.reset(options={"reset_mask": torch.tensor([True, False] * 3)})
    assert torch.equal(talk.state.channel, moved)


def test_a_network_per_environment_equals_separate_runs() -> None:
    weights = random_weights(4, 2, networks=5, seed=9)
    together = vector("rlsuite/CheapTalk-v0", num_envs=5, network=weights)
    heard, _ = together.reset(seed=0)
    action = torch.tensor([0, 1, 0, 1, 1])
    after, *_ = together.step(action)
    for b in range(5):
        alone = vector("rlsuite/CheapTalk-v0", num_envs=5, network=tuple(w[b : b + 1] for w in weights))
        first, _ = alone.reset(seed=0)
        second, *_ = alone.step(action)
        torch.testing.assert_close(first[b], heard[b], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(second[b], after[b], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(heard[0, 4:], heard[1, 4:])


def test_none_is_the_environment_itself() -> None:
    talk = gym.make("rlsuite/CheapTalk-CartPole-v0", message="none")
    assert talk.observation_space == gym.make("rlsuite/CartPole-v1").observation_space
    for _ in range(3):
        talk.reset(seed=2)


@pytest.mark.parametrize(("preset", "limit"), [("CartPole", 201), ("Pendulum", 200), ("Reacher", 200)])
def test_limits_of_the_presets(preset: str, limit: int) -> None:
    assert vector(f"rlsuite/CheapTalk-{preset}-v0").max_episode_steps == limit
    short = gym.make(f"rlsuite/CheapTalk-{preset}-v0", horizon=3)
    short.reset(seed=0)
    short.action_space.seed(0)
    ends = [short.step(short.action_space.sample())[3] for _ in range(3)]
    assert ends == [False, False, True]


def test_constants_of_the_environment_go_through() -> None:
    talk = vector("rlsuite/CheapTalk-v0", env_kwargs={"gravity": 1.0}, message="constant")
    assert talk.kernel.inner.params.gravity == 1.0
    assert talk.kernel.max_episode_steps == 500
    assert hash(talk.kernel.params) == hash(copy.copy(talk.kernel.params))
    pendulum = vector("rlsuite/CheapTalk-v0", env="rlsuite_envs.classic.pendulum:Pendulum")
    assert pendulum.single_observation_space.shape == (5,)


def test_given_modules_are_used_and_never_copied() -> None:
    network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    talk = vector("rlsuite/CheapTalk-v0", network=network, message_dim=3, scale=2.0)
    obs, _ = talk.reset(seed=0)
    with torch.no_grad():
        torch.testing.assert_close(obs[:, 4:], 2 * torch.tanh(network(obs[:, :4])))
    assert copy.deepcopy(talk.kernel.params).network.value is network
    assert copy.deepcopy(talk.kernel.params) == talk.kernel.params
    assert hash(talk.kernel.params) == hash(copy.deepcopy(talk.kernel.params))
    with torch.no_grad():
        network[2].bias += 1.0
    again, _ = talk.reset(seed=0)
    assert torch.equal(again[:, :4], obs[:, :4])
    assert (again[:, 4:] > obs[:, 4:]).all()
    env = gym.make("rlsuite/CheapTalk-v0", network=network, message_dim=3)
    assert env.spec is not None
    finished = CheapTalk(CheapTalkParams(message_dim=3), network=network)
    assert finished.speak.module is network


def test_a_finished_kernel_can_be_talked_about() -> None:
    from rlsuite_envs.classic.pendulum import Pendulum, PendulumParams

    inner = Pendulum(PendulumParams(g=3.0), dtype=torch.float64)
    talk = TensorVectorEnv(3, kernel=CheapTalk(CheapTalkParams(message="constant"), inner=inner))
    obs, _ = talk.reset(seed=0)
    assert obs.dtype == torch.float32
    assert talk.state.inner.theta.dtype == torch.float64
    assert talk.max_episode_steps == 200
    assert torch.equal(obs[:, 3:], torch.zeros(3, 2))


@settings(max_examples=25, deadline=None)
@given(
    dim=st.integers(1, 6),
    scale=st.floats(1e-3, 1e3),
    networks=st.sampled_from([1, 2, 5]),
    hidden=st.lists(st.integers(1, 20), max_size=3),
    size=st.floats(0, 1e6),
)
def test_messages_are_bounded_and_repeat(dim: int, scale: float, networks: int, hidden: list[int], size: float) -> None:
    params = CheapTalkParams(message_dim=dim, scale=scale, networks=networks, hidden=tuple(hidden), message="random")
    talk, twin = CheapTalk(params), CheapTalk(params)
    obs = size * torch.randn(5, 4)
    channel = torch.tensor([0, networks - 1, 0, 0, networks - 1])
    said = talk.speak(obs, channel)
    assert said.shape == (5, dim)
    assert (said.abs() <= np.float32(scale)).all()
    assert torch.equal(said, twin.speak(obs, channel))


def test_gymnasiums_own_environments_take_the_wrapper() -> None:
    plain, talk = gym.make("CartPole-v1"), CheapTalkWrapper(gym.make("CartPole-v1"), message_seed=4)
    ours: Any = gym.make("rlsuite/CheapTalk-v0", message_seed=4).unwrapped
    seen, _ = plain.reset(seed=1)
    heard, _ = talk.reset(seed=1)
    for step in range(12):
        np.testing.assert_array_equal(heard[:4], seen)
        with torch.no_grad():
            message = ours.kernel.speak(torch.tensor(seen[None]), torch.zeros(1, dtype=torch.int64))
        np.testing.assert_array_equal(heard[4:], message[0].numpy())
        assert talk.observation_space.contains(heard)
        seen, reward, terminated, *_ = plain.step(step % 2)
        heard, reward2, terminated2, *_ = talk.step(step % 2)
        assert (reward, terminated) == (reward2, terminated2)


def test_mujoco_takes_the_wrapper() -> None:
    plain, talk = gym.make("Swimmer-v5"), CheapTalkWrapper(gym.make("Swimmer-v5"), networks=3, channel=2)
    seen, _ = plain.reset(seed=1)
    heard, _ = talk.reset(seed=1)
    assert talk.observation_space.dtype == heard.dtype == np.float64
    for _ in range(5):
        np.testing.assert_array_equal(heard[:8], seen)
        assert talk.observation_space.contains(heard)
        seen, reward, *_ = plain.step(np.ones(2, np.float32))
        heard, reward2, *_ = talk.step(np.ones(2, np.float32))
        assert reward == reward2
    assert talk.spec is not None


def test_pictures() -> None:
    env: Any = gym.make("rlsuite/CheapTalk-Pendulum-v0", render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (360 + 2 * 18, 360, 3)
    silent: Any = gym.make("rlsuite/CheapTalk-Pendulum-v0", render_mode="rgb_array", message="none")
    silent.reset(seed=0)
    assert silent.render().shape == (360, 360, 3)
    with pytest.raises(TypeError, match="render_mode"):
        gym.make("rlsuite/CheapTalk-v0", env="rlsuite/ProbePolicyObservation-v0", render_mode="rgb_array")


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"message": "shout"}, r"message='shout' must be one of 'auto'"),
        ({"message_dim": 0}, r"message_dim=0 must be an integer of at least 1"),
        ({"message": "none", "message_dim": 2.5}, r"message_dim=2.5"),
        ({"scale": -1.0}, r"scale=-1.0 must be above 0"),
        ({"scale": float("nan")}, r"scale=nan must be a finite number"),
        ({"constant": 7.0}, r"constant=7.0 must be numbers in \[-scale, scale\]"),
        ({"constant": (1.0, float("nan"))}, r"constant=.*numbers in"),
        ({"constant": (1.0, 2.0, 3.0)}, r"has 3 entries but message_dim=2"),
        ({"networks": 0}, r"networks=0"),
        ({"networks": 3, "message": "constant"}, r"networks=3 is for message='random'"),
        ({"hidden": (4, 0)}, r"hidden=\(4, 0\) must be integers of at least 1"),
        ({"hidden": 64}, r"hidden=64 must be the sizes"),
        ({"activation": "gelu"}, r"activation='gelu' must be one of"),
        ({"message": "given"}, r"message='given' but there is none"),
        ({"message": "random", "network": nn.Linear(4, 2)}, r"message='random' but there is one"),
        ({"network": nn.Linear(3, 2)}, r"cannot take observations \[3, 4\]"),
        ({"network": nn.Linear(4, 3)}, r"returns \(3, 3\).*set message_dim"),
        ({"network": nn.LSTM(4, 2)}, r"returns tuple"),
        ({"network": nn.Sequential(nn.Linear(4, 64), nn.Dropout(), nn.Linear(64, 2))}, r"call .eval\(\)"),
        ({"network": nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))}, r"cannot take.*\.eval\(\)"),
        ({"network": "net.pt"}, r"must be an nn.Module, or a sequence of tensors W1 \[P, h, 4\]"),
        ({"network": (torch.ones(2, 2, 4), torch.ones(1, 2))}, r"layer 1 has a tensor of shape \(1, 2\)"),
        ({"network": (torch.ones(2, 4), torch.ones(2))}, r"layer 1 has a tensor of shape \(2, 4\)"),
        ({"network": (torch.ones(2, 2, 4).double(), torch.ones(2, 2))}, r"torch.float64"),
        ({"horizon": 0}, r"horizon=0"),
        ({"env": "rlsuite/CartPool-v1"}, r"env='rlsuite/CartPool-v1' is no known id.*CartPole"),
        ({"env": "CartPole-v1"}, r"not written as a kernel; use CheapTalkWrapper"),
        ({"env": "rlsuite_envs.nowhere:Kernel"}, r"names no kernel"),
        ({"env": 3}, r"env=3 must be the id"),
        ({"env": "rlsuite/ProbeDict-v0"}, r"observes Dict.*Box observations only"),
        ({"env_kwargs": {"gravty": 1.0}}, r"did you mean 'gravity'"),
        ({"env_kwargs": {"gravity": [1.0]}}, r"env_kwargs=.*hashable"),
        ({"masage": "none"}, r"did you mean 'message'"),
    ],
)
def test_bad_arguments(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/CheapTalk-v0", **kwargs)


@pytest.mark.parametrize(
    ("env", "kwargs", "message"),
    [
        ("CartPole-v1", {"channel": 1}, r"channel=1 must be an integer in 0..0"),
        ("CartPole-v1", {"env_kwargs": ()}, r"no argument env_kwargs=\(\); known: message"),
        ("FrozenLake-v1", {}, r"observes Discrete\(16\)"),
    ],
)
def test_bad_arguments_of_the_wrapper(env: str, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CheapTalkWrapper(gym.make(env), **kwargs)


def test_ids_are_listed() -> None:
    listed = dict(rlsuite_envs.list_envs())
    assert {"rlsuite/CheapTalk-v0", "rlsuite/CheapTalk-Reacher-v0", "rlsuite/TanhPendulum-v0"} <= set(listed)


def test_rows_in_any_order_hear_their_own_network() -> None:
    talk = CheapTalk(CheapTalkParams(networks=3, message_dim=4))
    obs = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    regular = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])
    order = torch.tensor([8, 0, 3, 4, 7, 1, 2, 6, 5])
    said = talk.speak(obs, regular)
    torch.testing.assert_close(talk.speak(obs[order], regular[order]), said[order], rtol=1e-5, atol=1e-5)
    for p in range(3):
        weights = tuple(w[p : p + 1] for w in random_weights(4, 4, networks=3))
        alone = CheapTalk(CheapTalkParams(message_dim=4), network=weights)
        rows = regular == p
        torch.testing.assert_close(
            alone.speak(obs[rows], torch.zeros(3, dtype=torch.int64)), said[rows], rtol=1e-5, atol=1e-5
        )
