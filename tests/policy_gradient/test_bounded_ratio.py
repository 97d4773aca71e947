"""The theory of bounded-ratio policy optimisation against solvers, autograd and printed examples."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from rlsuite.policy_gradient.bounded_ratio import (
    RatioBounds,
    asymmetric_barrier,
    barrier,
    bpo_policy_grad,
    bpo_policy_loss,
    optimal_ratio,
    ratio_target,
    ratio_target_array,
    soft_median_grad,
    soft_median_loss,
    soft_quantile,
)

PROB = torch.tensor([0.1, 0.25, 0.2, 0.15, 0.3], dtype=torch.float64)
Q = torch.tensor([1, -0.5, 0.3, 2, 0.1], dtype=torch.float64)
SYMMETRIC = RatioBounds.symmetric(0.3)
SKEWED = RatioBounds(0.2, 2.5)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_states(num, actions, seed, concentration=1.0):
    rng = np.random.default_rng(seed)
    prob = rng.dirichlet(np.full(actions, concentration), num)
    return torch.from_numpy(prob), torch.from_numpy(rng.normal(size=(num, actions)))


# --------------------------------------------------------------------- the closed form against solvers


def test_worked_example_symmetric():
    assert float(soft_quantile(PROB, Q, temperature=0.2)) == pytest.approx(0.189366, abs=5e-7)
    ratio = optimal_ratio(PROB, Q, bounds=SYMMETRIC, temperature=0.2)
    np.testing.assert_allclose(ratio, [1.289758, 0.718518, 1.080923, 1.299930, 0.934069], atol=5e-7)


def test_worked_example_hard_with_an_atom_on_the_median():
    assert float(soft_quantile(PROB, Q, temperature=0)) == 0.1
    ratio = optimal_ratio(PROB, Q, bounds=SYMMETRIC, temperature=0)
    np.testing.assert_allclose(ratio, [1.3, 0.7, 1.3, 1.3, 0.8], atol=1e-12)
    advantage = Q - (PROB * Q).sum()
    assert float((PROB * ratio * advantage).sum()) == pytest.approx(0.1695, abs=1e-10)


def test_worked_example_asymmetric():
    mu = soft_quantile(PROB, Q, temperature=0.2, quantile=SKEWED.quantile)
    assert float(mu) == pytest.approx(0.339834, abs=5e-7)
    ratio = optimal_ratio(PROB, Q, bounds=SKEWED, temperature=0.2)
    printed = [2.35135, 0.21826, 0.89946, 2.49893, 0.51856]
    np.testing.assert_allclose(ratio, printed, atol=5e-6)


@pytest.mark.parametrize("bounds", [SYMMETRIC, SKEWED, RatioBounds(0.0, 4.0), RatioBounds(0.9, 1.05)])
@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_soft_form_solves_the_regularised_problem(bounds, temperature):
    prob, q_value = random_states(4, 5, seed=1)
    closed = optimal_ratio(prob, q_value, bounds=bounds, temperature=temperature)
    for p, q, found in zip(prob.numpy(), q_value.numpy(), closed.numpy(), strict=True):

        def loss(rho, p=p, q=q):
            rho = torch.tensor(rho, dtype=torch.float64, requires_grad=True)
            weights, values = torch.from_numpy(p), torch.from_numpy(q)
            value = -(weights * (rho * values - temperature * asymmetric_barrier(rho, bounds))).sum()
            value.backward()
            return float(value.detach()), rho.grad.numpy()

        inside = 1e-12 * bounds.width
        solved = minimize(
            loss,
            np.ones(5),
            jac=True,
            method="SLSQP",
            bounds=[(bounds.low + inside, bounds.high - inside)] * 5,
            constraints={"type": "eq", "fun": lambda r, p=p: p @ r - 1, "jac": lambda r, p=p: p},
            options={"ftol": 1e-15, "maxiter": 500},
        )
        # The optimum must not be worse, and where curvature pins it down it must be the same point.
        assert loss(found)[0] <= solved.fun + 1e-9
        np.testing.assert_allclose(found, solved.x, atol=1e-5)


@pytest.mark.parametrize("bounds", [SYMMETRIC, SKEWED, RatioBounds(0.0, 3.0)])
@pytest.mark.parametrize("temperature", [0.0, 1e-7])
def test_hard_form_solves_the_linear_programme(bounds, temperature):
    prob, q_value = random_states(40, 6, seed=2)
    ratios = optimal_ratio(prob, q_value, bounds=bounds, temperature=temperature).numpy()
    for p, q, ratio in zip(prob.numpy(), q_value.numpy(), ratios, strict=True):
        solved = linprog(-p * q, A_eq=p[None], b_eq=[1.0], bounds=(bounds.low, bounds.high))
        np.testing.assert_allclose(ratio, solved.x, atol=1e-6)


def test_equal_action_values_share_one_atom():
    prob = torch.tensor([0.2, 0.3, 0.1, 0.4], dtype=torch.float64)
    q_value = torch.tensor([1.0, 0.0, 0.0, -1.0], dtype=torch.float64)  # the atom at 0 holds the median
    for temperature in (0.0, 1e-6):
        ratio = optimal_ratio(prob, q_value, bounds=SYMMETRIC, temperature=temperature)
        atom = 1 - 0.3 * (0.2 - 0.4) / 0.4  # 1 - eps (P+ - P-) / p0
        np.testing.assert_allclose(ratio, [1.3, atom, atom, 0.7], atol=1e-9)


def test_median_of_an_even_split_is_the_middle_of_the_gap():
    prob, q_value = torch.full((4,), 0.25), torch.tensor([5.0, 4.0, -2.0, -9.0])
    for temperature in (0.0, 1e-9, 1e-3):
        assert float(soft_quantile(prob, q_value, temperature=temperature)) == pytest.approx(1.0, abs=1e-7)
    ratio = optimal_ratio(prob, q_value, bounds=SYMMETRIC, temperature=1e-9)
    np.testing.assert_allclose(ratio, [1.3, 1.3, 0.7, 0.7], atol=1e-12)


def test_zero_to_one_over_q_is_the_cross_entropy_methods_elite():
    prob = torch.full((10,), 0.1, dtype=torch.float64)
    q_value = torch.arange(10, dtype=torch.float64)[torch.randperm(10)]
    ratio = optimal_ratio(prob, q_value, bounds=RatioBounds(0.0, 1 / 0.3), temperature=0)
    improved = (prob * ratio).numpy()
    elite = np.argsort(q_value.numpy())[-3:]
    assert improved[elite] == pytest.approx([1 / 3] * 3)
    assert improved.sum() == pytest.approx(1.0) and np.delete(improved, elite) == pytest.approx(np.zeros(7))


# --------------------------------------------------------------------- properties of the solver

probabilities = st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=8)


@st.composite
def states(draw):
    weights = draw(probabilities)
    q_value = draw(st.lists(st.floats(-1e6, 1e6), min_size=len(weights), max_size=len(weights)))
    prob = torch.tensor(weights, dtype=torch.float64)
    return prob / prob.sum(), torch.tensor(q_value, dtype=torch.float64)


@st.composite
def ratio_bounds(draw):
    return RatioBounds(draw(st.floats(0.0, 0.99)), draw(st.floats(1.01, 50.0)))


@given(state=states(), bounds=ratio_bounds(), log_temperature=st.floats(-11, 6))
@settings(max_examples=150, deadline=None)
def test_ratio_is_normalised_bounded_and_monotone(state, bounds, log_temperature):
    prob, q_value = state
    temperature = 10**log_temperature
    ratio = optimal_ratio(prob, q_value, bounds=bounds, temperature=temperature)
    assert abs(float((prob * ratio).sum()) - 1) < 1e-10
    assert float(ratio.min()) >= bounds.low and float(ratio.max()) <= bounds.high
    order = q_value.argsort()
    assert bool((ratio[order].diff() >= -1e-12).all())
    hard = optimal_ratio(prob, q_value, bounds=bounds, temperature=0)
    assert abs(float((prob * hard).sum()) - 1) < 1e-10
    # The linear programme's value is the best that any feasible ratio reaches.
    scale = 1e-9 * float(q_value.abs().max() + 1)
    assert float((prob * hard * q_value).sum()) >= float((prob * ratio * q_value).sum()) - scale


@given(
    state=states(),
    quantile=st.floats(0.01, 0.99),
    log_temperature=st.floats(-3, 5),
    shift=st.floats(-1e3, 1e3),
)
@settings(max_examples=100, deadline=None)
def test_threshold_lies_inside_and_moves_with_the_action_values(state, quantile, log_temperature, shift):
    prob, q_value = state
    temperature = 10**log_temperature
    mu = float(soft_quantile(prob, q_value, temperature=temperature, quantile=quantile))
    assert float(q_value.min()) <= mu <= float(q_value.max())
    # Rounding of Q + shift, and flat stretches of the equation, bound how well mu is determined.
    accuracy = 1e-9 * max(1.0, temperature, float(q_value.abs().max()))
    moved = soft_quantile(prob, q_value * 4, temperature=temperature * 4, quantile=quantile)
    assert float(moved) == pytest.approx(4 * mu, abs=4 * accuracy)
    residual = (prob * torch.sigmoid((q_value - mu) / temperature + math.log(quantile / (1 - quantile)))).sum()
    shifted = q_value + shift
    other = soft_quantile(prob, shifted, temperature=temperature, quantile=quantile) - shift
    again = (prob * torch.sigmoid((q_value - other) / temperature + math.log(quantile / (1 - quantile)))).sum()
    tolerance = 1e-9 + accuracy / temperature
    assert float(residual) == pytest.approx(quantile, abs=tolerance)
    assert float(again) == pytest.approx(quantile, abs=tolerance)


def test_threshold_is_monotone_in_each_action_value():
    prob, q_value = random_states(200, 5, seed=3)
    mu = soft_quantile(prob, q_value, temperature=0.3)
    for action in range(5):
        raised = q_value.clone()
        raised[:, action] += 0.5
        assert bool((soft_quantile(prob, raised, temperature=0.3) > mu).all())


@pytest.mark.parametrize("scale", [1e-300, 1e-8, 1.0, 1e8, 1e280])
def test_extreme_action_values_stay_normalised(scale):
    prob, q_value = random_states(50, 7, seed=4, concentration=0.2)
    ratio = optimal_ratio(prob, q_value * scale, bounds=SKEWED, temperature=1e-3)
    np.testing.assert_allclose((prob * ratio).sum(-1), np.ones(50), atol=1e-10)


def test_forbidden_actions_do_not_count():
    prob = torch.tensor([0.0, 0.4, 0.6])
    q_value = torch.tensor([1e9, 1.0, 0.0])
    mu = soft_quantile(prob, q_value, temperature=0.5)
    alone = soft_quantile(torch.tensor([0.4, 0.6]), torch.tensor([1.0, 0.0]), temperature=0.5)
    assert float(mu) == pytest.approx(float(alone), abs=1e-7)


@pytest.mark.parametrize(
    ("prob", "q_value", "options", "message"),
    [
        ([0.5, 0.6], [0.0, 1.0], {}, "sum to 1"),
        ([1.5, -0.5], [0.0, 1.0], {}, "non-negative"),
        ([0.5, 0.5], [0.0, math.nan], {}, "NaN"),
        ([0.5, 0.5], [0.0, 1.0, 2.0], {}, "common shape"),
        ([0.5, 0.5], [0.0, 1.0], {"temperature": -1.0}, "temperature"),
        ([0.5, 0.5], [0.0, 1.0], {"quantile": 1.0}, "quantile"),
    ],
)
def test_bad_problems_are_refused(prob, q_value, options, message):
    with pytest.raises(ValueError, match=message):
        soft_quantile(torch.tensor(prob), torch.tensor(q_value), **{"temperature": 1.0, **options})


@pytest.mark.parametrize("bounds", [(1.0, 1.3), (-0.1, 1.3), (0.7, 1.0), (0.7, math.inf), (math.nan, 1.3)])
def test_bad_bounds_are_refused(bounds):
    with pytest.raises(ValueError, match="ratio bounds"):
        RatioBounds(*bounds)


def test_barriers_have_the_stated_range_and_minimum():
    epsilon = 0.3
    grid = torch.linspace(0.7, 1.3, 2001, dtype=torch.float64).clamp(0.7 + 1e-15, 1.3 - 1e-15)
    values = barrier(grid, epsilon)
    assert float(values.min()) == pytest.approx(2 * epsilon * math.log(epsilon))
    assert float(values.max()) == pytest.approx(2 * epsilon * math.log(2 * epsilon), abs=1e-10)
    assert float(grid[values.argmin()]) == pytest.approx(1.0)
    np.testing.assert_allclose(asymmetric_barrier(grid, SYMMETRIC), values - values.min(), atol=1e-12)
    ratio = torch.tensor([1.0, 1.0 - 1e-4, 1.0 + 1e-4], dtype=torch.float64)
    at_one, below, above = asymmetric_barrier(ratio, SKEWED)
    assert float(at_one) == 0 and below > 0 and above > 0


# --------------------------------------------------------------------- monotone improvement


def solve_mdp(transition, reward, policy, gamma):
    """V, Q and the state matrix under `policy` by linear algebra."""
    kernel = np.einsum("sa,sat->st", policy, transition)
    value = np.linalg.solve(np.eye(len(kernel)) - gamma * kernel, (policy * reward).sum(1))
    return value, reward + gamma * transition @ value, kernel


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("bounds", "temperature"), [(SYMMETRIC, 0.0), (SYMMETRIC, 0.2), (SKEWED, 0.0), (SKEWED, 0.5)])
def test_exact_improvement_of_theorem_4_2(seed, bounds, temperature):
    rng = np.random.default_rng(seed)
    states_, actions, gamma = 7, 4, 0.9
    transition = rng.dirichlet(np.ones(states_), (states_, actions))
    reward = rng.normal(size=(states_, actions))
    old, start = rng.dirichlet(np.ones(actions), states_), rng.dirichlet(np.ones(states_))
    old_value, q_value, _ = solve_mdp(transition, reward, old, gamma)
    args = torch.from_numpy(old), torch.from_numpy(q_value)
    ratio = optimal_ratio(*args, bounds=bounds, temperature=temperature).numpy()
    mu = soft_quantile(*args, temperature=temperature, quantile=bounds.quantile).numpy()
    new = old * ratio
    np.testing.assert_allclose(new.sum(1), 1, atol=1e-12)
    value, _, kernel = solve_mdp(transition, reward, new / new.sum(1, keepdims=True), gamma)
    assert (value >= old_value - 1e-12).all()
    visits = np.linalg.solve((np.eye(states_) - gamma * kernel).T, start)  # unnormalised discounted visitation
    centred = q_value - mu[:, None]
    gain = visits @ (old * (ratio - 1) * centred).sum(1)
    assert start @ (value - old_value) == pytest.approx(gain, abs=1e-10)
    if temperature > 0 and bounds is SYMMETRIC:  # the theorem's own form
        printed = 0.3 * visits @ (old * np.tanh(centred / (2 * temperature)) * centred).sum(1)
        assert start @ (value - old_value) == pytest.approx(printed, abs=1e-10)
    if temperature == 0 and bounds is SYMMETRIC:  # |Q - mu|: the atom contributes 0 since Q = mu there
        assert gain == pytest.approx(0.3 * visits @ (old * abs(centred)).sum(1), abs=1e-10)


# --------------------------------------------------------------------- targets and the policy loss


def test_target_forms_agree_and_stay_inside():
    advantage = torch.linspace(-5, 5, 101, dtype=torch.float64)
    target = ratio_target(advantage, bounds=SYMMETRIC, temperature=0.7)
    np.testing.assert_allclose(target, 1 + 0.3 * torch.tanh(advantage / 1.4), atol=1e-14)
    np.testing.assert_allclose(target - 1, -(target - 1).flip(0), atol=1e-14)
    assert float(target.min()) >= 0.7 and float(target.max()) <= 1.3
    zero = torch.zeros(1, dtype=torch.float64)
    for bounds in (SYMMETRIC, SKEWED):
        for temperature in (0.0, 1e-3, 10.0):
            assert float(ratio_target(zero, bounds=bounds, temperature=temperature)) == pytest.approx(1.0, abs=1e-15)
    hard = ratio_target(torch.tensor([-1.0, 0.0, 2.0]), bounds=SKEWED, temperature=0)
    soft = ratio_target(torch.tensor([-1.0, 0.0, 2.0]), bounds=SKEWED, temperature=1e-6)
    np.testing.assert_allclose(hard, [0.2, 1.0, 2.5], atol=1e-6)
    np.testing.assert_allclose(hard, soft, atol=1e-6)


def stable_baselines_policy_loss(ratio, advantage, epsilon):
    """PPO's clipped surrogate with the operations of Stable-Baselines3, per sample."""
    return -torch.min(advantage * ratio, advantage * torch.clamp(ratio, 1 - epsilon, 1 + epsilon))


def test_ppo_is_a_one_sided_distance():
    generator = torch.Generator().manual_seed(0)
    ratio = torch.rand(5000, generator=generator, dtype=torch.float64) * 3
    advantage = torch.randn(5000, generator=generator, dtype=torch.float64)
    for epsilon in (0.1, 0.3):
        sign = advantage.sign()
        hinge = advantage.abs() * (sign * (1 + epsilon * sign - ratio)).clamp(min=0)
        identity = hinge - advantage - epsilon * advantage.abs()
        np.testing.assert_allclose(identity, stable_baselines_policy_loss(ratio, advantage, epsilon), atol=1e-12)


def policy_gradients(log_ratio, advantage, epsilon):
    """dL/dlog_prob of BPO (mean mode, lambda 0) and of PPO, each averaged over N."""
    grads = []
    for name in ("bpo", "ppo"):
        log_prob = log_ratio.clone().requires_grad_()
        old = torch.zeros_like(log_prob)
        if name == "bpo":
            bounds = RatioBounds.symmetric(epsilon)
            loss = bpo_policy_loss(log_prob, old, advantage, advantage, bounds=bounds, temperature=0).loss
        else:
            loss = stable_baselines_policy_loss((log_prob - old).exp(), advantage, epsilon).mean()
        grads.append(torch.autograd.grad(loss, log_prob)[0])
    return grads


def test_same_gradient_as_ppo_until_the_target_and_opposite_beyond():
    generator = torch.Generator().manual_seed(1)
    advantage = torch.randn(4000, generator=generator, dtype=torch.float64)
    bpo, ppo = policy_gradients(torch.zeros(4000, dtype=torch.float64), advantage, 0.2)
    np.testing.assert_allclose(bpo, ppo, atol=1e-15)  # at ratio 1
    log_ratio = 0.5 * torch.randn(4000, generator=generator, dtype=torch.float64)
    bpo, ppo = policy_gradients(log_ratio, advantage, 0.2)
    clipped = ppo == 0
    assert 500 < int(clipped.sum()) < 3500
    np.testing.assert_allclose(bpo[~clipped], ppo[~clipped], atol=1e-15)
    unclipped = -advantage * log_ratio.exp() / 4000
    np.testing.assert_allclose(bpo[clipped], -unclipped[clipped], atol=1e-15)


def test_policy_loss_gradient_reaches_only_the_policy():
    generator = torch.Generator().manual_seed(2)
    new, old, return_, value, mu = (torch.randn(64, generator=generator).requires_grad_() for _ in range(5))
    result = bpo_policy_loss(new, old, return_ - mu, return_ - value, bounds=SYMMETRIC, temperature=0.5, tv_offset=0.1)
    result.loss.backward()
    assert old.grad is None and return_.grad is None and value.grad is None and mu.grad is None
    weight = (return_ - value).detach().abs().numpy() + np.float32(0.1)
    by_hand = bpo_policy_grad(result.ratio.numpy(), result.target.numpy(), weight)
    assert by_hand.dtype == np.float32
    np.testing.assert_allclose(by_hand, new.grad, rtol=1e-5, atol=1e-9)


def test_gradient_at_the_kink_is_zero_in_both_forms():
    log_prob = torch.zeros(3, requires_grad=True)
    zero = torch.zeros(3)
    bpo_policy_loss(log_prob, zero, zero, zero + 1, bounds=SYMMETRIC, temperature=0.5).loss.backward()
    assert not log_prob.grad.any()
    one = np.ones(3, np.float32)
    assert not bpo_policy_grad(one, one, one).any()


@pytest.mark.parametrize("temperature", [0.0, 1e-3, 0.5])
@pytest.mark.parametrize("bounds", [SYMMETRIC, SKEWED])
def test_numpy_targets_equal_torch(bounds, temperature):
    advantage = np.random.default_rng(0).normal(size=1000).astype(np.float32) * 10
    advantage[:3] = 0, 1e30, -1e30
    with np.errstate(all="raise", under="ignore"):
        ours = ratio_target_array(advantage, bounds=bounds, temperature=temperature)
    theirs = ratio_target(torch.from_numpy(advantage), bounds=bounds, temperature=temperature)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_scaling_all_return_units_keeps_targets_and_scales_the_loss():
    generator = torch.Generator().manual_seed(3)
    new, old, advantage, weight = (torch.randn(256, generator=generator, dtype=torch.float64) for _ in range(4))
    one = bpo_policy_loss(new, old, advantage, weight, bounds=SKEWED, temperature=0.4)
    eight = bpo_policy_loss(new, old, 8 * advantage, 8 * weight, bounds=SKEWED, temperature=3.2)
    np.testing.assert_allclose(one.target, eight.target, atol=1e-14)
    assert float(eight.loss) == pytest.approx(8 * float(one.loss), rel=1e-12)


def test_softmax_bandit_converges_to_the_optimal_policy():
    prob = torch.tensor([0.1, 0.25, 0.2, 0.15, 0.3], dtype=torch.float64)
    ratio = optimal_ratio(prob, Q, bounds=SYMMETRIC, temperature=0.2)
    mu, value = soft_quantile(prob, Q, temperature=0.2), (prob * Q).sum()
    logits = prob.log().requires_grad_()
    for step in range(4000):  # exact expectation over actions: weights pi0(a) replace sampling; step size decays
        log_prob = logits.log_softmax(-1)
        result = bpo_policy_loss(
            log_prob, prob.log(), Q - mu, 5 * prob * (Q - value).abs(), bounds=SYMMETRIC, temperature=0.2
        )
        (gradient,) = torch.autograd.grad(result.loss, logits)
        with torch.no_grad():
            logits -= 0.5 / (1 + step / 20) * gradient
    assert float(result.loss.detach()) < 1e-3
    np.testing.assert_allclose(logits.detach().softmax(-1), prob * ratio, atol=1e-3)


# --------------------------------------------------------------------- the median critic's loss


def test_median_loss_is_the_papers_formula():
    residual = torch.linspace(-30, 30, 601, dtype=torch.float64)
    np.testing.assert_allclose(soft_median_loss(residual), torch.log(2 * torch.cosh(residual / 2)), atol=1e-12)
    np.testing.assert_allclose(
        soft_median_loss(residual, temperature=4.0), 4 * torch.log(2 * torch.cosh(residual / 8)), atol=1e-12
    )
    large = soft_median_loss(torch.tensor([-1e30, 1e30]))
    np.testing.assert_allclose(large, [5e29, 5e29], rtol=1e-6)


@pytest.mark.parametrize("quantile", [0.5, 0.1, 0.8])
@pytest.mark.parametrize("temperature", [1.0, 0.05])
def test_median_gradients(quantile, temperature):
    generator = torch.Generator().manual_seed(4)
    return_ = 3 * torch.randn(128, generator=generator)
    mu = torch.randn(128, generator=generator).requires_grad_()
    return_[:2] = mu.detach()[:2]  # residual 0 is where careless stable forms lose the slope
    soft_median_loss(return_ - mu, temperature=temperature, quantile=quantile).mean().backward()
    by_hand = soft_median_grad(return_.numpy(), mu.detach().numpy(), temperature, quantile)
    assert by_hand.dtype == np.float32
    np.testing.assert_allclose(by_hand, mu.grad, atol=1e-8)
    assert abs(by_hand).max() <= max(quantile, 1 - quantile) / 128 + 1e-9
    assert abs(by_hand[:2]).max() < 1e-8


def fit(samples, **options):
    """The constant that minimises the mean `soft_median_loss` over `samples`."""
    mu = torch.zeros((), dtype=torch.float64, requires_grad=True)
    mu.data.fill_(samples.median())
    optimizer = torch.optim.LBFGS(
        [mu], max_iter=200, tolerance_grad=1e-13, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = soft_median_loss(samples - mu, **options).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(mu.detach())


@pytest.mark.parametrize(("scale", "printed"), [(0.1, 0.997), (1, 0.919), (10, 0.706), (100, 0.689)])
def test_the_loss_of_the_release_finds_median_or_mean_by_scale(scale, printed):
    samples = torch.from_numpy(np.random.default_rng(0).exponential(size=50_000))
    ratio = fit(scale * samples) / scale
    assert ratio == pytest.approx(printed, abs=0.013)  # 3 standard errors of the table's and of our sample
    # In units of the data the temperature option gives the same answer at every scale.
    assert fit(scale * samples, temperature=0.05 * scale) / scale == pytest.approx(math.log(2), abs=0.013)


@pytest.mark.parametrize("bounds", [SYMMETRIC, SKEWED, RatioBounds(0.0, 5.0)])
def test_quantile_loss_finds_the_threshold_of_the_bounds(bounds):
    values = np.random.default_rng(1).gumbel(size=400) * 2
    samples = torch.from_numpy(values)
    for temperature in (0.3, 2.0):
        mu = fit(samples, temperature=temperature, quantile=bounds.quantile)
        # pi0 uniform over the samples: the same equation, solved by bisection instead of by descent.
        uniform = torch.full_like(samples, 1 / 400)
        exact = float(soft_quantile(uniform, samples, temperature=temperature, quantile=bounds.quantile))
        assert mu == pytest.approx(exact, abs=1e-5)
        target = ratio_target(samples - mu, bounds=bounds, temperature=temperature)
        assert float(target.mean()) == pytest.approx(1.0, abs=1e-5)
    sharp = fit(samples, temperature=1e-3, quantile=bounds.quantile)
    assert np.mean(values > sharp) == pytest.approx(bounds.quantile, abs=0.01)
