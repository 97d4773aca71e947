"""SubPO: its gradient against enumeration, its credits and baselines, its episodes, and what it learns."""

from __future__ import annotations

import copy
import itertools
import math
import statistics
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import rlsuite
from rlsuite.core.types import PolicyBatch, Rollout
from rlsuite.policy_gradient.subpo import SubPO, SubPOConfig, credits, mean_of_others, targets
from rlsuite_envs.coverage.set_functions import brute_force_trajectory, coverage_function
from rlsuite_envs.make import make_vector_env

COVERAGE = "rlsuite/GridCoverage-v0"
# A 2 x 2 grid; actions stay, swap column, swap row; three moves: 27 trajectories. A cell is seen from itself only, and
# the last one is worth most, so that what comes later matters to the first move.
MOVES = ((0, 1, 2), (1, 0, 3), (2, 3, 0), (3, 2, 1))
WEIGHTS = (0.5, 1.0, 0.25, 4.0)
TINY: dict[str, Any] = {
    "rows": 2,
    "cols": 2,
    "start": 0,
    "horizon": 3,
    "motion": MOVES,
    "sensing": ((0,), (1,), (2,), (3,)),
    "weights": WEIGHTS,
    "observation": "state_time",
}
PATHS = list(itertools.product(range(3), repeat=3))
SMALL = {"rows": 4, "cols": 4, "start": 5, "horizon": 6, "observation": "state_time"}
QUICK: dict[str, Any] = {"num_envs": 8, "net_arch": (16,), "device": "cpu"}
PROBE = {**QUICK, "num_envs": 16, "n_steps": 16, "batch_size": 64, "n_epochs": 4, "learning_rate": 3e-3}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# The gradient ------------------------------------------------------------------------------------------------------


def all_paths(agent: SubPO) -> Rollout:
    """Every trajectory of the tiny walk as one rollout [3, 27], values and log-probabilities by the agent."""
    env = make_vector_env(COVERAGE, len(PATHS), env_kwargs=TINY)
    actions = torch.tensor(PATHS).T
    obs, _ = env.reset(seed=0)
    seen, rewards, ends = [], [], []
    for action in actions:
        seen.append(torch.as_tensor(obs))
        obs, reward, terminated, truncated, _ = env.step(action)
        rewards.append(torch.as_tensor(reward))
        ends.append(torch.as_tensor(truncated))
        assert not torch.as_tensor(terminated).any()
    rows = torch.stack(seen)
    flat = rows.flatten(0, 1)
    log_prob = agent.parts.backend.log_prob(flat, actions.flatten(), None).view(3, -1)
    value = agent.parts.backend.values(flat).view(3, -1)
    next_value = torch.cat((value[1:], torch.full_like(value[:1], 1e3)))  # used nowhere: the horizon ends F
    end = torch.stack(ends)
    return Rollout(rows, actions, torch.stack(rewards), torch.zeros_like(end), end, log_prob, value, next_value)


def expected_return(policy: torch.nn.Module, rollout: Rollout) -> torch.Tensor:
    """J by enumeration: sum over trajectories of probability times F, with F from the plain set function."""
    function = coverage_function(TINY["sensing"], WEIGHTS)
    values = []
    for path in PATHS:
        nodes = [0]
        for action in path:
            nodes.append(MOVES[nodes[-1]][action])
        values.append(function(nodes))
    log_prob = policy.distribution(rollout.obs.double()).log_prob(rollout.action)
    return (log_prob.sum(0).exp() * torch.tensor(values, dtype=torch.float64)).sum()


def exact_gradient(agent: SubPO, rollout: Rollout) -> torch.Tensor:
    """grad J of the actor's parameters, in double precision, confirmed by finite differences."""
    policy = copy.deepcopy(agent.policy).double()
    parameters = list(policy.actor.parameters())
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(expected_return(policy, rollout), parameters)])
    start = torch.nn.utils.parameters_to_vector(parameters).detach()
    for seed in range(3):
        direction = torch.randn(len(start), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        ends = []
        for step in (1e-5, -1e-5):
            torch.nn.utils.vector_to_parameters(start + step * direction, parameters)
            ends.append(expected_return(policy, rollout).item())
        assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(float(gradient @ direction), rel=1e-6)
    return gradient


def columns(rollout: Rollout, index: list[int]) -> Rollout:
    """Some of the trajectories, as a batch of episodes."""
    return Rollout(*(None if x is None else x[:, index] for x in vars(rollout).values()))


def expected_estimate(agent: SubPO, rollout: Rollout, batch_size: int = 1, **options: Any) -> torch.Tensor:
    """The exact expectation of the estimator over all batches of `batch_size` trajectories, by the agent's back end.

    The estimate of a batch is linear in its advantages, so that the expectation needs one gradient only: of all
    trajectories with each sample's advantage summed over the batches it is in, weighted by their probability.
    """
    probability = rollout.log_prob.double().sum(0).exp()
    weight = torch.zeros(rollout.reward.shape, dtype=torch.float64)
    for index in itertools.product(range(len(PATHS)), repeat=batch_size):
        some = columns(rollout, list(index))
        batch = targets(some, gae_lambda=1.0, normalize=False, **options)
        chance = probability[list(index)].prod()
        weight.index_add_(1, torch.tensor(index), chance * batch.advantage.view(3, -1).double() / batch_size)
    flat = [x.flatten(0, 1) for x in (rollout.obs, rollout.action, rollout.log_prob, rollout.value)]
    # The loss is minus a mean over the samples.
    full = PolicyBatch(*flat, (weight * weight.numel()).flatten().float(), rollout.value.flatten())
    agent.parts.backend.gradient(agent.parts.backend.prepare(full), 0.2)
    actor = [agent.parts.flat.slices[f"actor.{name}"] for name, _ in agent.policy.actor.named_parameters()]
    return -torch.cat([agent.parts.flat.grad[part] for part in actor]).double()


def tiny_agent(**options: Any) -> SubPO:
    agent = SubPO(COVERAGE, env_kwargs=TINY, seed=3, **{**QUICK, "net_arch": (6,), **options})
    with torch.no_grad():  # away from the uniform policy, where some errors cancel
        agent.policy.actor[-1].weight.mul_(100)
    return agent


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize(("baseline", "batch_size"), [("none", 1), ("mean", 2), ("critic", 1)])
def test_the_estimator_is_unbiased(backend, baseline, batch_size):
    """Over all trajectories (all pairs of them, for the mean of the others) the expectation is grad J."""
    agent = tiny_agent(backend=backend, baseline=baseline)
    rollout = all_paths(agent)
    assert float(rollout.log_prob.double().sum(0).exp().sum()) == pytest.approx(1.0, abs=1e-5)
    exact = exact_gradient(agent, rollout)
    estimate = expected_estimate(agent, rollout, batch_size, credit="to_go", baseline=baseline)
    assert float(exact.norm()) > 0.1
    torch.testing.assert_close(estimate, exact, rtol=1e-4, atol=1e-5)


def test_the_releases_weights_are_myopic():
    """The prefix value has the expectation of the immediate gain alone, and that is another gradient."""
    agent = tiny_agent(backend="torch")
    rollout = all_paths(agent)
    exact = exact_gradient(agent, rollout)
    prefix = expected_estimate(agent, rollout, credit="prefix", baseline="none")
    myopic = expected_estimate(agent, rollout, credit="myopic", baseline="none")
    torch.testing.assert_close(prefix, myopic, rtol=1e-4, atol=1e-5)
    assert float((myopic - exact).norm() / exact.norm()) > 0.3


def test_the_baseline_reduces_the_variance():
    agent = tiny_agent()
    rollout = all_paths(agent)
    probability = rollout.log_prob.double().sum(0).exp()
    spread = {}
    for baseline in ("none", "mean"):
        picks = [
            list(torch.multinomial(probability, 16, replacement=True, generator=torch.Generator().manual_seed(seed)))
            for seed in range(50)
        ]
        advantages = [
            targets(
                columns(rollout, pick), credit="to_go", baseline=baseline, gae_lambda=1.0, normalize=False
            ).advantage
            for pick in picks
        ]
        spread[baseline] = float(torch.stack(advantages).square().mean())
    assert spread["mean"] < 0.7 * spread["none"]


# Credits and baselines by hand ---------------------------------------------------------------------------------------

# Two environments, four steps: the first has episodes of 2 and 2 steps, the second of 3 and 1.
REWARD = torch.tensor([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 8.0]])
DONE = torch.tensor([[False, False], [True, False], [False, True], [True, True]])


@pytest.mark.parametrize(
    ("credit", "first", "second"),
    [
        ("to_go", [3.0, 2.0, 7.0, 4.0], [18.0, 13.0, 7.0, 8.0]),
        ("myopic", [1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]),
        ("prefix", [1.0, 3.0, 3.0, 7.0], [5.0, 11.0, 18.0, 8.0]),
    ],
)
def test_credits_stay_inside_their_episode(credit, first, second):
    assert credits(REWARD, DONE, credit).T.tolist() == [first, second]


def test_the_mean_is_of_the_other_episodes_at_the_same_step():
    """First steps have 1, 3, 5, 8; second steps 2, 4, 6; only one episode has a third step."""
    expected = [[16 / 3, 5.0, 14 / 3, 4.0], [4.0, 3.0, 0.0, 3.0]]
    np.testing.assert_allclose(mean_of_others(REWARD, DONE).T.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("ends", [0.0, 0.02, 0.3, 1.0])
def test_means_of_others_equal_the_definition(ends):
    rng = torch.Generator().manual_seed(3)
    credit = 1e4 + torch.randn(60, 7, generator=rng)
    done = torch.rand(60, 7, generator=rng) < ends
    age, ages = torch.zeros(7, dtype=torch.int64), []
    for row in done:
        ages.append(age)
        age = (age + 1) * ~row
    same = torch.stack(ages).flatten() == torch.stack(ages).flatten()[:, None]
    same.fill_diagonal_(False)
    expected = (same.double() @ credit.flatten().double()) / same.sum(1).clamp(min=1)
    found = mean_of_others(credit, done)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.flatten().double(), expected, rtol=2e-7, atol=0)


def test_nothing_is_bootstrapped_at_the_horizon_but_unfinished_episodes_are():
    zeros = torch.zeros(2, 2)
    truncated = torch.tensor([[False, False], [True, False]])
    ahead = torch.tensor([[0.0, 0.0], [10.0, 10.0]])
    rollout = Rollout(torch.zeros(2, 2, 1), zeros, torch.ones(2, 2), zeros.bool(), truncated, zeros, zeros, ahead)
    batch = targets(rollout, credit="to_go", baseline="critic", gae_lambda=1.0, normalize=False)
    assert batch.return_.view(2, 2).tolist() == [[2.0, 12.0], [1.0, 11.0]]


def test_normalising_divides_and_does_not_shift():
    zeros = torch.zeros(4, 2)
    rollout = Rollout(torch.zeros(4, 2, 1), zeros, REWARD, zeros.bool(), DONE, zeros, zeros, zeros)
    plain, scaled = (
        targets(rollout, credit="to_go", baseline="mean", gae_lambda=1.0, normalize=on).advantage
        for on in (False, True)
    )
    assert float(scaled.std()) == pytest.approx(1.0)
    torch.testing.assert_close(scaled / scaled[0], plain / plain[0])


# The loop ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Constant", "Observation", "Discount"])
def test_value_probes(name):
    model = SubPO(f"rlsuite/Probe{name}-v0", **PROBE, baseline="critic", seed=1).learn(15_000)
    kernel = model.venv.kernel
    obs, _ = model.venv.reset(seed=5)
    rows = torch.as_tensor(obs).float()
    truth = kernel.true_value(rows, 1.0)
    error = (model.policy.values(rows).detach() - truth).abs().max()
    assert float(error) < 0.15 * max(1.0, float(truth.abs().max()))


SPACES = ["Policy", "PolicyObservation", "Discrete", "MultiDiscrete", "MultiBinary", "Box", "Mask", "Dict"]


@pytest.mark.parametrize(
    ("name", "baseline"), [*((name, "mean") for name in SPACES), ("Discrete", "none"), ("Box", "critic")]
)
def test_policy_probes(name, baseline):
    # At 3e-3 the Gaussian has collapsed by then, and what is left of the advantages, rounding, is normalised to 1.
    settings = PROBE | ({"learning_rate": 1e-3} if name == "Box" else {})
    model = SubPO(f"rlsuite/Probe{name}-v0", **settings, baseline=baseline, seed=1).learn(25_000)
    kernel = model.venv.kernel
    least = kernel.random_return + 0.85 * (kernel.optimal_return - kernel.random_return)
    assert statistics.fmean(model.runner.stats.recent_returns) > least


def test_a_batch_is_whole_episodes_and_reports_their_value():
    """Rewards leave the start's own value out; with modular rewards F is reported all the same."""
    for reward in ("marginal", "modular"):
        model = SubPO(COVERAGE, env_kwargs={**SMALL, "reward": reward}, seed=0, **QUICK)
        seen = []
        model.learn(96, on_update=lambda agent, s=seen: s.append(dict(agent.logger.name_to_value)), log_interval=None)
        assert model.config.n_steps == 6 and model.num_timesteps == 96
        stats = model.runner.stats
        assert list(stats.recent_lengths) == [6.0] * 16
        found = statistics.fmean(values["rollout/set_value"] for values in seen[-1:])
        returns = list(stats.recent_returns)[-8:]
        if reward == "marginal":
            assert found == pytest.approx(4 + statistics.fmean(returns))
        assert 4 <= found <= 16


@pytest.mark.parametrize("observation", ["state_time", "history", "covered"])
@pytest.mark.parametrize("baseline", ["none", "mean", "critic"])
def test_every_policy_and_baseline_learns_a_little(observation, baseline):
    kwargs = {**SMALL, "observation": observation}
    model = SubPO(
        COVERAGE,
        env_kwargs=kwargs,
        seed=0,
        **{**QUICK, "num_envs": 64},
        baseline=baseline,
        learning_rate=0.01,
    )
    before = SubPO(COVERAGE, env_kwargs=kwargs, seed=0, **{**QUICK, "num_envs": 64}).learn(384)
    first = statistics.fmean(before.runner.stats.recent_returns)
    model.learn(30_000)
    assert statistics.fmean(model.runner.stats.recent_returns) > first + 0.75


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_same_seed_same_weights(backend):
    runs = [
        SubPO(COVERAGE, env_kwargs=SMALL, seed=s, backend=backend, normalize_obs=True, **QUICK).learn(480)
        for s in (3, 3, 4)
    ]
    assert torch.equal(runs[0].parts.flat.data, runs[1].parts.flat.data)
    assert not torch.equal(runs[0].parts.flat.data, runs[2].parts.flat.data)


@pytest.mark.parametrize("baseline", ["mean", "critic"])
@pytest.mark.parametrize("normalize", [False, True])
def test_resumed_training_equals_uninterrupted(tmp_path, baseline, normalize):
    options = {
        **QUICK,
        "n_epochs": 2,
        "batch_size": 24,
        "learning_rate": "linear:1e-2",
        "ent_coef": "linear:0.1",
    }
    options |= {"normalize_obs": normalize, "normalize_reward": normalize, "baseline": baseline, "seed": 2}
    whole = SubPO(COVERAGE, env_kwargs={**SMALL, "slip": 0.1}, **options)
    saved = []
    whole.learn(
        960,
        on_update=lambda agent: (
            saved or saved.append(agent.save(tmp_path / "half")) if agent.num_timesteps == 480 else None
        ),
    )
    env = make_vector_env(COVERAGE, 8, device="cpu", env_kwargs={**SMALL, "slip": 0.1})
    resumed = rlsuite.load(tmp_path / "half", env=env, device="cpu")
    assert isinstance(resumed, SubPO) and resumed.num_timesteps == 480 and resumed.config.n_steps == 6
    resumed.learn(480, reset_num_timesteps=False)
    assert torch.equal(resumed.parts.flat.data, whole.parts.flat.data)
    assert resumed.num_timesteps == whole.num_timesteps and resumed.n_updates == whole.n_updates


def test_save_and_load_predict_alike(tmp_path):
    model = SubPO(COVERAGE, env_kwargs=SMALL, seed=1, normalize_obs=True, **QUICK).learn(480)
    model.save(tmp_path / "model")
    loaded = rlsuite.load(tmp_path / "model", device="cpu")
    assert loaded.config == model.config
    obs = np.stack([model.observation_space.sample() for _ in range(50)])
    assert np.array_equal(loaded.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])


def test_a_callback_may_stop_in_the_middle_of_an_episode():
    model = SubPO(COVERAGE, env_kwargs=SMALL, seed=0, **QUICK)
    calls = []
    model.learn(960, callback=lambda *_: (calls.append(1), len(calls) < 9)[1])
    assert model.num_timesteps == 9 * 8 and model.n_updates == 1
    model.learn(96, reset_num_timesteps=False)  # begins with fresh episodes: else the check below would raise
    assert model.n_updates == 3


# Bad input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_steps", 0),
        ("credit", "greedy"),
        ("baseline", "median"),
        ("gae_lambda", 0.9),
        ("gae_lambda", 1.5),
        ("learning_rate", "linear:-1"),
        ("ent_coef", -0.1),
        ("n_epochs", 0),
        ("batch_size", 0),
        ("clip_range", 0.0),
        ("vf_coef", -1.0),
    ],
)
def test_bad_values_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        SubPOConfig(**{field: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": 7}, r"n_steps=7 is no multiple of the horizon 6"),
        ({"num_envs": 1}, r"num_envs=1 with baseline 'mean'"),
        ({"batch_size": 49}, r"batch_size=49 is larger than the rollout of n_steps\*num_envs = 6\*8 = 48"),
    ],
)
def test_episodes_that_do_not_fit_are_refused_before_anything_runs(options, message):
    with pytest.raises(ValueError, match=message):
        SubPO(COVERAGE, env_kwargs=SMALL, **{**QUICK, **options})


def test_environments_without_a_horizon_are_refused():
    import gymnasium as gym

    env = SyncVectorEnv([lambda: gym.make("CartPole-v1").unwrapped] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    env.spec = None
    with pytest.raises(ValueError, match="n_steps is None and the environment has no time limit"):
        SubPO(env, device="cpu")


def test_episodes_of_different_lengths_need_a_critic():
    with pytest.raises(ValueError, match=r"of 4 episodes outlast the rollout of n_steps=500"):
        SubPO("CartPole-v1", num_envs=4, device="cpu").learn(2000)
    SubPO("CartPole-v1", num_envs=4, n_steps=32, baseline="critic", gae_lambda=0.95, device="cpu").learn(256)


# What it learns ------------------------------------------------------------------------------------------------------


def hill(**options: Any) -> dict[str, Any]:
    """A line of cells: little at the left at once, much at the right after three empty moves."""
    weights = (0.0, 1.0, 1.0, 0.5, 0.0, 0.0, 0.0, 4.0, 5.0)
    cells = tuple((i,) for i in range(9))
    line = {"rows": 1, "cols": 9, "start": 4, "horizon": 5, "sensing": cells, "weights": weights}
    return {**line, "observation": "state_time", **options}


def set_value(model: SubPO, kwargs: dict[str, Any]) -> float:
    """F of the mode of the policy."""
    env = make_vector_env(COVERAGE, 1, env_kwargs=kwargs)
    obs, info = env.reset(seed=0)
    for _ in range(kwargs["horizon"]):
        action, _ = model.predict(obs, deterministic=True)
        obs, _, _, _, info = env.step(action)
    return float(info["final_info"]["set_value"][0])


def train(kwargs: dict[str, Any], seed: int, steps: int = 60_000, **options: Any) -> SubPO:
    settings = {"num_envs": 64, "net_arch": (32,), "device": "cpu", "learning_rate": 0.01}
    settings |= {"ent_coef": "linear:0.1", "normalize_obs": True, **options}
    return SubPO(COVERAGE, env_kwargs=kwargs, seed=seed, **settings).learn(steps)


@pytest.mark.slow
def test_gains_are_given_up_for_larger_ones_later():
    """Brute force says go right at once; the myopic weights take the half at the left first."""
    kwargs = hill()
    env = make_vector_env(COVERAGE, 1, env_kwargs=kwargs)
    params = env.kernel.params
    function = coverage_function(params.footprints, params.weights)
    _, best = brute_force_trajectory(params.moves, 4, 5, function)
    assert best == 9.0
    for seed in range(3):
        assert set_value(train(kwargs, seed), kwargs) == best
    myopic = [set_value(train(kwargs, seed, credit="myopic"), kwargs) for seed in range(3)]
    assert max(myopic) < best
    assert math.isclose(max(myopic), 2.5)


@pytest.mark.slow
def test_the_optimum_of_a_small_grid_is_found_and_not_by_the_modular_reward():
    """Fifteen cells of uneven weight: ModPO stays where a cell pays most, again and again."""
    weights = tuple(float(w) for w in np.random.default_rng(3).integers(0, 10, 16))
    kwargs = {**SMALL, "start": 0, "horizon": 7, "weights": weights}
    params = make_vector_env(COVERAGE, 1, env_kwargs=kwargs).kernel.params
    _, best = brute_force_trajectory(params.moves, 0, 7, coverage_function(params.footprints, weights))
    for seed in range(3):
        assert set_value(train(kwargs, seed), kwargs) == best
        assert set_value(train({**kwargs, "reward": "modular"}, seed), kwargs) < 0.8 * best
