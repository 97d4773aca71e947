"""The shells agree with each other, with Gymnasium's, and with themselves after a resume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite_envs.classic.cartpole import CartPole
from rlsuite_envs.kernel import make_kernel, tree_items, tree_map
from rlsuite_envs.registration import KERNELS
from rlsuite_envs.single import TensorEnv
from rlsuite_envs.vector import TensorVectorEnv

IDS = list({entry.kernel: entry.id for entry in reversed(KERNELS)}.values())[::-1]  # one of every kernel
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(id: str, num_envs: int, **kwargs: Any) -> Any:
    return gym.make_vec(id, num_envs=num_envs, **kwargs)


def sampled(env: Any, seed: int) -> Any:
    env.action_space.seed(seed)
    while True:
        yield env.action_space.sample()


def equal(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return np.array_equal(np.asarray(left), np.asarray(right))


def as_tensors(value: Any) -> Any:
    return (
        {key: torch.as_tensor(part) for key, part in value.items()}
        if isinstance(value, dict)
        else torch.as_tensor(value)
    )


def leading(value: Any, index: int) -> Any:
    return {key: part[index] for key, part in value.items()} if isinstance(value, dict) else value[index]


def kernel_of(id: str, **kwargs: Any) -> Any:
    arguments = {**gym.spec(id).kwargs}
    return make_kernel(arguments.pop("kernel"), **arguments, **kwargs)


def noisy(id: str) -> bool:
    kernel = kernel_of(id)
    rng = torch.Generator().manual_seed(0)
    return kernel.sample_exogenous(kernel.initial_state(1, rng), rng) is not None


def close(left: Any, right: Any) -> None:
    """Equal but for what a batched matrix product may round otherwise."""
    pairs = zip(tree_items(left, "").items(), tree_items(right, "").items(), strict=True)
    for (name, a), (other, b) in pairs:
        assert name == other
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("id", [id for id in IDS if not noisy(id)])
def test_vector_equals_single_environments_row_by_row(id: str) -> None:
    num, steps = 5, 100
    env = make(id, num, max_episode_steps=40)
    singles: list[Any] = [gym.make(id, max_episode_steps=40) for _ in range(num)]
    obs, _ = env.reset(seed=3)
    actions = sampled(env, 0)

    def put(row: int) -> None:
        singles[row].reset()
        singles[row].unwrapped.set_state(tree_map(lambda x: x[row : row + 1].clone(), env.state))

    for row in range(num):
        put(row)
    ends = 0
    for _ in range(steps):
        action = next(actions)
        obs, reward, terminated, truncated, info = env.step(action)
        for row, single in enumerate(singles):
            expected = single.step(action[row])
            ended = bool(terminated[row] or truncated[row])
            last = info["final_obs"] if ended else obs
            close(as_tensors(expected[0]), as_tensors(leading(last, row)))
            assert expected[1] == pytest.approx(reward[row], abs=1e-5, rel=1e-5)
            assert expected[2:4] == (terminated[row], truncated[row])
            if ended:
                ends += 1
                put(row)
    assert ends >= 7


@pytest.mark.parametrize("id", IDS)
def test_one_copy_and_the_single_environment_draw_the_same_episodes(id: str) -> None:
    env, single = make(id, 1, max_episode_steps=30), gym.make(id, max_episode_steps=30)
    obs, _ = env.reset(seed=5)
    first, _ = single.reset(seed=5)
    assert equal(leading(obs, 0), first)
    actions = sampled(env, 1)
    for _ in range(200):
        action = next(actions)
        obs, reward, terminated, truncated, _ = env.step(action)
        expected, single_reward, *flags, _ = single.step(action[0])
        assert (single_reward, flags) == (pytest.approx(reward[0], abs=0), [terminated[0], truncated[0]])
        if any(flags):
            expected, _ = single.reset()
        assert equal(leading(obs, 0), expected)


def test_autoreset_equals_gymnasiums_same_step_mode() -> None:
    # Without randomness at the start, one random stream (ours) and one per environment (theirs) agree.
    fixed = {"init_low": 0.02, "init_high": 0.02, "max_episode_steps": 25}
    ours = make("rlsuite/CartPole-v1", 6, **fixed)
    theirs = make(
        "rlsuite/CartPole-v1",
        6,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        **fixed,
    )
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    np.testing.assert_array_equal(ours.reset(seed=0)[0], theirs.reset(seed=0)[0])
    actions = sampled(ours, 2)
    terminations = truncations = quiet = 0
    for _ in range(150):
        action = next(actions)
        obs, reward, terminated, truncated, info = ours.step(action)
        their_obs, their_reward, their_terminated, their_truncated, their_info = theirs.step(action)
        np.testing.assert_array_equal(obs, their_obs)
        np.testing.assert_array_equal(reward, their_reward)
        np.testing.assert_array_equal(terminated, their_terminated)
        np.testing.assert_array_equal(truncated, their_truncated)
        assert info.keys() == their_info.keys()
        if "final_obs" in info:
            mask = info["_final_obs"]
            np.testing.assert_array_equal(mask, their_info["_final_obs"])
            np.testing.assert_array_equal(info["_final_info"], their_info["_final_info"])
            np.testing.assert_array_equal(info["final_obs"][mask], np.stack(list(their_info["final_obs"][mask])))
        terminations, truncations = terminations + terminated.sum(), truncations + truncated.sum()
        quiet += "final_obs" not in info
    assert terminations > 5
    assert truncations > 5
    assert quiet > 5


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("id", IDS)
def test_masked_restarts_put_fresh_episodes_where_one_ended_and_nowhere_else(id: str, device: str) -> None:
    env = make(id, 64, device=device, max_episode_steps=9)
    env.unwrapped._stepper.masked = True  # the way of a GPU, here on a CPU
    env.reset(seed=0)
    actions = sampled(env, 0)
    ends = 0
    for _ in range(27):
        before = env.carry
        action = env._read(next(actions))
        replay = torch.Generator(device=device)
        replay.set_state(env._rng.get_state())
        noise = env.kernel.sample_exogenous(before.state, replay)
        state, _, terminated = env.kernel.advance(before.state, action, noise)
        obs, _, ended, truncated, info = env.step(action)
        done = ended | truncated
        assert torch.equal(ended, terminated)
        assert torch.equal(env.carry.elapsed, torch.where(done, 0, before.elapsed + 1))
        assert torch.equal(truncated, before.elapsed + 1 == 9)
        rows = {**tree_items(env.state, "state"), **tree_items(obs, "obs")}
        expected = {**tree_items(state, "state"), **tree_items(env.kernel.observe(state), "obs")}
        for name, column in rows.items():
            assert torch.equal(column[~done], expected[name][~done])
        assert torch.equal(info["_final_obs"], done)
        for name, column in tree_items(info["final_obs"], "obs").items():
            assert torch.equal(column, expected[name])
        ends += int(done.sum())
    assert ends >= 3 * 64


@pytest.mark.parametrize("masked", [False, True])
def test_fresh_episodes_are_new_draws_from_the_start_distribution(masked: bool) -> None:
    env = make("rlsuite/CartPole-v1", 500, device="cpu", max_episode_steps=1)
    env._stepper.masked = masked
    first, _ = env.reset(seed=0)
    second, *_ = env.step(torch.zeros(500, dtype=torch.int64))
    assert not (first == second).any()
    assert second.abs().max() <= 0.05
    assert second.std(0) == pytest.approx(torch.full((4,), 0.1 / 12**0.5), rel=0.1)


@pytest.mark.parametrize("device", DEVICES)
def test_seeds_reproduce_and_differ(device: str) -> None:
    def rollout(seed: int | None, env: Any) -> torch.Tensor:
        parts = [env.reset(seed=seed)[0]]
        actions = torch.randint(0, 2, (60, 32), generator=torch.Generator().manual_seed(0)).to(device)
        parts += [env.step(action)[0] for action in actions]
        return torch.stack(parts)

    env = make("rlsuite/CartPole-v1", 32, device=device)
    first = rollout(7, env)
    assert torch.equal(first, rollout(7, env))
    assert torch.equal(first, rollout(7, make("rlsuite/CartPole-v1", 32, device=device)))
    assert not torch.equal(first, rollout(8, env))
    assert not torch.equal(rollout(None, env)[0], rollout(None, env)[0])  # goes on with its stream
    fresh = [make("rlsuite/CartPole-v1", 32, device=device).reset()[0] for _ in range(2)]
    assert not torch.equal(*fresh)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("id", IDS)
def test_resume_is_exact(id: str, device: str) -> None:
    env = make(id, 16, device=device, output="numpy", max_episode_steps=23)
    env.reset(seed=1)
    actions = [env.action_space.sample() for _ in range(80)]
    for action in actions[:30]:
        env.step(action)
    saved = env.state_dict()
    assert all(isinstance(value, np.ndarray) and value.dtype != object for value in saved.values())
    kept = {name: value.copy() for name, value in saved.items()}
    expected = [env.step(action) for action in actions[30:]]
    assert equal(saved, kept)  # a snapshot, not a view
    other = make(id, 16, device=device, output="numpy", max_episode_steps=23)
    for resumed in (env, other):
        resumed.load_state_dict(saved)
        for action, (obs, reward, terminated, truncated, info) in zip(actions[30:], expected, strict=True):
            again = resumed.step(action)
            assert equal(again[0], obs)
            assert equal(again[1], reward)
            assert equal(again[2], terminated)
            assert equal(again[3], truncated)
            assert equal(again[4], info)


def test_reset_mask_restarts_only_these() -> None:
    env = make("rlsuite/CartPole-v1", 5, device="cpu")
    env.reset(seed=0)
    for _ in range(4):
        obs, *_ = env.step(torch.tensor([0, 1, 0, 1, 0]))
    mask = np.array([True, False, False, True, False])
    again, _ = env.reset(options={"reset_mask": mask})
    assert torch.equal((again == obs).all(1), torch.tensor(~mask))
    assert env.carry.elapsed.tolist() == [0, 4, 4, 0, 4]


def test_output_is_numpy_for_gymnasiums_users_and_torch_where_a_device_is_named() -> None:
    assert isinstance(make("rlsuite/CartPole-v1", 2).reset()[0], np.ndarray)
    assert isinstance(make("rlsuite/CartPole-v1", 2, device="cpu").reset()[0], torch.Tensor)
    assert isinstance(make("rlsuite/CartPole-v1", 2, device="cpu", output="numpy").reset()[0], np.ndarray)
    env = make("rlsuite/CartPole-v1", 4096, device="cpu")
    obs, _ = env.reset(seed=0)
    assert obs.shape == (4096, 4)
    obs, reward, terminated, truncated, _ = env.step(torch.ones(4096, dtype=torch.int64))
    assert (reward.shape, terminated.dtype, truncated.dtype) == ((4096,), torch.bool, torch.bool)
    assert env.observation_space.contains(obs.numpy())


def test_torch_and_numpy_output_agree() -> None:
    tensors, arrays = make("rlsuite/ProbeMask-v0", 8, device="cpu"), make("rlsuite/ProbeMask-v0", 8)
    for left, right in zip(tensors.reset(seed=0), arrays.reset(seed=0), strict=True):
        assert equal(left, right)
    for _ in range(5):
        action = arrays.action_space.sample()
        for left, right in zip(tensors.step(torch.as_tensor(action)), arrays.step(action), strict=True):
            assert equal(left, right)


def test_changing_what_step_returned_does_not_change_the_environment() -> None:
    for id in IDS:
        env, control = make(id, 4, device="cpu"), make(id, 4, device="cpu")
        actions = sampled(env, 0)
        outputs = env.reset(seed=0)[0]
        control.reset(seed=0)
        for _ in range(6):
            for tensor in tree_items(outputs, "").values():
                tensor.fill_(7)
            action = next(actions)
            outputs, reward, *flags, _ = env.step(action)
            expected, *_ = control.step(action)
            assert equal(outputs, expected)
            outputs = {"obs": outputs, "reward": reward, "flags": tuple(flags)}


@pytest.mark.parametrize("id", IDS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), num=st.integers(2, 70))
def test_rows_are_independent_and_arguments_are_left_alone(id: str, seed: int, num: int) -> None:
    kernel = kernel_of(id)
    rng = torch.Generator().manual_seed(seed)
    env = TensorVectorEnv(num, kernel=kernel)
    env.action_space.seed(seed)
    state, _, _ = kernel.advance(*_situation(kernel, env, kernel.initial_state(num, rng), rng))
    situation = _situation(kernel, env, state, rng)  # not the first step: start states may all be alike
    kept = tree_map(torch.clone, situation)
    outcome = _consequences(kernel, *situation)
    for name, column in tree_items(situation, "").items():
        assert torch.equal(column, tree_items(kept, "")[name]), name
    order = torch.randperm(num, generator=torch.Generator().manual_seed(seed))
    again = _consequences(kernel, *tree_map(lambda x: x[order], situation))
    close(tree_map(lambda x: x[order], outcome), again)


def _situation(kernel: Any, env: Any, state: Any, rng: torch.Generator) -> tuple[Any, Any, Any]:
    """A state, an action and a noise for it."""
    return state, env._read(env.action_space.sample()), kernel.sample_exogenous(state, rng)


def _consequences(kernel: Any, state: Any, action: Any, noise: Any) -> tuple[Any, ...]:
    """All that a kernel says of them."""
    seen = (kernel.observe(state), kernel.action_mask(state), kernel.info(state))
    return (*kernel.advance(state, action, noise), *seen)


@settings(max_examples=20, deadline=None)
@given(num=st.integers(1, 9), limit=st.integers(1, 6), seed=st.integers(0, 1000))
def test_the_time_limit_truncates_after_exactly_its_steps(num: int, limit: int, seed: int) -> None:
    env = TensorVectorEnv(num, kernel="rlsuite_envs.classic.pendulum:Pendulum", max_episode_steps=limit)
    env.reset(seed=seed)
    env.action_space.seed(seed)
    for step in range(1, 14):
        *_, terminated, truncated, info = env.step(env.action_space.sample())
        assert not terminated.any()
        assert truncated.tolist() == [step % limit == 0] * num
        assert ("final_obs" in info) == (step % limit == 0)


def test_no_time_limit() -> None:
    env = make("rlsuite/Pendulum-v1", 2, max_episode_steps=-1)
    env.reset(seed=0)
    assert not any(env.step(np.zeros((2, 1), np.float32))[3].any() for _ in range(250))


def test_functional_steps_leave_the_environment_alone() -> None:
    env = make("rlsuite/CartPole-v1", 8, device="cpu")
    env.reset(seed=0)
    carry, action = env.carry, torch.ones(8, dtype=torch.int64)
    after, outcome = env.functional_step(carry, action)
    assert env.carry is carry
    obs, reward, *_ = env.step(action)
    assert torch.equal(outcome.obs, obs)
    assert torch.equal(outcome.reward, reward)
    assert torch.equal(after.elapsed, env.carry.elapsed)


@pytest.mark.slow
def test_a_compiled_step_equals_the_plain_one() -> None:
    plain, compiled = (make("rlsuite/CartPole-v1", 32, device="cpu", compile=flag) for flag in (False, True))
    assert torch.equal(plain.reset(seed=0)[0], compiled.reset(seed=0)[0])
    for action in torch.randint(0, 2, (30, 32)):
        left, right = plain.step(action), compiled.step(action)
        torch.testing.assert_close(left[0], right[0], atol=1e-5, rtol=1e-5)
        assert torch.equal(left[2], right[2])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("id", IDS)
def test_a_gpu_is_never_waited_for(id: str) -> None:
    env = make(id, 128, device="cuda", max_episode_steps=5)
    env.reset(seed=0)
    actions = [torch.as_tensor(env.action_space.sample(), device="cuda") for _ in range(12)]
    actions = [env._read(action) for action in actions]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for action in actions:
            *_, info = env.step(action)
            assert info["final_obs"] is not None
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("id", IDS)
def test_a_gpu_computes_what_a_cpu_computes(id: str) -> None:
    here, there = (kernel_of(id, device=d, dtype="float64") for d in ("cpu", "cuda"))
    rng = torch.Generator().manual_seed(0)
    state = here.initial_state(100, rng)
    noise = here.sample_exogenous(state, rng)
    env = TensorVectorEnv(100, kernel=here)
    action = env._read(env.action_space.sample())
    expected = here.advance(state, action, noise)
    moved = (tree_map(lambda x: x.cuda(), part) for part in (state, action, noise))
    got = there.advance(*moved)
    for name, column in tree_items(expected, "").items():
        torch.testing.assert_close(tree_items(got, "")[name].cpu(), column, atol=1e-10, rtol=1e-10)


def test_single_environment_with_finished_kernel_takes_its_params() -> None:
    env = TensorEnv(kernel=CartPole(CartPole.params_class(init_low=0.01, init_high=0.01)))
    np.testing.assert_allclose(env.reset(seed=0)[0], np.full(4, 0.01, np.float32))
