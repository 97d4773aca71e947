"""Evaluations of attacked policies repeat and are paired with the clean ones; episode budgets are spent once."""

from __future__ import annotations

import copy

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3 as sb3
import torch

from rlsuite import PPO
from rlsuite.adversarial.attacks.actions import ActionAttack, MixedAction
from rlsuite.adversarial.attacks.attacked import AttackedEnv, AttackedPolicy, AttackedVectorEnv, Perturber
from rlsuite.adversarial.attacks.budget import Budget
from rlsuite.adversarial.attacks.gradient import GradientAttack
from rlsuite.adversarial.attacks.uniform import RandomAttack
from rlsuite.adversarial.attacks.victim import as_victim
from rlsuite.core.evaluate import evaluate
from rlsuite_envs.make import make_vector_env

SMALL = {"n_steps": 16, "batch_size": 16, "seed": 0, "device": "cpu"}


def sampled(policy, env: str, seed: int = 3) -> np.ndarray:
    return evaluate(policy, env, episodes=6, seed=seed, deterministic=False).returns


@pytest.mark.parametrize("kind", ["ours", "sb3"])
def test_sampled_evaluations_are_the_clean_ones_where_nothing_may_be_spent(kind: str) -> None:
    """Twice the same, and neither the victim's generator nor torch's has moved."""
    env = "rlsuite/CartPole-v1"
    model = PPO(env, num_envs=2, **SMALL) if kind == "ours" else sb3.PPO("MlpPolicy", "CartPole-v1", **SMALL)
    victim = as_victim(model)
    clean, shared = sampled(victim.model, env), torch.get_rng_state()
    before = model.generator.get_state() if kind == "ours" else None
    for attack in (None, RandomAttack(), GradientAttack("pgd")):
        policy = AttackedPolicy(victim, attack, Budget(0.0), action_attack=MixedAction(0.0, kind="swap"))
        for _ in range(2):
            assert np.array_equal(sampled(policy, env), clean)
    assert torch.equal(torch.get_rng_state(), shared)
    assert before is None or torch.equal(model.generator.get_state(), before)


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("on", ["observations", "actions"])
def test_an_attacks_draws_repeat_with_its_seed_and_the_evaluations(on: str, deterministic: bool) -> None:
    victim = as_victim(PPO("Pendulum-v1", num_envs=2, **SMALL))

    def policy(seed: int) -> AttackedPolicy:
        if on == "actions":
            return AttackedPolicy(victim, action_attack=ActionAttack("action-noise", 0.5), seed=seed)
        return AttackedPolicy(victim, RandomAttack(), Budget(1.0), seed=seed)

    def returns(found: AttackedPolicy, seed: int = 3) -> np.ndarray:
        played = evaluate(found, "Pendulum-v1", episodes=3, seed=seed, deterministic=deterministic)
        return played.returns

    first = policy(1)
    once = returns(first)
    assert np.array_equal(returns(first), once) and np.array_equal(returns(policy(1)), once)
    assert not np.array_equal(returns(policy(2)), once)
    twins = [(rng, copy.deepcopy(rng)) for rng in first.generators[1:]]
    for rng, twin in twins:
        assert torch.equal(twin.get_state(), rng.get_state())
        assert torch.equal(twin.manual_seed(7).get_state(), copy.copy(rng).manual_seed(7).get_state())
    states = [rng.get_state() for rng in first.generators]
    returns(first, seed=4)
    assert all(torch.equal(rng.get_state(), s) for rng, s in zip(first.generators, states, strict=True))


def test_an_attack_draws_other_numbers_than_the_environment_of_its_seed() -> None:
    """Kernels draw from torch's generators, too."""
    raw = torch.Generator().manual_seed(3).get_state()
    victim = as_victim(PPO("CartPole-v1", **SMALL))
    policy = AttackedPolicy(victim, RandomAttack(), Budget(0.1), seed=3)
    env = AttackedEnv(gym.make("CartPole-v1"), victim, RandomAttack(), Budget(0.1))
    first, _ = env.reset(seed=3)
    for rng in (
        Perturber(RandomAttack(), victim, Budget(0.1), seed=3).generator,
        policy.perturber.generator,
        policy.action_generator,
    ):
        assert not torch.equal(rng.get_state(), raw)
    delta = (first - env.unwrapped.state) / 0.1
    same = torch.rand((1, 4), generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 2 - 1
    assert not np.allclose(delta, same.numpy(), atol=1e-3)


def test_masks_reach_the_victim() -> None:
    """Where nothing may be spent, no forbidden action is played, and the episodes are the clean ones."""
    env = "rlsuite/ProbeMask-v0"
    model = PPO(env, num_envs=2, **SMALL)
    victim = as_victim(model)
    for deterministic in (True, False):
        clean = evaluate(model, env, episodes=30, seed=1, deterministic=deterministic).returns
        found = evaluate(
            AttackedPolicy(victim, GradientAttack("pgd"), Budget(0.0)),
            env,
            episodes=30,
            seed=1,
            deterministic=deterministic,
        ).returns
        assert clean.min() >= 0 and np.array_equal(found, clean)
    struck = evaluate(AttackedPolicy(victim, RandomAttack(), Budget(1.0)), env, episodes=30).returns
    assert struck.min() >= 0


def test_victims_without_masks_are_given_none() -> None:
    victim = as_victim(sb3.PPO("MlpPolicy", gym.make("CartPole-v1"), **SMALL))
    policy = AttackedPolicy(victim, RandomAttack(), Budget(0.1))
    action, _ = policy.predict(np.zeros((2, 4), np.float32), action_masks=np.ones((2, 2), bool))
    assert action.shape == (2,)


def test_an_episode_budget_is_spent_once_per_observation_shown() -> None:
    """Four CartPoles that end at different steps: what another one's end shows is not paid for."""
    victim = as_victim(PPO("CartPole-v1", **SMALL))
    budget = Budget(1.0, scope="episode", step_eps=0.01)
    perturber = Perturber(RandomAttack(surface=True), victim, budget)
    world = AttackedVectorEnv(make_vector_env("CartPole-v1", 4), perturber)
    world.reset(seed=0)
    shown, endings = np.ones(4), 0
    rng = np.random.default_rng(0)
    for _ in range(60):
        _, _, terminated, truncated, _ = world.step(rng.integers(2, size=4))
        ended = terminated | truncated
        shown = np.where(ended, 1, shown + 1)
        endings += ended.any()
        assert np.allclose(perturber.remaining.numpy(), 1.0 - 0.01 * shown, atol=1e-5)
    world.close()
    assert endings > 3


def test_last_observations_are_attacked_with_what_is_left_of_their_own_episode() -> None:
    """A budget spent whole by the first observation leaves the last one as it was."""
    for eps, scope in ((0.5, "episode"), (0.5, "step")):
        victim = as_victim(PPO("CartPole-v1", **SMALL))
        perturber = Perturber(RandomAttack(surface=True), victim, Budget(eps, scope=scope))
        world = AttackedVectorEnv(make_vector_env("CartPole-v1", 3), perturber)
        plain = make_vector_env("CartPole-v1", 3)
        world.reset(seed=0), plain.reset(seed=0)
        for _ in range(40):
            action = np.ones(3, int)
            _, _, terminated, _, info = world.step(action)
            _, _, _, _, true = plain.step(action)
            for i in np.flatnonzero(terminated):
                gap = np.abs(info["final_obs"][i] - true["final_obs"][i]).max()
                assert gap == pytest.approx(0.5 if scope == "step" else 0.0, abs=1e-5)
        world.close(), plain.close()
