"""Bad input to the environments ends in an error that names the thing, its value and the remedy."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlsuite_envs.classic.cartpole import CartPole
from rlsuite_envs.classic.pendulum import Pendulum
from rlsuite_envs.kernel import Kernel, make_kernel
from rlsuite_envs.registration import KERNELS
from rlsuite_envs.single import TensorEnv
from rlsuite_envs.two_player.registration import TWO_PLAYER
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
    # TypeError: what helpers that try to make an environment with pictures, and then without, look for.
    message = r"render_mode='rgb_array'.*ProbePolicy does not draw"
    with pytest.raises((ValueError, TypeError), match=message):
        vector("rlsuite/ProbePolicy-v0", render_mode="rgb_array")
    with pytest.raises(TypeError, match=message):
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


def bad_actions(space: gym.Space[Any], num: int | None) -> list[Any]:
    """Things that are no action of the space (num None), or no batch of num of them."""
    wrong: list[Any] = ["up", None, object(), 1j, {"up": 1}, [[1], [1, 2]], b"up", {1}, np.array([None, 1]), len]
    wrong += [np.datetime64("2020-01-01"), torch.zeros(2).to_sparse(), torch.zeros(()).bool(), np.zeros((7, 5, 3))]
    if isinstance(space, gym.spaces.Tuple):
        parts = [np.asarray(part.sample()) for part in space.spaces]
        pair = parts if num is None else [np.stack([part] * num) for part in parts]
        return [
            *wrong,
            pair[0],
            (pair[0],),
            (*pair, pair[0]),
            (None, pair[1]),
            ("up", pair[1]),
            (pair[0] * np.nan, pair[1]),
        ]
    one = np.asarray(space.sample())
    right = one if num is None else np.stack([one] * num)
    wrong += [right[..., None], right[None], torch.as_tensor(right)[..., None], right + 1j, right * np.nan]
    if num is not None:
        wrong += [right[:-1], one.flat[0], [one] * (num + 1)]
    if not isinstance(space, gym.spaces.MultiBinary):
        wrong += [right.astype(bool), torch.as_tensor(right).bool()]
    if one.dtype.kind == "f":
        return [*wrong, right * 0 + np.inf, right.astype(np.float64) * 0 + 1e300, torch.as_tensor(right) * np.nan]
    whole = right.astype(np.int64)
    return [*wrong, right + 0.5, right.astype(float), whole * 0 - 1, whole * 0 + 10**6, whole.astype(object) + 10**30]


def games_and_pools() -> dict[str, Any]:
    from rlsuite_envs.mujoco import MujocoPool
    from rlsuite_envs.mujoco.two_player import ForcedPool

    ants = {f"rlsuite/{ant}-v0": lambda ant=ant: vector(f"rlsuite/{ant}-v0") for ant in ("AntCoverage", "AntObstacles")}
    return {"Hopper-v5": lambda: MujocoPool("Hopper-v5", 3), "Hopper": lambda: ForcedPool("Hopper-v5", 3), **ants}


ONE_PER_KERNEL = list({entry.kernel: entry.id for entry in reversed(KERNELS)}.values()) + [
    id for id, _, _ in TWO_PLAYER
]


@pytest.mark.parametrize("id", ONE_PER_KERNEL)
def test_whatever_is_no_action_is_refused_by_name(id: str) -> None:
    single: Any = gym.make(id, disable_env_checker=True).unwrapped
    many = vector(id)
    for env, space, num in ((single, single.action_space, None), (many, many.single_action_space, 3)):
        env.reset(seed=0)
        refuses(env, type(env.kernel).__name__, bad_actions(space, num))


@pytest.mark.parametrize("name", ["Hopper-v5", "Hopper", "rlsuite/AntCoverage-v0", "rlsuite/AntObstacles-v0"])
def test_whatever_is_no_action_of_a_pool_is_refused_by_name(name: str) -> None:
    env = games_and_pools()[name]()
    env.reset(seed=0)
    refuses(env, name.split("/")[-1][:3], bad_actions(env.single_action_space, 3))
    if "Ant" in name:
        single: Any = gym.make(name, disable_env_checker=True).unwrapped
        single.reset(seed=0)
        refuses(single, "Ant", bad_actions(single.action_space, None))


def refuses(env: Any, owner: str, actions: list[Any]) -> None:
    for action in actions:
        with pytest.raises((ValueError, TypeError)) as caught:
            env.step(action)
        assert owner in str(caught.value)
        assert "action" in str(caught.value)


def test_actions_in_other_forms_are_taken() -> None:
    expected = vector("rlsuite/TwoLinkReacher-v0")
    expected.reset(seed=0)
    wanted = expected.step(np.full((3, 2), 0.5, np.float32))[0]
    for action in (
        [[0.5, 0.5]] * 3,
        ((0.5, 0.5),) * 3,
        [torch.full((2,), 0.5)] * 3,
        [np.full(2, 0.5)] * 3,
        np.full((3, 2), 0.5, np.float16),
        torch.full((3, 2), 0.5, dtype=torch.float64),
        np.full((3, 2), 0.5, np.longdouble),
    ):
        env = vector("rlsuite/TwoLinkReacher-v0")
        env.reset(seed=0)
        np.testing.assert_array_equal(env.step(action)[0], wanted)
    flags = vector("rlsuite/ProbeMultiBinary-v0")
    flags.reset(seed=0)
    flags.step(np.zeros((3, 3), bool))
    counts = vector()
    for dtype in (np.uint8, np.int8, np.uint16, np.uint64, np.int32):
        counts.reset(seed=0)
        counts.step(np.ones(3, dtype))
    pair: Any = gym.make("rlsuite/TwoLinkReacher-v0").unwrapped
    pair.reset(seed=0)
    assert np.isfinite(pair.step((0.5, -0.5))[0]).all()


NONSENSE: tuple[Any, ...] = (
    *(float("nan"), float("inf"), -1.5, 10**12, 1e12, 10**30, 10**400, (), (1.0,), (1, 2, 3), "nonsense", None),
    *([[1, [2]], 3], ((1, (2,)), 3), True, np.full(2, np.nan), {"a": 1}, object()),
)


SMALL: dict[str, dict[str, Any]] = {
    "FastsimMaze": {"pixels": 50},
    "CollectBall": {"pixels": 50},
    "GPDesign": {"rows": 4, "cols": 4, "start": 3, "horizon": 5},
    "ImageHardMaze": {"size": 16},
}
"""Constants that make kernels quick to build."""


@pytest.mark.parametrize("id", ONE_PER_KERNEL)
def test_constants_are_refused_by_name_or_give_finite_steps(id: str) -> None:
    kind = type(gym.make(id, disable_env_checker=True).unwrapped.kernel)
    for field in dataclasses.fields(kind.params_class):
        for value in NONSENSE:
            try:
                kernel = make_kernel(kind, **{**SMALL.get(kind.__name__, {}), field.name: value})
            except (ValueError, TypeError) as error:
                assert kind.__name__ in str(error)
                assert field.name in str(error)
            else:
                assert torch.isfinite(torch.as_tensor(next(iter(observed(kernel))))).all()


def observed(kernel: Kernel[Any, Any, Any]) -> Any:
    obs = kernel.observe(kernel.initial_state(1, torch.Generator().manual_seed(1)))
    return obs.values() if isinstance(obs, dict) else (obs,)


@pytest.mark.parametrize(
    ("id", "constants", "message"),
    [
        ("CartPole-v1", {"sutton_barto_reward": "yes"}, "CartPole: sutton_barto_reward='yes' must be True or False"),
        ("CarRacing-v0", {"front": 1e12}, "CarRacing: front="),
        (
            "GridCoverage-v0",
            {"rows": 10**6},
            "GridCoverage: rows=1000000 must be an integer of at least 1, at most 100000",
        ),
        ("GridCoverage-v0", {"rows": 10**4, "cols": 10**4}, "make 100000000 cells: at most 100000"),
        ("GPDesign-v0", {"rows": 100, "cols": 100}, "make 10000 cells: at most 5000"),
        (
            "SupplyNetwork-v0",
            {"horizon": 10**9},
            r"horizon=1000000000 must be an integer of at least 1, at most 100000",
        ),
        ("CheapTalk-v0", {"env_kwargs": {"a": 1}}, r"CheapTalk: CartPole has no argument a=1.*env_kwargs=\{'a': 1\}"),
        ("Acrobot-v1", {"length_1": 1e12}, "Acrobot: the observation after step . is not finite.*length_1=1000000"),
        # What belongs together: the message says whose the other is.
        ("ManyStores-v0", {"means": (1.0, 2.0)}, r"sds=.*You gave means=\(1.0, 2.0\).* of the defaults: give what"),
        ("ManyStores-v0", {"preset": "3", "means": (1.0, 2.0)}, r"sds=.*what you did not give is of preset='3'"),
        ("LotSizing-v0", {"production": ((5, 6),)}, r"LotSizing: setup_costs must be given with a production of your"),
        ("SerialSystem-v0", {"lead_times": (1, 2)}, r"holdings=.*You gave lead_times=\(1, 2\)"),
    ],
)
def test_errors_say_which_constants_of_which_environment(id: str, constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make(f"rlsuite/{id}", **constants)


def test_constants_may_be_numpys_and_lists() -> None:
    made = make_kernel("rlsuite_envs.inventory.stores.stores:SingleStore", mean=np.float64(3.5), lead_time=np.int64(2))
    assert (made.params.mean, made.params.lead_time) == (3.5, 2)
    walk = make_kernel("rlsuite_envs.coverage.grid_coverage:GridCoverage", walls=[[0, 1], [2, 2]])
    assert walk.params.walls == ((0, 1), (2, 2))
