"""Ids and kernels of other modules: "module:Id-v0" is imported as `gym.make` does it, a kernel's name never."""

from __future__ import annotations

import sys

import gymnasium as gym
import pytest

import rlsuite
from rlsuite_envs.kernel import make_kernel
from rlsuite_envs.make import make_vector_env

SOURCE = """
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv

class Mine(CartPoleEnv):
    pass

gym.register("Mine-v0", f"{__name__}:Mine", max_episode_steps=50)
gym.register("space/Mine-v0", f"{__name__}:Mine", max_episode_steps=50)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes modules that can be imported; their ids and names vanish after the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    ids, names = set(gym.registry), set(sys.modules)

    def write(name, text=SOURCE):
        (tmp_path / f"{name}.py").write_text(text)

    yield write
    for id in set(gym.registry) - ids:
        del gym.registry[id]
    for name in set(sys.modules) - names:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


@pytest.mark.parametrize("id", ["own_env_a:Mine-v0", "own_env_a:space/Mine-v0"])
def test_an_id_with_its_module(module, id):
    module("own_env_a")
    venv = make_vector_env(id, 2)
    assert venv.num_envs == 2 and venv.spec.max_episode_steps == 50
    model = rlsuite.PPO(id, num_envs=2, n_steps=16, batch_size=16, n_epochs=1, device="cpu").learn(32)
    assert model.env_id == id and model.num_timesteps == 32


def test_a_pool_by_the_name_of_its_module():
    assert type(make_vector_env("gymnasium:HalfCheetah-v5", 1)).__name__ == "MujocoPool"


def test_what_is_missing_is_said(module):
    module("own_env_b")
    module("own_env_c", "import nowhere_to_be_found\n")
    module("own_env_d", "x = 1\n\ny = x / 0\n")
    module("own_env_e", "def f(:\n")
    for id, kind, match in (
        ("absent_env:Mine-v0", ModuleNotFoundError, "module 'absent_env' of the environment .* was not found"),
        ("absent_env.deep:Mine-v0", ModuleNotFoundError, "module 'absent_env' of"),
        ("own_env_b:Mime-v0", ValueError, "imported, but registers no 'Mime-v0'. Did you mean 'Mine-v0'"),
        ("own_env_c:Mine-v0", ImportError, "'own_env_c' .* failed: ModuleNotFoundError: No module named 'nowhere"),
        ("own_env_d:Mine-v0", ImportError, r"failed: ZeroDivisionError: division by zero \(.*own_env_d.py, line 3\)"),
        ("own_env_e:Mine-v0", ImportError, r"failed: SyntaxError: .*own_env_e.py, line 1"),
    ):
        with pytest.raises(kind, match=match):
            make_vector_env(id, 1)


@pytest.mark.parametrize(
    "name", ["os:system", "evil_kernel:K", "rlsuite_envs.kernel:torch", "rlsuite_envs.make:make_vector_env", "nothing"]
)
def test_a_kernels_name_imports_nothing(module, tmp_path, name):
    mark = tmp_path / "executed"
    module("evil_kernel", f"open({str(mark)!r}, 'w')\nclass K: pass\n")
    for make in (
        lambda: make_kernel(name),
        lambda: make_vector_env("rlsuite/CartPole-v1", 1, env_kwargs={"kernel": name}),
        lambda: make_vector_env("rlsuite/CheapTalk-CartPole-v0", 1, env_kwargs={"env": name}),
        lambda: gym.make("rlsuite/CartPole-v1", kernel=name),
    ):
        with pytest.raises(ValueError, match=r"names no kernel|no known id|no argument"):
            make()
    assert not mark.exists() and "evil_kernel" not in sys.modules


def test_a_registered_kernel_of_another_module(module):
    module(
        "own_kernel",
        "from rlsuite_envs.classic.cartpole import CartPole\n\nclass Mine(CartPole):\n    pass\n",
    )
    gym.register(
        "MineKernel-v0",
        "rlsuite_envs.single:TensorEnv",
        vector_entry_point="rlsuite_envs.vector:TensorVectorEnv",
        max_episode_steps=20,
        kwargs={"kernel": "own_kernel:Mine"},
    )
    assert type(gym.make("MineKernel-v0").unwrapped.kernel).__name__ == "Mine"
