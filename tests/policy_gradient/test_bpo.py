"""BPO: its loss on both back ends, its loop, and what it learns."""

import dataclasses
import math
import statistics

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

import rlsuite
from rlsuite.core import on_policy
from rlsuite.core.collect import collect
from rlsuite.core.types import PolicyBatch
from rlsuite.policy_gradient.bpo import BPO, BPOConfig
from rlsuite.policy_gradient.ppo import PPO, PPOConfig

BOX, DISCRETE = spaces.Box(-1, 1, (2,)), spaces.Discrete(3)
ROWS = spaces.Box(-5, 5, (4,))
SMALL = {"net_arch": (16,), "n_steps": 16, "batch_size": 32, "n_epochs": 2}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class OneStep(gym.Env):
    """One step per episode, reward drawn from `draw`; ends by the flag named `end`."""

    observation_space = spaces.Box(-1, 1, (1,))
    action_space = spaces.Discrete(2)

    def __init__(self, draw=lambda rng: 1.0, end="terminated"):
        self.draw, self.end = draw, end

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        ends = (self.end == "terminated", self.end == "truncated")
        return np.ones(1, np.float32), self.draw(self.np_random), *ends, {}


def model(action_space=BOX, algorithm=BPO, **options):
    """A model without an environment."""
    options = {"net_arch": (16, 16), "n_steps": 4096, "device": "cpu", **options}
    return algorithm(None, spaces=(ROWS, action_space), **options)


def batch_for(agent, n, *, seed=0, spread=3.0, drift=0.0):
    """n samples with actions of the agent's policy; `drift` moves the stored log-probabilities off it."""
    generator = torch.Generator().manual_seed(seed)
    obs = torch.randn(n, agent.obs_size, generator=generator)
    backend = agent.parts.backend
    action = backend.sample(obs, None, generator)
    log_prob = backend.log_prob(obs, action, None) + drift * torch.randn(n, generator=generator)
    value = backend.values(obs)
    return_ = value + spread * torch.randn(n, generator=generator)
    return PolicyBatch(obs, action, log_prob, value, return_ - value, return_)


def gradient(agent, batch, clip_range=0.3):
    """The flat gradient and the metrics of one minibatch."""
    backend = agent.parts.backend
    metrics = backend.gradient(backend.prepare(batch), clip_range)
    return agent.parts.flat.grad.clone(), {name: float(value) for name, value in metrics.items()}


OPTIONS = [
    {},
    {"mode": "mean"},
    {"separate_median": True, "median_temperature": 0.1, "temperature": 2.0},
    {"ratio_bounds": (0.2, 2.5), "temperature": 0.5, "tv_offset": 0.3},
    {"temperature": 0.0, "ent_coef": 0.1},
    {"online_advantage": False, "activation": "tanh"},
    {"online_advantage": False, "mode": "mean", "vf_coef": 0.0, "tv_offset": 0.3},
]


# ------------------------------------------------------------------------------- the loss


@pytest.mark.parametrize("action_space", [BOX, DISCRETE])
@pytest.mark.parametrize("options", OPTIONS)
def test_back_ends_have_equal_gradients_and_metrics(action_space, options):
    numpy_agent = model(action_space, backend="numpy", **options)
    torch_agent = model(action_space, backend="torch", **options)
    batch = batch_for(torch_agent, 200, drift=0.4)
    mine, metrics = gradient(numpy_agent, batch)
    reference, expected = gradient(torch_agent, batch)
    assert float((mine - reference).abs().max()) <= 1e-5 * max(1.0, float(reference.abs().max()))
    assert metrics.keys() == expected.keys()
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
    assert 0.002 < metrics["clip_fraction"] < 0.95


def test_rollout_batch_is_left_as_it_was():
    agent = model(backend="numpy", online_advantage=False, tv_offset=1.0)
    batch = batch_for(agent, 50)
    before = batch.advantage.clone()
    gradient(agent, batch)
    assert torch.equal(batch.advantage, before)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("options", [{}, {"separate_median": True}, {"mode": "mean"}])
def test_policy_loss_trains_only_the_actor(backend, options):
    agent = model(backend=backend, vf_coef=0.0, median_coef=0.0, **options)
    grad, _ = gradient(agent, batch_for(agent, 64))
    for name, where in agent.parts.flat.slices.items():
        moved = bool(grad[where].any())
        assert moved == name.startswith(("actor", "log_std")), name


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_median_loss_trains_the_trunk_only_when_stacked_on_it(backend):
    for separate in (False, True):
        agent = model(backend=backend, vf_coef=0.0, separate_median=separate)
        grad, _ = gradient(agent, batch_for(agent, 64))
        slices = agent.parts.flat.slices
        trunk = [bool(grad[where].any()) for name, where in slices.items() if name.startswith("critic")]
        assert trunk and all(moved != separate for moved in trunk)
        assert not grad[slices["value.weight"]].any()


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("mode", ["median", "mean"])
def test_first_minibatch_has_ratio_one(backend, mode):
    agent = model(backend=backend, mode=mode, temperature=2.0, median_temperature=3.0)
    batch = batch_for(agent, 300)
    _, metrics = gradient(agent, batch)
    latent = agent.policy.critic(batch.obs)
    threshold = agent.policy.median(latent).squeeze(-1) if mode == "median" else batch.value
    excess = (batch.return_ - threshold).detach()
    loss = ((batch.return_ - batch.value).abs() * 0.3 * torch.tanh(excess / 4.0).abs()).mean()
    assert metrics["policy_gradient_loss"] == pytest.approx(float(loss), rel=1e-4)
    assert metrics["clip_fraction"] == 0 and abs(metrics["approx_kl"]) < 1e-6
    if mode == "median":
        by_definition = 3.0 * torch.log(2 * torch.cosh(excess / 6.0)).mean()
        assert metrics["median_loss"] == pytest.approx(float(by_definition), rel=1e-4)
        assert metrics["median_mean_gap"] == pytest.approx(float((threshold - batch.value).mean().detach()), abs=1e-5)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_first_gradient_of_hard_mean_mode_is_unnormalised_ppos(backend):
    coefficients = {"vf_coef": 0.0, "ent_coef": 0.0, "backend": backend}
    bpo = model(mode="mean", temperature=0.0, clip_range=0.2, activation="tanh", **coefficients)
    ppo = model(algorithm=PPO, normalize_advantage=False, **coefficients)
    batch = batch_for(bpo, 128)
    ppo_grad, _ = gradient(ppo, batch, 0.2)
    bpo_grad, _ = gradient(bpo, batch, 0.2)
    assert float(ppo_grad.abs().max()) > 0.01
    np.testing.assert_allclose(bpo_grad, ppo_grad, atol=1e-5)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_ratios_stay_near_their_bounds_where_ppos_run_away(backend):
    # One fixed batch of 512 samples, 30 epochs: what overshot stays there under PPO and returns under BPO.
    steps = {"n_epochs": 30, "batch_size": 64, "n_steps": 512, "net_arch": (64, 64), "max_grad_norm": None}
    shares = {}
    for name, agent in {
        "median": model(backend=backend, **steps),
        "mean": model(backend=backend, mode="mean", **steps),
        "ppo": model(backend=backend, algorithm=PPO, normalize_advantage=False, clip_range=0.3, **steps),
    }.items():
        batch = batch_for(agent, 512)
        advantage = 2 * (batch.action * batch.obs[:, :2]).sum(1)  # what a network can follow, and overshoot
        batch = dataclasses.replace(batch, return_=batch.value + advantage, advantage=advantage)
        rates = {"learning_rate": 3e-4, "clip_range": 0.3}
        on_policy.update(agent.parts, batch, agent.config, agent.generator, **rates)
        ratio = (agent.parts.backend.log_prob(batch.obs, batch.action, None) - batch.log_prob).exp()
        shares[name] = float(((ratio - 1).abs() > 0.4).float().mean())
    assert shares["median"] < 0.05 and shares["mean"] < 0.05 and shares["ppo"] > 0.2, shares


# ------------------------------------------------------------------------------- returns


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_truncation_bootstraps_and_termination_does_not(end):
    agent = BPO(OneStep(end=end), n_steps=32, batch_size=32, gamma=0.9, device="cpu", net_arch=(8,))
    rollout = collect(agent.parts.backend, agent.start_runner(), 32, agent.generator)
    batch = on_policy.targets(rollout, gamma=0.9, gae_lambda=0.95)
    final_value = agent.parts.backend.values(torch.ones(1, 1))  # the true last observation is 1, the restart's is 0
    expected = 1.0 + (0.9 * float(final_value) if end == "truncated" else 0.0)
    # Every episode is one step long: nothing leaks across the boundaries.
    np.testing.assert_allclose(batch.return_, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("scale", "tau", "median"), [(20.0, 1.0, math.log(2)), (0.1, 1.0, 1.0), (0.1, 0.005, math.log(2))]
)
def test_median_critic_finds_median_or_mean_by_scale(scale, tau, median):
    """Rewards scale * Exp(1): the mean is scale, the median scale * ln 2; tau above the spread blurs them."""
    env = OneStep(draw=lambda rng: scale * rng.exponential())
    agent = BPO(
        env,
        n_steps=512,
        batch_size=128,
        learning_rate="linear:0.1" if scale > 1 else "linear:3e-3",
        median_temperature=tau,
        net_arch=(),
        max_grad_norm=None,
        device="cpu",
    )
    agent.learn(15_000, log_interval=None)
    rows = torch.zeros(1, 1)
    heads = agent.policy.heads(rows, torch.zeros(1, dtype=torch.int64))
    assert float(heads.value.detach()) / scale == pytest.approx(1.0, abs=0.15)
    assert float(heads.median.detach()) / scale == pytest.approx(median, abs=0.1)


# ------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    "bad",
    [
        {"mode": "mode"},
        {"temperature": -1.0},
        {"temperature": 1e-20},
        {"temperature": math.nan},
        {"median_temperature": 0.0},
        {"clip_range": 0.0},
        {"clip_range": 1.5},
        {"clip_range": "linear:1.1"},
        {"ratio_bounds": (1.1, 1.3)},
        {"ratio_bounds": (0.7, 0.9)},
        {"ratio_bounds": (0.7,)},
        {"learning_rate": 0.0},
        {"tv_offset": -0.1},
        {"median_coef": -1.0},
        {"gamma": 1.1},
        {"batch_size": 0},
        {"max_grad_norm": 0.0},
    ],
)
def test_bad_values_are_refused_by_name(bad):
    with pytest.raises(ValueError, match=next(iter(bad)).replace("ratio_bounds", "ratio.bounds")):
        BPOConfig(**bad)


def test_unknown_fields_and_back_ends_name_the_remedy():
    with pytest.raises(ValueError, match="temperature"):
        model(temperatur=1.0)
    with pytest.raises(ValueError, match="torch"):
        model(spaces.MultiBinary(3), backend="numpy")


def test_porting_a_tuned_ppo():
    ppo = PPOConfig(
        n_steps=512,
        gamma=0.98,
        clip_range=0.2,
        n_epochs=10,
        ent_coef=0.01,
        normalize_obs=True,
        net_arch=(32,),
    )
    bpo = BPOConfig.from_ppo(ppo)
    assert (bpo.clip_range, bpo.n_epochs, bpo.ent_coef) == (0.3, 20, 0.001)
    assert (bpo.temperature, bpo.vf_coef, bpo.median_coef) == (1e-3, 0.5, 0.5)
    assert (bpo.n_steps, bpo.gamma, bpo.normalize_obs, bpo.net_arch) == (512, 0.98, True, (32,))
    assert BPOConfig.from_ppo(PPOConfig(clip_range="linear:0.2")).clip_range == "linear:0.3:0.1"
    assert BPOConfig.from_ppo(PPOConfig(clip_range="cosine:0.95:0.1")).clip_range == "cosine:1.0:0.2"
    assert BPOConfig.from_ppo(ppo, mode="mean", n_epochs=3).n_epochs == 3
    assert BPO(None, bpo, spaces=(ROWS, BOX), device="cpu").config == bpo


def test_schedules_reach_optimiser_and_bounds():
    agent = BPO(
        "CartPole-v1",
        num_envs=2,
        clip_range="linear:0.4:0.1",
        learning_rate="linear:1e-3",
        device="cpu",
        **SMALL,
    )
    seen = []
    agent.learn(128, on_update=lambda a: seen.append(dict(a.logger.name_to_value)), log_interval=None)
    assert [log["train/clip_range"] for log in seen] == pytest.approx([0.4, 0.325, 0.25, 0.175])
    assert [log["train/learning_rate"] for log in seen] == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])
    expected = {
        "loss",
        "policy_gradient_loss",
        "value_loss",
        "median_loss",
        "entropy_loss",
        "approx_kl",
        "clip_fraction",
    }
    expected |= {
        "target_mean",
        "target_deviation",
        "median_mean_gap",
        "grad_norm",
        "explained_variance",
        "n_updates",
    }
    assert expected <= {name.removeprefix("train/") for name in seen[-1]}
    assert all(0.6 - 1e-6 <= log["train/target_mean"] <= 1.4 + 1e-6 for log in seen)


# ------------------------------------------------------------------------------- the loop


def weights(agent):
    return agent.parts.flat.data.clone()


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_same_seed_same_weights(backend):
    def train(seed):
        agent = BPO("CartPole-v1", num_envs=2, seed=seed, backend=backend, device="cpu", **SMALL)
        return weights(agent.learn(200, log_interval=None))

    first = train(3)
    assert torch.equal(first, train(3)) and not torch.equal(first, train(4))
    assert bool(torch.isfinite(first).all())


def test_back_ends_train_alike():
    runs = []
    for backend in ("numpy", "torch"):
        agent = BPO("rlsuite/ProbeBox-v0", num_envs=4, backend=backend, device="cpu", **SMALL | {"temperature": 0.5})
        runs.append(weights(agent.learn(64, log_interval=None)))
    # One rollout and four steps of Adam: equal up to float32 rounding, which Adam's division amplifies.
    np.testing.assert_allclose(*runs, atol=2e-4)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("env_id", ["rlsuite/CartPole-v1", "rlsuite/Pendulum-v1"])
def test_resumed_training_equals_uninterrupted(tmp_path, env_id, normalize):
    options = SMALL | {
        "normalize_obs": normalize,
        "normalize_reward": normalize,
        "separate_median": normalize,
    }
    whole = BPO(env_id, num_envs=4, seed=1, device="cpu", **options)
    whole.learn(128, log_interval=None).learn(128, reset_num_timesteps=False, log_interval=None)
    part = BPO(env_id, num_envs=4, seed=1, device="cpu", **options).learn(128, log_interval=None)
    part.save(tmp_path / "model")
    resumed = rlsuite.load(tmp_path / "model", env=env_id, device="cpu")
    assert isinstance(resumed, BPO) and resumed.config == part.config
    obs = np.stack([part.observation_space.sample() for _ in range(5)])
    assert np.array_equal(resumed.predict(obs, deterministic=True)[0], part.predict(obs, deterministic=True)[0])
    resumed.learn(128, reset_num_timesteps=False, log_interval=None)
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.num_timesteps == whole.num_timesteps == 256


def test_asymmetric_bounds_survive_the_checkpoint(tmp_path):
    agent = BPO("CartPole-v1", ratio_bounds=(0.5, 2.0), device="cpu", **SMALL | {"batch_size": 16})
    agent.save(tmp_path / "model")
    assert BPO.load(tmp_path / "model", device="cpu").config == agent.config


def test_rewards_that_are_not_numbers_stop_training():
    agent = BPO(OneStep(draw=lambda rng: math.nan), device="cpu", **SMALL | {"batch_size": 16})
    with pytest.raises(FloatingPointError, match="reward is nan"):
        agent.learn(32, log_interval=None)


def test_diverging_training_names_the_loss():
    agent = BPO(OneStep(draw=lambda rng: 5e17), device="cpu", **SMALL | {"batch_size": 16, "vf_coef": 1e4})
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="diverged"):
        agent.learn(64, log_interval=None)
    assert all(bool(torch.isfinite(x).all()) for x in agent.policy.parameters())


# ------------------------------------------------------------------------------- learning

PROBE = {
    "n_steps": 16,
    "batch_size": 128,
    "n_epochs": 10,
    "learning_rate": 3e-3,
    "net_arch": (32, 32),
    "gamma": 0.9,
    "activation": "tanh",
}


def probe(name, steps, **options):
    env = f"rlsuite/Probe{name}-v0"
    return BPO(env, num_envs=32, seed=0, device="cpu", **PROBE | options).learn(steps, log_interval=None)


def values_at(agent, *rows):
    return agent.parts.backend.values(torch.tensor(rows, dtype=torch.float32)[:, None]).tolist()


@pytest.mark.parametrize("mode", ["median", "mean"])
def test_probes_of_the_value(mode):
    assert values_at(probe("Constant", 4_000, mode=mode), 0.0) == pytest.approx([1.0], abs=0.05)
    assert values_at(probe("Observation", 6_000, mode=mode), -1.0, 1.0) == pytest.approx([-1.0, 1.0], abs=0.1)
    assert values_at(probe("Discount", 10_000, mode=mode), 0.0, 1.0) == pytest.approx([0.9, 1.0], abs=0.1)


def test_probe_of_truncation():
    agent = probe("Truncation", 30_000, gamma=0.5)
    assert values_at(agent, 1.0, -1.0) == pytest.approx([1.0, 2.0], abs=0.15)


def played(agent, episodes=256):
    """The mean reward of one deterministic step in many copies of a one-step probe."""
    venv = gym.make_vec(agent.env_id, num_envs=episodes)
    obs, info = venv.reset(seed=123)
    action, _ = agent.predict(obs, deterministic=True, action_masks=info.get("action_mask"))
    _, reward, *_ = venv.step(action)
    venv.close()
    return float(np.mean(reward))


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("Policy", 1.0),
        ("PolicyObservation", 1.0),
        ("Discrete", 0.99),
        ("MultiDiscrete", 0.95),
        ("MultiBinary", 0.95),
        ("Box", 0.95),
        ("Mask", 0.99),
        ("Dict", 0.99),
    ],
)
def test_probes_of_the_policy(name, least):
    assert played(probe(name, 20_000)) >= least


def test_probes_with_soft_asymmetric_and_mean_targets():
    assert played(probe("PolicyObservation", 10_000, mode="mean", temperature=0.5)) == 1.0
    assert played(probe("PolicyObservation", 10_000, ratio_bounds=(0.5, 2.0), median_temperature=0.1)) == 1.0
    assert played(probe("Box", 20_000, online_advantage=False, normalize_obs=True, normalize_reward=True)) > 0.9


def returns_of(agent, env_id, episodes=20):
    same_step = gym.vector.AutoresetMode.SAME_STEP
    venv = gym.vector.SyncVectorEnv([lambda: gym.make(env_id)] * episodes, autoreset_mode=same_step)
    obs, _ = venv.reset(seed=99)
    total, alive = np.zeros(episodes), np.ones(episodes, bool)
    while alive.any():
        obs, reward, terminated, truncated, _ = venv.step(agent.predict(obs, deterministic=True)[0])
        total += reward * alive
        alive &= ~(terminated | truncated)
    venv.close()
    return float(total.mean())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_loss_equals_eager():
    compiled, eager = model(backend="torch", compile=True), model(backend="torch")
    batch = batch_for(eager, 64, drift=0.3)
    for clip_range in (0.3, 0.2, 0.1):  # a schedule must not be compiled in
        mine, metrics = gradient(compiled, batch, clip_range)
        reference, expected = gradient(eager, batch, clip_range)
        np.testing.assert_allclose(mine, reference, atol=1e-5)
        assert metrics == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.slow
def test_learns_cartpole():
    scores = []
    for seed in range(3):
        agent = BPO(
            "CartPole-v1",
            num_envs=8,
            n_steps=128,
            batch_size=128,
            seed=seed,
            device="cpu",
            learning_rate=1e-3,
            net_arch=(64, 64),
            activation="tanh",
        ).learn(100_000, log_interval=None)
        scores.append(returns_of(agent, "CartPole-v1"))
    assert statistics.median(scores) >= 475, scores


@pytest.mark.slow
def test_learns_pendulum():
    scores = []
    for seed in range(3):
        agent = BPO(
            "Pendulum-v1",
            num_envs=8,
            n_steps=256,
            batch_size=64,
            seed=seed,
            device="cpu",
            learning_rate=1e-3,
            gamma=0.9,
            net_arch=(64, 64),
            activation="tanh",
            normalize_obs=True,
            normalize_reward=True,
            median_temperature=0.1,
        ).learn(200_000, log_interval=None)
        scores.append(returns_of(agent, "Pendulum-v1"))
    assert statistics.median(scores) >= -400, scores  # random play: about -1200
