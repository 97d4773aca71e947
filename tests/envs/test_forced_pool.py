"""MuJoCo with an adversary: nothing without forces, boxed forces, none left over, and physics that feels them."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest

from rlsuite_envs.mujoco import MujocoPool
from rlsuite_envs.mujoco.two_player import PUSHES, ForcedPool
from rlsuite_envs.two_player.make import as_game


def play(env: Any, steps: int, forces: Any) -> list[tuple[Any, ...]]:
    """Steps with equal random controls; `forces` maps a step number to the second player's action."""
    space = env.single_action_space[0] if isinstance(env, ForcedPool) else env.single_action_space
    rng, seen = np.random.default_rng(0), [env.reset(seed=5)[:1]]
    for t in range(steps):
        control = rng.uniform(space.low, space.high, (env.num_envs, *space.shape))
        seen.append(env.step((control, forces(t)) if isinstance(env, ForcedPool) else control)[:4])
    return seen


def assert_equal(left: list[tuple[Any, ...]], right: list[tuple[Any, ...]]) -> None:
    for a, b in zip(left, right, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("id", PUSHES)
def test_no_force_is_the_plain_task_bit_for_bit(id: str) -> None:
    plain, forced = MujocoPool(id, 3, num_threads=1), ForcedPool(id, 3, num_threads=1)
    size = forced.single_action_space[1].shape[0]
    want = play(plain, 60, None)
    assert_equal(want, play(forced, 60, lambda t: np.zeros((3, size)) if t % 2 else None))
    assert_equal(want, play(ForcedPool(id, 3, num_threads=1, adv_fraction=0.0), 60, lambda t: np.full((3, size), 9.0)))


@pytest.mark.parametrize("id", PUSHES)
def test_the_table_names_bodies_of_the_model(id: str) -> None:
    game, push = ForcedPool(id, 1), PUSHES[id]
    names = [game.pool.model.body(i).name for i in range(game.pool.model.nbody)]
    assert set(push.bodies) <= set(names)
    assert game.single_action_space[1].shape == (len(push.bodies) * len(push.axes),)
    assert (game.single_action_space[1].high == push.max_force).all()


def test_dimensions_are_the_papers() -> None:
    sizes = {id: ForcedPool(id, 1).single_action_space[1].shape[0] for id in PUSHES}
    paper = {"InvertedPendulum-v5": 2, "HalfCheetah-v5": 6, "Swimmer-v5": 3, "Hopper-v5": 2, "Walker2d-v5": 4}
    assert {id: sizes[id] for id in paper} == paper


def test_forces_are_clipped_to_the_box_and_written_to_their_axes() -> None:
    game = ForcedPool("HalfCheetah-v5", 2, adv_fraction=0.5)
    game.reset(seed=0)
    force = np.array([[9.0, 1, -9, 2, 0, 3], np.zeros(6)])
    game.step((np.zeros((2, 6)), force))
    np.testing.assert_array_equal(
        game.applied_force()[0], [[2.5, 0, 1], [-2.5, 0, 2], [0, 0, 2.5]]
    )  # x, no y, z of torso, bfoot, ffoot
    assert not game.applied_force()[1].any()
    applied = game.pool._batch.bind("xfrc_applied")
    assert np.count_nonzero(applied) == 5  # no torque, no other body


def test_one_step_is_mujocos_own() -> None:
    game = ForcedPool("Hopper-v5", 1)
    game.reset(seed=3)
    data = mujoco.MjData(game.pool.model)
    data.qpos[:], data.qvel[:] = game.pool._bound.qpos[0], game.pool._bound.qvel[0]
    control = np.array([[0.3, -0.2, 0.5]])
    data.ctrl[:] = control[0]
    data.xfrc_applied[game.pool.model.body("foot").id, [0, 2]] = 5.0, -3.0
    for _ in range(game.pool.task.frame_skip):
        mujoco.mj_step(game.pool.model, data)
    game.step((control, np.array([[5.0, -3.0]])))
    np.testing.assert_array_equal(game.pool._bound.qvel[0], data.qvel)


def test_no_force_outlives_a_reset_or_an_episode() -> None:
    game, push = ForcedPool("Hopper-v5", 4, max_episode_steps=7), np.full((4, 2), 5.0)
    game.reset(seed=0)
    for _ in range(3):
        game.step((np.zeros((4, 3)), push))
    assert game.applied_force().any()
    game.reset(seed=0)
    assert not game.applied_force().any()
    for _ in range(7):
        *_, truncated, _ = game.step((np.zeros((4, 3)), push))
    assert truncated.all() and not game.applied_force().any()
    assert_equal(
        play(game, 20, lambda t: None),
        play(ForcedPool("Hopper-v5", 4, max_episode_steps=7), 20, lambda t: None),
    )


def test_a_partial_reset_and_an_idle_adversary_leave_no_force() -> None:
    game = ForcedPool("Hopper-v5", 2)
    game.reset(seed=0)
    game.step((np.zeros((2, 3)), np.full((2, 2), 5.0)))
    game.reset(options={"reset_mask": np.array([True, False])})
    assert not game.applied_force().any()
    game.step((np.zeros((2, 3)), np.full((2, 2), 5.0)))
    game.step((np.zeros((2, 3)), None))
    assert not game.applied_force().any()


def test_a_steady_disturbance_of_the_pool_stays_beside_the_adversary() -> None:
    game = ForcedPool("Hopper-v5", 2)
    game.pool.set_external_force("foot", np.full((2, 1, 3), 1.0))
    game.reset(seed=0)
    game.step((np.zeros((2, 3)), np.full((2, 2), 2.0)))
    np.testing.assert_array_equal(game.applied_force()[:, 0], [[3.0, 1.0, 3.0]] * 2)
    game.step((np.zeros((2, 3)), None))
    np.testing.assert_array_equal(game.applied_force()[:, 0], [[1.0, 1.0, 1.0]] * 2)


def test_saved_states_go_on_to_the_same_bits() -> None:
    first, second = ForcedPool("Walker2d-v5", 2), ForcedPool("Walker2d-v5", 2)
    push = np.array([[5.0, -5, 3, 1], [0, 1, 2, 3]])
    first.reset(seed=1)
    for _ in range(5):
        first.step((np.zeros((2, 6)), push))
    second.reset(seed=9)
    second.load_state_dict(first.state_dict())
    for _ in range(60):
        left, right = (game.step((np.zeros((2, 6)), push)) for game in (first, second))
        np.testing.assert_array_equal(left[0], right[0])


def test_own_bodies_and_axes() -> None:
    game = ForcedPool("Pusher-v5", 2, bodies="object", axes="xy", max_force=1.0)
    assert game.single_action_space[1].shape == (2,) and game.single_action_space[1].high[0] == 1.0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("Pusher-v5",), {}, "Pusher-v5 has no adversary.*bodies="),
        (("Hoper-v5",), {}, "Hoper-v5 has no adversary"),
        (("Hoper-v5",), {"bodies": "foot"}, "Hopper-v5"),
        (("Hopper-v5",), {"bodies": ("food",)}, "no body 'food'. Did you mean 'foot'"),
        (("Hopper-v5",), {"bodies": ("foot", "foot")}, "twice"),
        (("Hopper-v5",), {"max_force": -1.0}, "max_force=-1.0"),
        (("Hopper-v5",), {"max_force": float("nan")}, "max_force=nan"),
        (("Hopper-v5",), {"adv_fraction": 1.5}, "adv_fraction=1.5"),
        (("Hopper-v5",), {"axes": "zx"}, "axes='zx'"),
    ],
)
def test_bad_arguments_are_named_before_anything_moves(
    arguments: tuple[str, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ForcedPool(*arguments, **options)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros((2, 3)), "two players"),
        ((np.zeros((2, 3)), np.zeros((2, 3))), "adversary"),
        ((np.zeros((2, 3)), np.full((2, 2), np.nan)), "adversary"),
    ],
)
def test_bad_actions_are_refused(action: Any, message: str) -> None:
    game = ForcedPool("Hopper-v5", 2)
    game.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        game.step(action)


def test_as_game() -> None:
    pool = MujocoPool("Hopper-v5", 2)
    game = as_game(pool, max_force=2.0)
    assert isinstance(game, ForcedPool) and game.pool is pool and game.max_force == 2.0
    assert as_game(game) is game
    with pytest.raises(ValueError, match="are for MuJoCo tasks"):
        as_game(game, max_force=1.0)
