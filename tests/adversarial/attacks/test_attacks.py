"""Attacks: optima of linear policies and quadratic critics, budgets never exceeded, nothing but the view changed."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rlsuite import PPO, SAC
from rlsuite.adversarial.attacks.attacked import AttackedEnv, AttackedPolicy, Perturber
from rlsuite.adversarial.attacks.blackbox import (
    FiniteDifferenceAttack,
    SearchAttack,
    TransferAttack,
)
from rlsuite.adversarial.attacks.budget import Budget, project, size, spend
from rlsuite.adversarial.attacks.gradient import GradientAttack, ascend, policy_divergence
from rlsuite.adversarial.attacks.uniform import RandomAttack
from rlsuite.adversarial.attacks.victim import Victim, as_victim, measured_unit
from rlsuite.core.brain import PolicyOutput
from rlsuite.core.evaluate import evaluate

OBS, A = 5, 2
NORMS = ("linf", "l2")
generator = torch.Generator().manual_seed(0)
WEIGHT = torch.randn((A, OBS), generator=generator, dtype=torch.float64)
SLOPE = torch.randn(OBS, generator=generator, dtype=torch.float64)
UNIT = torch.tensor([1.0, 0.5, 2.0, 0.1, 3.0], dtype=torch.float64)


class Linear:
    """a = W s."""

    observation_space = spaces.Box(-np.inf, np.inf, (OBS,), np.float64)
    action_space = spaces.Box(-1, 1, (A,), np.float32)

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.asarray(observation) @ WEIGHT.numpy().T, state


def linear_victim(**parts) -> Victim:
    victim = as_victim(Linear(), unit=UNIT)
    victim.heads = lambda s: PolicyOutput(s @ WEIGHT.T, torch.ones(len(s), A, dtype=s.dtype), s @ WEIGHT.T)
    for name, function in parts.items():
        setattr(victim, name, function)
    return victim


def dual(gradient: Tensor, norm: str) -> Tensor:
    """The largest scalar product with a perturbation of size 1."""
    return gradient.abs().sum(-1) if norm == "linf" else gradient.norm(dim=-1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", ["critic", "q"])
def test_linear_critics_fall_by_exactly_the_dual_norm(kind: str, norm: str) -> None:
    """V or Q linear in the view: the optimum over the ball is -eps times the dual norm of the scaled slope."""
    q_slope = torch.tensor([0.7, -1.3], dtype=torch.float64)
    victim = linear_victim(value=lambda s: s @ SLOPE, q_value=lambda s, a: a @ q_slope)
    obs = torch.randn((7, OBS), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    radius = torch.linspace(0, 1.5, 7, dtype=torch.float64)
    slope = SLOPE if kind == "critic" else WEIGHT.T @ q_slope
    delta = GradientAttack(kind)(obs, victim, radius, norm, torch.Generator().manual_seed(0))
    reached = (UNIT * delta) @ slope
    assert torch.allclose(reached, -radius * dual(UNIT * slope, norm), rtol=1e-6, atol=1e-9)
    assert bool((size(delta, norm) <= radius + 1e-9).all())


@pytest.mark.parametrize("norm", NORMS)
def test_fgsm_on_choices_is_optimal_for_two_linear_logits(norm: str) -> None:
    """Two linear logits: one signed step minimises the chosen one's probability."""
    victim = linear_victim()
    victim.action_space = spaces.Discrete(2)
    obs = torch.randn((6, OBS), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    radius = torch.full((6,), 0.4, dtype=torch.float64)
    chosen = (obs @ WEIGHT.T).argmax(1)
    margin = WEIGHT[chosen] - WEIGHT[1 - chosen]
    for kind in ("fgsm", "pgd", "min-q"):  # with two choices, the worst one is the other one
        delta = GradientAttack(kind)(obs, victim, radius, norm, torch.Generator().manual_seed(0))
        reached = ((UNIT * delta) * margin).sum(1)
        assert torch.allclose(reached, -radius * dual(UNIT * margin, norm), rtol=1e-5), kind


@pytest.mark.parametrize("norm", NORMS)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_ascent_solves_quadratic_critics(norm: str, seed: int) -> None:
    """Concave -V = -|x - c|^2: the optimum is c's projection onto the ball, wherever c lies."""
    g = torch.Generator().manual_seed(seed)
    centre = torch.randn((4, OBS), generator=g, dtype=torch.float64)
    radius = torch.rand(4, generator=g, dtype=torch.float64) * 2
    obs = torch.zeros((4, OBS), dtype=torch.float64)
    unit = torch.ones(OBS, dtype=torch.float64)
    delta = ascend(lambda s: -(s - centre).square().sum(1), obs, unit, radius, norm, steps=400, step_size=0.01)
    nearest = project(centre, radius, norm)
    best = (nearest - centre).square().sum(1)
    assert torch.all((delta - centre).square().sum(1) <= best + 5e-3 * (1 + best))


def test_maximal_action_difference_of_a_linear_policy() -> None:
    """One action, linear mean: KL = (w . unit delta)^2 / 2, largest at eps times the dual norm."""
    victim = linear_victim()
    victim.heads = lambda s: PolicyOutput(s @ WEIGHT[:1].T, torch.ones(len(s), 1, dtype=s.dtype), s @ WEIGHT[:1].T)
    obs = torch.zeros((4, OBS), dtype=torch.float64)
    radius = torch.full((4,), 0.3, dtype=torch.float64)
    for norm in NORMS:
        delta = GradientAttack("mad")(obs, victim, radius, norm, torch.Generator().manual_seed(0))
        change = ((UNIT * delta) @ WEIGHT[0]).abs()
        # from random signs, ten l2 steps turn to the optimum without quite arriving
        assert torch.allclose(change, radius * dual(UNIT * WEIGHT[0], norm), rtol=1e-5 if norm == "linf" else 2e-3)


def test_divergence_is_torch_distributions() -> None:
    g = torch.Generator().manual_seed(3)
    mean, other = (torch.randn((5, A), generator=g) for _ in range(2))
    std, other_std = (torch.rand((5, A), generator=g) + 0.1 for _ in range(2))
    normal = torch.distributions.Normal
    exact = torch.distributions.kl_divergence(normal(mean, std), normal(other, other_std)).sum(1)
    found = policy_divergence(PolicyOutput(mean, std, mean), PolicyOutput(other, other_std, other))
    assert torch.allclose(found, exact, rtol=1e-5)


ATTACKS = [
    RandomAttack(),
    RandomAttack(surface=True),
    SearchAttack(4),
    FiniteDifferenceAttack(2, 3),
    *(GradientAttack(kind) for kind in ("fgsm", "pgd", "critic", "q", "mad")),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
@given(
    eps=st.floats(0, 5),
    norm=st.sampled_from(NORMS),
    scope=st.sampled_from(["step", "episode"]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=12, deadline=None)
def test_no_budget_is_ever_exceeded(attack, eps, norm, scope, dtype, seed) -> None:
    """By step or by episode, in the observation's own precision, at magnitudes where float32 rounds coarsely."""
    victim = linear_victim(value=lambda s: (s @ SLOPE).sin(), q_value=lambda s, a: a.square().sum(1))
    perturb = Perturber(attack, victim, Budget(eps, norm, scope), seed=seed)
    rng = np.random.default_rng(seed)
    used = np.zeros(3)
    for step in range(4):
        obs = (rng.normal(size=(3, OBS)) * 10.0 ** rng.integers(-2, 4)).astype(dtype)
        seen = perturb(obs, np.full(3, step == 0))
        assert seen.dtype == dtype
        delta = (seen.astype(np.float64) - obs.astype(np.float64)) / UNIT.numpy()
        length = np.abs(delta).max(1) if norm == "linf" else np.sqrt((delta**2).sum(1))
        used = used + length if norm == "linf" else np.sqrt(used**2 + length**2)
        limit = length if scope == "step" else used
        assert np.all(limit <= eps + 1e-6)


def test_bookkeeping_of_episode_budgets() -> None:
    left = torch.tensor([1.0, 1.0], dtype=torch.float64)
    delta = torch.tensor([[0.6, 0.0], [0.0, 2.0]], dtype=torch.float64)
    assert torch.allclose(spend(left, delta, "l2"), torch.tensor([0.8, 0.0], dtype=torch.float64))
    assert torch.allclose(spend(left, delta, "linf"), torch.tensor([0.4, 0.0], dtype=torch.float64))
    assert Budget(1.0, scope="episode", step_eps=0.25).radius(left).tolist() == [0.25, 0.25]


@pytest.fixture(scope="module")
def cartpole() -> PPO:
    return PPO(
        "rlsuite/CartPole-v1",
        num_envs=8,
        n_steps=32,
        batch_size=256,
        n_epochs=20,
        gae_lambda=0.8,
        gamma=0.98,
        learning_rate="linear:1e-3",
        normalize_obs=True,
        seed=0,
        device="cpu",
    ).learn(80_000, log_interval=None)


def returns(policy, seed: int = 3) -> np.ndarray:
    return evaluate(policy, "rlsuite/CartPole-v1", episodes=10, seed=seed).returns


def test_zero_budget_is_the_clean_episode_bit_for_bit_and_nothing_is_written(cartpole: PPO) -> None:
    before, gradient = cartpole.get_parameters(), cartpole.parts.flat.grad.clone()
    victim = as_victim(cartpole)
    assert victim.unit_name == "normalised" and victim.discrete
    clean = returns(cartpole)
    for kind in ("pgd", "critic", "mad", "min-q"):
        assert np.array_equal(returns(AttackedPolicy(victim, GradientAttack(kind), Budget(0.0))), clean)
        evaluate(AttackedPolicy(victim, GradientAttack(kind), Budget(0.3)), "rlsuite/CartPole-v1", episodes=2)
    after = cartpole.get_parameters()
    for part, state in before.items():
        for name, value in state.items():
            assert torch.equal(value, after[part][name]), (part, name)
    assert torch.equal(cartpole.parts.flat.grad, gradient)


def test_strength_orders_as_it_must(cartpole: PPO) -> None:
    """Random <= PGD in harm, and more budget harms more, on the same episodes."""
    victim = as_victim(cartpole)
    clean = returns(cartpole).mean()
    random = returns(AttackedPolicy(victim, RandomAttack(), Budget(1.5))).mean()
    weak = returns(AttackedPolicy(victim, GradientAttack("pgd"), Budget(1.25))).mean()
    strong = returns(AttackedPolicy(victim, GradientAttack("pgd"), Budget(1.5))).mean()
    assert clean > 450 and strong < 0.2 * random and strong <= weak < 0.6 * clean


def test_black_boxes_and_transfer_harm_without_gradients(cartpole: PPO) -> None:
    victim = as_victim(cartpole)
    transfer = TransferAttack.fit(victim, "rlsuite/CartPole-v1", steps=100, epochs=10)
    victim.heads = victim.value = None  # they must not be needed
    clean = returns(cartpole).mean()
    for attack in (SearchAttack(16), transfer):
        assert returns(AttackedPolicy(victim, attack, Budget(1.5))).mean() < 0.3 * clean, attack.name


def test_wrapper_changes_the_view_alone(cartpole: PPO) -> None:
    victim = as_victim(cartpole)
    plain = gym.make("CartPole-v1")
    env = AttackedEnv(gym.make("CartPole-v1"), victim, GradientAttack("pgd"), Budget(0.2))
    rng = np.random.default_rng(0)
    for seed in (0, 1):
        true, _ = plain.reset(seed=seed)
        seen, info = env.reset(seed=seed)
        assert np.array_equal(info["true_obs"], true) and not np.array_equal(seen, true)
        first = seen
        for _ in range(15):
            action = int(rng.integers(2))
            true, reward, terminated, truncated, _ = plain.step(action)
            seen, got, ended, cut, info = env.step(action)
            assert np.array_equal(info["true_obs"], true)
            assert (reward, terminated, truncated) == (got, ended, cut) and seen.dtype == true.dtype
            gap = np.abs((seen.astype(float) - true) / victim.unit.numpy())
            assert gap.max() <= 0.2 + 1e-6
            if terminated or truncated:
                break
        again, _ = env.reset(seed=seed)
        assert np.array_equal(again, first)  # the attack is seeded with the environment


def test_measured_units_are_standard_deviations() -> None:
    class Alternate(Linear):
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.arange(len(observation)) % 2, state

    unit = measured_unit(Alternate(), "CartPole-v1", steps=60, num_envs=4)
    venv = gym.make_vec("CartPole-v1", num_envs=4, vectorization_mode="sync")
    assert unit.shape == (4,) and bool((unit > 0).all())
    venv.close()


def test_off_policy_victims(tmp_path) -> None:
    model = SAC("Pendulum-v1", learning_starts=10, batch_size=16, net_arch=(16,), seed=0, device="cpu")
    victim = as_victim(model, unit=np.array([0.7, 0.7, 3.0]))
    obs = torch.randn((6, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    action = victim.heads(obs).action.detach()
    predicted = model.predict(obs.numpy().astype(np.float32), deterministic=True)[0]
    assert np.allclose(action.numpy(), predicted, atol=1e-5)
    before = victim.q_value(obs, action)
    radius = torch.full((6,), 0.5, dtype=torch.float64)
    delta = GradientAttack("q")(obs, victim, radius, "linf", torch.Generator().manual_seed(0))
    after = victim.q_value(obs, victim.heads(obs + victim.unit * delta).action)
    assert bool((after <= before + 1e-9).all()) and bool((after < before).any())


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"eps": -0.1}, "eps"),
        ({"eps": float("nan")}, "eps"),
        ({"eps": float("inf")}, "eps"),
        ({"eps": 1, "norm": "l1"}, "norm"),
        ({"eps": 1, "ratio": 1.5}, "ratio"),
        ({"eps": 1, "step_eps": 0.1}, "step_eps"),
        ({"eps": 1, "scope": "run"}, "scope"),
    ],
)
def test_bad_budgets(values, match) -> None:
    with pytest.raises(ValueError, match=match):
        Budget(**values)


def test_bad_victims_and_attacks() -> None:
    class Odd(Linear):
        observation_space = spaces.Discrete(3)

    with pytest.raises(ValueError, match="cannot be attacked"):
        as_victim(Odd())
    with pytest.raises(TypeError, match="predict"):
        as_victim(object())
    with pytest.raises(ValueError, match="unit"):
        as_victim(Linear(), unit=np.ones(3))
    black = as_victim(Linear())
    for kind, match in (("pgd", "heads"), ("critic", "value"), ("q", "q_value"), ("min-q", "heads")):
        with pytest.raises(ValueError, match=match):
            Perturber(GradientAttack(kind), black, Budget(0.1))
    with pytest.raises(ValueError, match="finitely many"):
        Perturber(GradientAttack("min-q"), linear_victim(), Budget(0.1))
    with pytest.raises(ValueError, match="kind"):
        GradientAttack("pdg")
    with pytest.raises(ValueError, match="do not fit"):
        AttackedEnv(gym.make("CartPole-v1"), linear_victim(), RandomAttack(), Budget(0.1))


@pytest.mark.parametrize("kind", ["critic", "q", "mad"])
def test_networks_that_say_nan_are_no_robust_victims(kind: str) -> None:
    """NaN beats no number: without an error the attack would return its start."""
    victim = linear_victim(value=lambda s: s.sum(1) * torch.nan, q_value=lambda s, a: a.sum(1) * torch.nan)
    if kind == "mad":
        victim.heads = lambda s: PolicyOutput(s @ WEIGHT.T * torch.nan, None, s @ WEIGHT.T * torch.nan)
    with pytest.raises(FloatingPointError, match=f"attack '{kind}': its objective is nan; look at"):
        Perturber(GradientAttack(kind), victim, Budget(0.1))(np.zeros((2, OBS)))
    sharp = linear_victim(value=lambda s: s.abs().sum(1).sqrt())  # infinitely steep at 0
    with pytest.raises(FloatingPointError, match="gradient is"):
        Perturber(GradientAttack("critic"), sharp, Budget(0.1))(np.zeros((2, OBS)))


@pytest.mark.parametrize("norm", NORMS)
def test_ascent_wastes_nothing_on_what_bounds_cut(norm: str) -> None:
    """Linear: beside a bound, the whole radius goes to the other entry."""
    obs = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    unit, bound = torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    delta = ascend(
        lambda s: s @ torch.tensor([5.0, 1.0], dtype=torch.float64),
        obs,
        unit,
        torch.tensor([0.5]).double(),
        norm,
        steps=10,
        step_size=0.25,
        bounds=(-bound, bound),
    )
    assert torch.allclose(delta, torch.tensor([[0.0, 0.5]], dtype=torch.float64), atol=1e-9)
