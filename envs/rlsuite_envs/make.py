"""One constructor for every vector environment, whichever engine steps it.

`make_vector_env("HalfCheetah-v5", 64)` picks the fastest engine that exists for an id and returns a Gymnasium
`VectorEnv` with SAME_STEP autoreset: the MuJoCo pool for Gymnasium's v5 MuJoCo tasks and those of mo-gymnasium, the
tensor kernel for rlsuite's own ids, and Gymnasium's sync vector of single environments for everything else (one of our
own where they pay a vector of objectives).
"""

from __future__ import annotations

import difflib
import importlib
import os
import traceback
from functools import partial
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from rlsuite_envs.mo_gymnasium_ids import MO_GYMNASIUM_IDS
from rlsuite_envs.mujoco_ids import MO_MUJOCO_IDS, MUJOCO_IDS

__all__ = ["Vectorization", "find_spec", "import_module_of", "make_single_env", "make_vector_env"]

Vectorization = Literal["auto", "pool", "kernel", "sync", "async", "envpool"]


def make_vector_env(
    id: str,
    num_envs: int,
    *,
    device: str = "cpu",
    num_threads: int = 0,
    env_kwargs: dict[str, Any] | None = None,
    vectorization: Vectorization = "auto",
) -> VectorEnv:
    """Make num_envs copies of an environment as one vector environment with SAME_STEP autoreset.

    Args:
        id: a registered id, such as "HalfCheetah-v5", "rlsuite/CartPole-v1" or "module:Id-v0", or one that
            mo-gymnasium registers, where it is installed. Rewards are [B], or [B, K] with K objectives.
        num_envs: number of environments, at least 1.
        device: where a kernel environment lives ("cpu", "cuda", ...); the other engines run on the CPU.
        num_threads: threads of the pool or EnvPool; 0 takes all CPUs.
        env_kwargs: arguments of the environment itself.
        vectorization: the engine; "auto" chooses as above. "sync" and "async" step single environments in
            this process or one process each; "envpool" needs the optional package of that name.

    Returns:
        The vector environment, whose `metadata["autoreset_mode"]` is SAME_STEP.

    Raises:
        ValueError: unknown id (naming the nearest), num_envs < 1, or an engine that does not exist for the
            id.
        ImportError: "envpool" without the package; the module of "module:Id-v0" not found, or failing.
    """
    if not isinstance(num_envs, (int, np.integer)) or isinstance(num_envs, bool) or num_envs < 1:
        raise ValueError(f"num_envs={num_envs!r} must be an integer of at least 1.")
    if vectorization not in get_args(Vectorization):
        raise ValueError(f"vectorization={vectorization!r} must be one of {', '.join(get_args(Vectorization))}.")
    kwargs = dict(env_kwargs or {})
    if vectorization != "envpool":  # its ids are its own
        id = find_spec(id).id if ":" in id else id
    engine = _choose(id, vectorization)
    spec_id = id if engine in ("pool", "envpool") else find_spec(id).id
    if engine == "pool":
        from rlsuite_envs.mujoco import MujocoPool

        return MujocoPool(id, int(num_envs), num_threads=num_threads, **kwargs)
    if engine == "kernel":
        mode = "vector_entry_point"
        return gym.make_vec(spec_id, int(num_envs), vectorization_mode=mode, device=str(device), **kwargs)
    if engine == "envpool":
        from rlsuite_envs.envpool_adapter import EnvPoolVectorEnv

        threads = num_threads or os.cpu_count() or 1
        return EnvPoolVectorEnv(id.removeprefix("rlsuite/"), int(num_envs), num_threads=threads, **kwargs)
    return _of_single_ones(spec_id, int(num_envs), engine, kwargs)


def make_single_env(id: str, **kwargs: Any) -> gym.Env[Any, Any]:
    """One environment of an id that `make_vector_env` takes, as `gym.make` makes it.

    Gymnasium's checker, which warns of every reward that is no number, is off where rewards may be vectors.

    Raises:
        ValueError: unknown id, naming the nearest; ImportError: see `import_module_of`.
    """
    from rlsuite_envs.multi_objective.single_to_vector import mentions_objectives

    spec = find_spec(id)
    env = gym.make(spec.id, **kwargs)
    if spec.disable_env_checker or not mentions_objectives(env):
        return env
    env.close()
    return gym.make(spec.id, **{**kwargs, "disable_env_checker": True})


def _of_single_ones(id: str, num_envs: int, engine: str, kwargs: dict[str, Any]) -> VectorEnv:
    """Gymnasium's vector of single environments; where they may pay vectors, one that takes them."""

    def make_vec(**more: Any) -> Any:
        vector_kwargs = {"autoreset_mode": AutoresetMode.SAME_STEP}
        return gym.make_vec(id, num_envs, vectorization_mode=engine, vector_kwargs=vector_kwargs, **{**kwargs, **more})

    found = make_vec()
    if not all(found.call("has_wrapper_attr", "reward_space")) or None in found.get_attr("reward_space"):
        return found
    from rlsuite_envs.multi_objective.single_to_vector import ManyObjectivesVectorEnv, reward_space_of

    found.close()
    # Gymnasium's checker warns of every reward that is no number; it is off, as mo-gymnasium's own `make` has it.
    unchecked = {"disable_env_checker": True}
    made = [partial(gym.make, id, **{**kwargs, **unchecked})] * num_envs
    if engine == "sync":
        venv = ManyObjectivesVectorEnv(made)
        venv.spec = found.spec
        return venv
    found, one = make_vec(**unchecked), made[0]()
    found.reward_space = reward_space_of(one)
    found.reward_dim = None if found.reward_space is None else found.reward_space.shape[0]
    found.objective_names = getattr(one.unwrapped, "objective_names", None)
    one.close()
    return found


def _choose(id: str, vectorization: str) -> str:
    """The engine for an id: "pool", "kernel", "sync", "async" or "envpool"."""
    if vectorization == "envpool":
        return "envpool"
    pooled = id.removeprefix("rlsuite/") in (*MUJOCO_IDS, *MO_MUJOCO_IDS)
    spec = find_spec(id)
    kernel = id.startswith("rlsuite/") and not pooled and spec.vector_entry_point is not None
    available = {"pool": pooled, "kernel": kernel}
    if vectorization == "auto":
        return next((engine for engine, there in available.items() if there), "sync")
    if not available.get(vectorization, True):
        raise ValueError(f"There is no {vectorization} engine for {id!r}; use vectorization='auto'.")
    return vectorization


def import_module_of(id: str) -> str:
    """Import the module named in "module:Id-v0", as `gym.make` does; returns the id alone.

    Raises:
        ModuleNotFoundError: there is no such module; the message says where it was looked for.
        ImportError: the module itself failed; the message has the error with its file and line.
    """
    module, colon, bare = id.rpartition(":")
    if not colon:
        return id
    try:
        importlib.import_module(module)
    except Exception as error:
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        if absent is not None and f"{module}.".startswith(f"{absent}."):
            raise ModuleNotFoundError(
                f"the module {absent!r} of the environment {id!r} was not found; install it, or put its folder on "
                "PYTHONPATH",
                name=absent,
            ) from error
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise ImportError(
            f"the module {module!r} of the environment {id!r} failed: {type(error).__name__}: {error} "
            f"({last.filename}, line {last.lineno})"
        ) from error
    return bare


def find_spec(id: str) -> gym.envs.registration.EnvSpec:
    """The registered specification of an id; of "module:Id-v0" the module is imported first.

    An unknown id may be one of mo-gymnasium's, which is imported then, if it is installed. Its MuJoCo tasks do without:
    as long as nobody has imported it, they are those registered as `rlsuite/<id>`.

    Raises:
        ValueError: unknown id; the message names the nearest.
        ImportError: see `import_module_of`.
    """
    bare = import_module_of(id)
    if bare not in gym.registry and bare in MO_MUJOCO_IDS:
        return gym.spec(f"rlsuite/{bare}")
    try:
        return gym.spec(bare)
    except gym.error.Error as error:
        if _import_mo_gymnasium() and bare in gym.registry:
            return gym.spec(bare)
        names = list(gym.registry)
        close = difflib.get_close_matches(bare, names, n=3, cutoff=0.6)
        close = close or difflib.get_close_matches(f"rlsuite/{bare}", names, n=3, cutoff=0.8)
        hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else "gymnasium.registry lists all ids."
        if bare in MO_GYMNASIUM_IDS:
            hint = "It is one of mo-gymnasium's, which is not installed (or has no such id): pip install mo-gymnasium."
        if bare != id:
            hint = f"Its module was imported, but registers no {bare!r}. {hint}"
        raise ValueError(f"Unknown environment {id!r}. {hint}") from error


def _import_mo_gymnasium() -> bool:
    """Import mo-gymnasium, which registers its environments; returns whether it is there."""
    try:
        importlib.import_module("mo_gymnasium")
    except ImportError:
        return False
    return True
