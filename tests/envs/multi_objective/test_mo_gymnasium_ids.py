"""Any id of mo-gymnasium, and any environment that pays vectors, as one of our vector environments."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlsuite.core.vector import count_objectives, make_env
from rlsuite_envs import LinearReward, ManyObjectivesVectorEnv, make_vector_env
from rlsuite_envs.make import make_single_env
from rlsuite_envs.mo_gymnasium_ids import MO_GYMNASIUM_IDS
from rlsuite_envs.mujoco import MujocoPool
from rlsuite_envs.multi_objective.single_to_vector import reward_space_of

CAST = "ignore:.*precision lowered by casting:UserWarning"  # of Box, in mo-gymnasium's constructors


class Walk(gym.Env[Any, Any]):
    """A random walk whose reward is (place, -1); ends at 3 steps from the middle, always writes into one array."""

    observation_space = spaces.Dict({"x": spaces.Box(-9, 9, (1,), np.float32)})
    action_space = spaces.Discrete(2)
    reward_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    objective_names = ("place", "time")
    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012
    render_mode = None

    def __init__(self, scalar: bool = False) -> None:
        self.scalar = scalar
        self.paid = np.zeros(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.x = float(self.np_random.integers(-1, 2))
        return self.seen(), {"start": self.x}

    def seen(self) -> dict[str, Any]:
        return {"x": np.array([self.x], np.float32)}

    def step(self, action: int) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.x += self.np_random.choice([0.5, 1.5]) * (2 * int(action) - 1)
        self.paid[:] = self.x, -1
        reward = float(self.paid.sum()) if self.scalar else self.paid
        return self.seen(), reward, abs(self.x) >= 3, False, {"end": abs(self.x) >= 3}


def assert_same(ours: Any, theirs: Any) -> None:
    """Equality of observations, infos and what is in them."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, np.ndarray) and theirs.dtype == object:
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    else:
        np.testing.assert_array_equal(ours, theirs)


def test_all_but_the_reward_is_gymnasiums_sync_vector_env() -> None:
    ours = ManyObjectivesVectorEnv([lambda: gym.wrappers.TimeLimit(Walk(), 5)] * 3)
    summed = [lambda: gym.wrappers.TimeLimit(Walk(scalar=True), 5)] * 3
    theirs = SyncVectorEnv(summed, autoreset_mode=AutoresetMode.SAME_STEP)
    assert ours.metadata == theirs.metadata
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
    assert (ours.reward_space, ours.reward_dim, ours.objective_names) == (Walk.reward_space, 2, ("place", "time"))
    for seed in (7, [5, None, 6], None):
        first = ours.reset(seed=seed), theirs.reset(seed=seed)
        if seed == 7:
            assert_same(*[dict(enumerate(part)) for part in first])
    ours.reset(seed=1)
    theirs.reset(seed=1)
    ours.action_space.seed(0)
    ended = 0
    for _ in range(40):
        action = ours.action_space.sample()
        obs, reward, terminated, truncated, info = ours.step(action)
        other, total, other_terminated, other_truncated, other_info = theirs.step(action)
        assert_same(obs, other)
        assert_same(info, other_info)
        np.testing.assert_array_equal((terminated, truncated), (other_terminated, other_truncated))
        assert reward.shape == (3, 2) and reward.dtype == np.float64
        np.testing.assert_allclose(reward.sum(axis=1), total)
        ended += int((terminated | truncated).sum())
    assert ended > 10
    mask = np.array([True, False, True])
    assert_same(
        dict(enumerate(ours.reset(seed=3, options={"reset_mask": mask}))),
        dict(enumerate(theirs.reset(seed=3, options={"reset_mask": mask}))),
    )


def test_observations_and_rewards_are_the_callers_own() -> None:
    env = ManyObjectivesVectorEnv([Walk] * 2)
    env.reset(seed=0)
    obs, reward, *_ = env.step(np.array([0, 1]))
    kept = reward.copy(), obs["x"].copy()
    env.step(np.array([1, 1]))
    np.testing.assert_array_equal(reward, kept[0])
    np.testing.assert_array_equal(obs["x"], kept[1])


@pytest.mark.filterwarnings(CAST)
@pytest.mark.parametrize(
    ("id", "count"),
    [
        ("minecart-deterministic-v0", 3),
        ("mo_gymnasium:deep-sea-treasure-v0", 2),
        ("fruit-tree-v0", 6),
        ("breakable-bottles-v0", 3),
    ],
)
def test_ids_of_mo_gymnasium_work_as_they_are(id: str, count: int) -> None:
    mo_gymnasium = pytest.importorskip("mo_gymnasium")
    env: Any = make_vector_env(id, 3)
    singles = [mo_gymnasium.make(id.split(":")[-1]) for _ in range(3)]
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert env.reward_space == singles[0].unwrapped.reward_space and env.reward_dim == count == count_objectives(env)
    assert env.spec.id == id.split(":")[-1]
    obs, _ = env.reset(seed=4)
    for i, single in enumerate(singles):
        first = single.reset(seed=4 + i)[0]
        assert_same(_row(obs, i), first)
    env.action_space.seed(0)
    for _ in range(80):
        action = env.action_space.sample()
        obs, reward, terminated, truncated, info = env.step(action)
        assert reward.shape == (3, count) and reward.dtype.kind == "f"
        for i, single in enumerate(singles):
            after, paid, ended, cut, _ = single.step(action[i])
            np.testing.assert_array_equal(reward[i], paid)
            assert (ended, cut) == (terminated[i], truncated[i])
            if ended or cut:
                assert_same(info["final_obs"][i], after)
                after, _ = single.reset()
            assert_same(_row(obs, i), after)
    env.close()


@pytest.mark.filterwarnings(CAST)
def test_minecart_works_though_its_ore_comes_from_an_unseeded_stream() -> None:
    pytest.importorskip("mo_gymnasium")
    env = make_vector_env("minecart-v0", 2)
    env.reset(seed=0)
    assert env.step(env.action_space.sample())[1].shape == (2, 3)
    env.close()


def _row(obs: Any, i: int) -> Any:
    return {key: value[i] for key, value in obs.items()} if isinstance(obs, dict) else obs[i]


@pytest.mark.filterwarnings(CAST)
def test_processes_pay_vectors_too() -> None:
    pytest.importorskip("mo_gymnasium")
    env: Any = make_vector_env("deep-sea-treasure-v0", 2, vectorization="async")
    other: Any = make_vector_env("deep-sea-treasure-v0", 2)
    assert (env.reward_space, env.reward_dim) == (other.reward_space, 2)
    np.testing.assert_array_equal(env.reset(seed=0)[0], other.reset(seed=0)[0])
    for action in ([0, 1], [1, 3], [2, 2]):
        np.testing.assert_array_equal(env.step(np.array(action))[1], other.step(np.array(action))[1])
    env.close()


def test_lunar_lander_works_or_names_what_it_needs() -> None:
    pytest.importorskip("mo_gymnasium")
    try:
        import Box2D  # noqa: F401
    except ImportError:
        with pytest.raises(gym.error.DependencyNotInstalled, match="box2d"):
            make_vector_env("mo-lunar-lander-v3", 2)
    else:
        env: Any = make_vector_env("mo-lunar-lander-v3", 2)
        env.reset(seed=0)
        assert env.step(env.action_space.sample())[1].shape == (2, 4)


def test_mujoco_tasks_take_the_pool_whether_mo_gymnasium_is_there_or_not() -> None:
    for imports, there in (("sys.modules['mo_gymnasium'] = None", False), ("import mo_gymnasium", True)):
        if there:
            pytest.importorskip("mo_gymnasium")
        code = (
            f"import sys; {imports}; import warnings; warnings.simplefilter('error'); "
            "from rlsuite_envs import make_vector_env as make; import numpy as np; "
            "ids = 'mo-hopper-2obj-v5', 'rlsuite/mo-hopper-2obj-v5', 'mo-ant-2d-v4'; "
            "pools = [make(id, 2) for id in ids]; "
            "sync = make('mo-hopper-2obj-v5', 2, vectorization='sync'); a = np.ones((2, 3), np.float32); "
            "[env.reset(seed=1) for env in (*pools, sync)]; "
            "print({type(env).__name__ for env in pools}, type(sync).__name__, "
            "np.array_equal(pools[0].step(a)[1], sync.step(a)[1]))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split("\n")[-2] == "{'MujocoPool'} ManyObjectivesVectorEnv True"


def test_making_a_pool_imports_no_mo_gymnasium() -> None:
    code = "import sys; from rlsuite_envs import make_vector_env; make_vector_env('mo-swimmer-v5', 1); "
    code += "print('mo_gymnasium' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_an_id_of_mo_gymnasium_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for id in [id for id, spec in gym.registry.items() if "mo_gymnasium" in str(spec.entry_point)]:
        monkeypatch.delitem(gym.registry, id)
    monkeypatch.setitem(sys.modules, "mo_gymnasium", None)
    with pytest.raises(ValueError, match=r"'minecart-v0'.*pip install mo-gymnasium"):
        make_vector_env("minecart-v0", 2)
    with pytest.raises(ModuleNotFoundError, match="mo_gymnasium"):
        make_vector_env("mo_gymnasium:minecart-v0", 2)
    with pytest.raises(ValueError, match="Did you mean 'rlsuite/mo-hopper-v5'"):
        make_vector_env("mo-hoper-v5", 2)
    assert isinstance(make_vector_env("mo-hopper-v5", 2), MujocoPool)


def test_the_list_of_ids_is_mo_gymnasiums() -> None:
    pytest.importorskip("mo_gymnasium")
    assert set(MO_GYMNASIUM_IDS) == {id for id, s in gym.registry.items() if "mo_gymnasium" in str(s.entry_point)}


def test_ones_own_environment_needs_only_a_reward_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "own_walk_of_two_goals"
    (tmp_path / f"{name}.py").write_text(
        "import gymnasium as gym, numpy as np\n"
        "class Env(gym.Env):\n"
        "    observation_space = gym.spaces.Box(-1, 1, (3,), np.float32)\n"
        "    action_space = gym.spaces.Discrete(2)\n"
        "    reward_space = gym.spaces.Box(-1, 1, (2,), np.float32)\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        super().reset(seed=seed)\n"
        "        return np.zeros(3, np.float32), {}\n"
        "    def step(self, action):\n"
        "        return np.zeros(3, np.float32), np.array([1, action], np.float32), bool(action), False, {}\n"
        "gym.register('OwnWalk-v0', entry_point=Env)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        env: Any = make_vector_env(f"{name}:OwnWalk-v0", 2)  # warnings are errors here: nobody wants scalar rewards
        env.reset(seed=0)
        _, reward, terminated, _, info = env.step(np.array([0, 1]))
        np.testing.assert_array_equal(reward, [[1, 0], [1, 1]])
        np.testing.assert_array_equal(info["_final_obs"], terminated)
        env.close()
    finally:
        gym.registry.pop("OwnWalk-v0", None)
        sys.modules.pop(name, None)


@pytest.mark.filterwarnings(CAST)
def test_single_environments_are_found_by_the_same_names_and_do_not_warn() -> None:
    assert make_single_env("mo-hopper-2obj-v5").unwrapped.reward_space.shape == (2,)  # type: ignore[attr-defined]
    assert make_single_env("CartPole-v1").spec == gym.make("CartPole-v1").spec
    pytest.importorskip("mo_gymnasium")
    env: Any = make_single_env("minecart-v0", render_mode=None)
    env.reset(seed=0)
    assert env.step(0)[1].shape == (3,)  # a warning would be an error here


def test_an_environment_object_becomes_a_vector_of_one() -> None:
    env: Any = make_env(Walk(), 1, torch.device("cpu"))
    assert isinstance(env, ManyObjectivesVectorEnv) and count_objectives(env) == 2
    env.reset(seed=0)
    assert env.step(np.array([1]))[1].shape == (1, 2)


class Lying(Walk):
    def step(self, action: int) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        obs, reward, *rest = super().step(action)
        return obs, np.append(reward, 0), *rest  # type: ignore[return-value]


class Unseen(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper of which nobody knows what it does to the reward."""


def test_rewards_of_another_shape_than_promised_are_refused() -> None:
    env = ManyObjectivesVectorEnv([Walk, Lying])
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"environment 1 pays a reward of shape \(3,\) where reward_space says \(2,\)"):
        env.step(np.array([0, 0]))
    env = ManyObjectivesVectorEnv([lambda: Unseen(Walk()), lambda: Unseen(Lying())])
    assert env.reward_space is None
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"environment 1 .* where environment 0 pays \(2,\)"):
        env.step(np.array([0, 0]))
    with pytest.raises(ValueError, match="env_fns is empty"):
        ManyObjectivesVectorEnv([])


def test_what_makes_a_number_of_the_objectives_hides_them() -> None:
    assert reward_space_of(gym.wrappers.TimeLimit(Walk(), 3)) == Walk.reward_space
    assert reward_space_of(LinearReward(Walk(), [1, 1])) is None
    assert reward_space_of(Unseen(Walk())) is None
    assert reward_space_of(gym.make("CartPole-v1")) is None
    told = Unseen(Walk())
    told.reward_space = spaces.Box(-1, 1, (5,))  # type: ignore[attr-defined]
    assert reward_space_of(told) == spaces.Box(-1, 1, (5,))
    env = ManyObjectivesVectorEnv([lambda: LinearReward(Walk(), [1, 2])] * 2)
    env.reset(seed=0)
    assert env.step(np.array([0, 1]))[1].shape == (2,)


def test_scalar_ids_still_go_to_gymnasiums_own() -> None:
    assert type(make_vector_env("CartPole-v1", 2)) is SyncVectorEnv


@pytest.mark.filterwarnings(CAST)
def test_the_oracles_own_vector_environment_fails_where_ours_works() -> None:
    """Should Gymnasium come to take vector rewards, then ours can go."""
    pytest.importorskip("mo_gymnasium")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = gym.make_vec("mo_gymnasium:deep-sea-treasure-v0", 2, vectorization_mode="sync")
        env.reset(seed=0)
        with pytest.raises((ValueError, TypeError), match=r"sequence|scalar"):
            env.step(env.action_space.sample())
