"""Bad input to the environments ends in an error that names the thing, its value and the remedy."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlsuite_envs.classic.cartpole import CartPole
from rlsuite_envs.classic.pendulum import Pendulum
from rlsuite_envs.kernel import Kernel, make_kernel
from rlsuite_envs.single import TensorEnv
from rlsuite_envs.vector import TensorVectorEnv


def vector(id: str = "rlsuite/CartPole-v1", num_envs: Any = 3, **kwargs: Any) -> Any:
    return gym.make_vec(id, num_envs=num_envs, **kwargs)


@pytest.mark.parametrize("num_envs", [0, -4, 2.5, True, "8"])
def test_number_of_environments(num_envs: Any) -> None:
    with pytest.raises(ValueError, match=r"num_envs=.*at least 1"):
        vector(num_envs=num_envs)


@pytest.mark.parametrize("device", ["gpu", "cuda:77", 3.5])
def test_device(device: Any) -> None:
    with pytest.raises(ValueError, match=r"device=.*'cpu'"):
        vector(device=device)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"gravty": 3.0}, r"gravty=3.0.*did you mean 'gravity'"),
        ({"zzz": 1}, r"zzz=1.*known: gravity"),
        ({"gravity": -1.0}, r"gravity=-1.0 must be above 0"),
        ({"gravity": "heavy"}, r"gravity='heavy' must be a finite number"),
        ({"tau": float("nan")}, r"tau=nan must be a finite number"),
        ({"init_low": 1.0, "init_high": 0.0}, r"init_low=1.0 must not exceed init_high=0.0"),
        ({"preset": "moon"}, r"preset='moon' is unknown to CartPole"),
        ({"dtype": "float16"}, r"float16 must be"),
        ({"dtype": "number"}, r"dtype='number' must be"),
    ],
)
def test_arguments_of_the_kernel(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vector(**kwargs)
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/CartPole-v1", **kwargs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"output": "jax"}, r"output='jax' must be 'torch' or 'numpy'"),
        ({"max_episode_steps": 0}, r"max_episode_steps=0 must be a positive integer"),
        ({"max_episode_steps": 2.5}, r"max_episode_steps=2.5 must be a positive integer"),
        ({"render_mode": "human"}, r"render_mode='human' must be"),
    ],
)
def test_arguments_of_the_vector_environment(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vector(**kwargs)


def test_pictures_of_kernels_that_do_not_draw() -> None:
    with pytest.raises(ValueError, match=r"render_mode='rgb_array'.*ProbePolicy does not draw"):
        vector("rlsuite/ProbePolicy-v0", render_mode="rgb_array")
    with pytest.raises(ValueError, match=r"render_mode='rgb_array' must be one of \[None\]"):
        TensorEnv(kernel="rlsuite_envs.probes.ladder:ProbePolicy", render_mode="rgb_array")


@pytest.mark.parametrize(
    ("id", "action", "message"),
    [
        ("CartPole-v1", [0, 2, 1], r"action\[1\]=2 is outside Discrete\(2\): use 0..1"),
        ("CartPole-v1", [0, 1, -1], r"action\[2\]=-1 is outside"),
        ("CartPole-v1", [0, 1], r"shape \(2,\) but must have \(3,\)"),
        ("CartPole-v1", np.zeros((3, 1), np.int64), r"shape \(3, 1\) but must have \(3,\)"),
        ("CartPole-v1", [0.0, 1.0, 0.5], r"dtype torch.float.* takes integers"),
        ("Pendulum-v1", [[0.0], [np.nan], [0.0]], r"action\[1\]=\[nan\] is not finite"),
        ("Pendulum-v1", [[0.0], [0.0], [-np.inf]], r"action\[2\]=\[-inf\] is not finite"),
        ("ProbeMultiDiscrete-v0", [[0, 0], [2, 1], [0, 2]], r"action\[2\]=\[0, 2\] is outside MultiDiscrete"),
        (
            "ProbeMultiBinary-v0",
            [[0, 0, 0], [0, 2, 0], [1, 1, 1]],
            r"action\[1\]=\[0, 2, 0\] is outside MultiBinary",
        ),
    ],
)
def test_actions(id: str, action: Any, message: str) -> None:
    env = vector(f"rlsuite/{id}")
    env.reset(seed=0)
    before = env.state_dict()
    with pytest.raises(ValueError, match=message):
        env.step(action)
    after = env.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)  # a refused action changes nothing


def test_actions_of_single_environments() -> None:
    env: Any = gym.make("rlsuite/Pendulum-v1").unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match="is not finite"):
        env.step(np.array([np.nan], np.float32))
    env = gym.make("rlsuite/CartPole-v1").unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"is outside Discrete\(2\)"):
        env.step(5)


def test_stepping_before_reset() -> None:
    with pytest.raises(gym.error.ResetNeeded):
        vector().step([0, 0, 0])
    with pytest.raises(gym.error.ResetNeeded):
        TensorEnv(kernel=CartPole).step(0)


def test_reset_options() -> None:
    with pytest.raises(ValueError, match="reset option 'low' is unknown"):
        vector().reset(options={"low": -1})
    with pytest.raises(ValueError, match="reset option 'low' is unknown"):
        TensorEnv(kernel=CartPole).reset(options={"low": -1})
    env = vector()
    env.reset()
    with pytest.raises(ValueError, match=r"reset_mask is torch.bool of shape \(2,\)"):
        env.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(gym.error.ResetNeeded):
        vector().reset(options={"reset_mask": np.array([True, False, True])})


def test_state_of_another_environment() -> None:
    env = vector()
    env.reset(seed=0)
    saved = env.state_dict()
    with pytest.raises(ValueError, match=r"num_envs=4.*'carry.state.x' is \(\(3,\)"):
        vector(num_envs=4).load_state_dict(saved)
    with pytest.raises(ValueError, match=r"does not fit Pendulum"):
        vector("rlsuite/Pendulum-v1").load_state_dict(saved)
    with pytest.raises(ValueError, match=r"float64"):
        vector(dtype="float64").load_state_dict(saved)
    with pytest.raises(ValueError, match=r"'rng' is missing"):
        env.load_state_dict({name: value for name, value in saved.items() if name != "rng"})


def test_params_of_another_kernel() -> None:
    with pytest.raises(TypeError, match="must be a CartPoleParams"):
        CartPole(Pendulum.params_class())
    with pytest.raises(ValueError, match="beside a finished kernel"):
        make_kernel(CartPole(), gravity=1.0)


def test_action_spaces_that_cannot_be_read() -> None:
    class Texting(CartPole):
        @property
        def action_space(self) -> Any:
            return gym.spaces.Text(3)

    with pytest.raises(ValueError, match="is not supported; use Box"):
        TensorEnv(kernel=Texting)


def test_undefined_parts_say_so() -> None:
    kernel: Kernel[Any, Any, Any] = make_kernel("rlsuite_envs.probes.ladder:ProbePolicy")
    state = kernel.initial_state(1, torch.Generator())
    with pytest.raises(NotImplementedError, match="ProbePolicy does not draw itself"):
        kernel.render(state)


def test_finished_kernels_bring_their_own_device() -> None:
    env = TensorVectorEnv(2, kernel=CartPole())
    assert env.output == "torch"
    assert env.device == torch.device("cpu")
