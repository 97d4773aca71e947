"""PPO against Stable-Baselines3's on the same data, the ladder of probes, determinism and resume."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO as Baseline
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.env_util import make_vec_env

import rlsuite_envs  # noqa: F401  # registers the probes
from rlsuite.core import on_policy
from rlsuite.core.evaluate import evaluate
from rlsuite.core.returns import gae
from rlsuite.core.types import PolicyBatch
from rlsuite.policy_gradient.ppo import PPO, PPOConfig

PROBE = {
    "num_envs": 16,
    "n_steps": 16,
    "batch_size": 64,
    "n_epochs": 4,
    "learning_rate": 3e-3,
    "net_arch": (16,),
    "device": "cpu",
}


def copy_weights(baseline, model):
    """Give our networks the weights of an SB3 policy with the same layers."""
    theirs, mine = baseline.policy.state_dict(), dict(model.policy.named_parameters())
    pairs = {
        "mlp_extractor.policy_net.0": "actor.0",
        "mlp_extractor.policy_net.2": "actor.2",
        "action_net": "actor.4",
        "mlp_extractor.value_net.0": "critic.0",
        "mlp_extractor.value_net.2": "critic.2",
        "value_net": "value",
    }
    with torch.no_grad():
        for source, target in pairs.items():
            for kind in ("weight", "bias"):
                mine[f"{target}.{kind}"].copy_(theirs[f"{source}.{kind}"])
        if "log_std" in theirs:
            mine["log_std"].copy_(theirs["log_std"])
    return {f"{target}.{kind}": f"{source}.{kind}" for source, target in pairs.items() for kind in ("weight", "bias")}


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "CartPole-v1"])
@pytest.mark.parametrize("options", [{}, {"ent_coef": 0.01, "clip_range_vf": 0.2, "normalize_advantage": False}])
def test_update_equals_stable_baselines3(env_id, backend, options):
    """One rollout collected by SB3, one epoch of one minibatch in both: the same weights come out."""
    common = {"n_steps": 64, "batch_size": 128, "n_epochs": 3, "learning_rate": 1e-3, **options}
    baseline = Baseline("MlpPolicy", make_vec_env(env_id, 2, seed=0), seed=0, device="cpu", **common)
    baseline.learn(128)  # moves the policy off its start and leaves a collected rollout behind
    baseline.collect_rollouts(
        baseline.env, baseline._init_callback(None), baseline.rollout_buffer, n_rollout_steps=baseline.n_steps
    )
    model = PPO(env_id, num_envs=2, seed=0, device="cpu", backend=backend, **common)
    names = copy_weights(baseline, model)
    state = baseline.policy.optimizer.state_dict()["state"]
    order = [name for name, _ in baseline.policy.named_parameters()]
    for mine, theirs in [*names.items(), *([("log_std", "log_std")] if "log_std" in order else [])]:
        moments, part = state[order.index(theirs)], model.parts.flat.slices[mine]
        model.parts.optimizer.mean[part] = moments["exp_avg"].flatten()
        model.parts.optimizer.square[part] = moments["exp_avg_sq"].flatten()
        model.parts.optimizer.steps.fill_(float(moments["step"]))
    buffer = baseline.rollout_buffer
    flat = lambda x: torch.as_tensor(x.swapaxes(0, 1).reshape(-1, *x.shape[2:])).float()  # noqa: E731
    action = flat(buffer.actions)
    batch = PolicyBatch(
        flat(buffer.observations),
        action if "log_std" in order else action[:, 0].long(),
        flat(buffer.log_probs),
        flat(buffer.values),
        flat(buffer.advantages),
        flat(buffer.returns),
    )
    before = model.parts.flat.data.clone()
    on_policy.update(model.parts, batch, model.config, model.generator, learning_rate=1e-3, clip_range=0.2)
    baseline.train()
    expected = dict(baseline.policy.named_parameters())
    for mine, theirs in names.items():
        torch.testing.assert_close(dict(model.policy.named_parameters())[mine], expected[theirs], rtol=1e-4, atol=2e-5)
    assert float((model.parts.flat.data - before).abs().max()) > 1e-4


def test_advantages_equal_stable_baselines3():
    """SB3 adds gamma V(last observation) to a truncated step's reward; we bootstrap from it: equal advantages."""
    rng = np.random.default_rng(0)
    steps, envs, gamma, lam = 50, 3, 0.97, 0.9
    reward, value = rng.standard_normal((2, steps, envs)).astype(np.float32)
    last_value, final_value = rng.standard_normal((2, envs)).astype(np.float32)
    terminated, truncated = rng.random((2, steps, envs)) < 0.1
    truncated &= ~terminated
    done = terminated | truncated
    buffer = RolloutBuffer(
        steps,
        spaces.Box(-1, 1, (1,)),
        spaces.Discrete(2),
        device="cpu",
        gae_lambda=lam,
        gamma=gamma,
        n_envs=envs,
    )
    buffer.rewards = np.where(truncated, reward + gamma * final_value, reward)
    buffer.values = value.copy()
    buffer.episode_starts = np.vstack([np.zeros((1, envs)), done[:-1]]).astype(np.float32)
    buffer.compute_returns_and_advantage(torch.from_numpy(last_value), done[-1])
    next_value = np.vstack([value[1:], last_value[None]])
    next_value = np.where(truncated, final_value, next_value)
    tensors = [torch.from_numpy(x) for x in (reward, value, next_value, terminated, done)]
    advantage, return_ = gae(*tensors, gamma=gamma, gae_lambda=lam)
    np.testing.assert_allclose(advantage.numpy(), buffer.advantages, atol=1e-5)
    np.testing.assert_allclose(return_.numpy(), buffer.returns, atol=1e-5)


@pytest.mark.parametrize("name", ["Constant", "Observation", "Discount", "Truncation"])
def test_value_probes(name):
    model = PPO(f"rlsuite/Probe{name}-v0", **PROBE, gamma=0.9, seed=1).learn(15_000)
    kernel = model.venv.kernel
    obs, _ = model.venv.reset(seed=5)
    rows = torch.as_tensor(obs).float()
    error = (model.policy.values(rows).detach() - kernel.true_value(rows, 0.9)).abs().max()
    assert float(error) < 0.15 * max(1.0, float(kernel.true_value(rows, 0.9).abs().max()))


@pytest.mark.parametrize(
    "name", ["Policy", "PolicyObservation", "Discrete", "MultiDiscrete", "MultiBinary", "Box", "Mask", "Dict"]
)
def test_policy_probes(name):
    model = PPO(f"rlsuite/Probe{name}-v0", **PROBE, ent_coef=0.0, seed=1).learn(25_000)
    kernel = model.venv.kernel
    returns = model.runner.stats.recent_returns
    least = kernel.random_return + 0.85 * (kernel.optimal_return - kernel.random_return)
    assert statistics.fmean(returns) > least, (kernel.random_return, kernel.optimal_return)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_same_seed_same_weights(backend):
    runs = [
        PPO("Pendulum-v1", num_envs=2, n_steps=64, seed=s, backend=backend, normalize_obs=True).learn(512)
        for s in (3, 3, 4)
    ]
    assert torch.equal(runs[0].parts.flat.data, runs[1].parts.flat.data)
    assert not torch.equal(runs[0].parts.flat.data, runs[2].parts.flat.data)


@pytest.mark.parametrize("env_id", ["rlsuite/CartPole-v1", "Hopper-v5"])
@pytest.mark.parametrize("normalize", [False, True])
def test_resumed_training_equals_uninterrupted(tmp_path, env_id, normalize):
    options = {
        "n_steps": 32,
        "batch_size": 64,
        "n_epochs": 2,
        "normalize_obs": normalize,
        "normalize_reward": normalize,
    }
    options |= {"learning_rate": "linear:1e-3", "num_envs": 4, "seed": 2, "device": "cpu"}
    whole = PPO(env_id, **options)
    saved = []
    whole.learn(
        1280,
        on_update=lambda agent: (
            saved or saved.append(agent.save(tmp_path / "half")) if agent.num_timesteps == 640 else None
        ),
    )
    resumed = PPO.load(tmp_path / "half", env=env_id, device="cpu")
    assert resumed.num_timesteps == 640
    resumed.learn(640, reset_num_timesteps=False)
    assert torch.equal(resumed.parts.flat.data, whole.parts.flat.data)
    assert resumed.num_timesteps == whole.num_timesteps and resumed.n_updates == whole.n_updates


def test_target_kl_stops_the_epochs():
    free = PPO("Pendulum-v1", num_envs=2, n_steps=64, n_epochs=20, learning_rate=0.01, seed=0).learn(128)
    held = PPO("Pendulum-v1", num_envs=2, n_steps=64, n_epochs=20, learning_rate=0.01, seed=0, target_kl=1e-3).learn(
        128
    )
    assert float(held.parts.optimizer.steps) < float(free.parts.optimizer.steps) == 40


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_steps", 0),
        ("gamma", 1.5),
        ("gae_lambda", -0.1),
        ("clip_range", 0.0),
        ("learning_rate", "linear:-1"),
        ("ent_coef", -1.0),
    ],
)
def test_bad_values_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        PPOConfig(**{field: value})


def test_batch_larger_than_rollout_is_refused():
    with pytest.raises(ValueError, match=r"batch_size=64 is larger than the rollout .* = 32 samples"):
        PPO("CartPole-v1", num_envs=2, n_steps=16)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_learns_cartpole(backend):
    model = PPO("CartPole-v1", num_envs=8, n_steps=256, seed=0, backend=backend).learn(100_000)
    assert evaluate(model, "CartPole-v1", episodes=20, seed=9).interval.estimate > 475


@pytest.mark.slow
def test_learns_halfcheetah():
    """Median of three seeds; a policy that only leans forward stays below 0."""
    options = {"num_envs": 16, "n_steps": 128, "normalize_obs": True, "normalize_reward": True}
    returns = []
    for seed in range(3):
        model = PPO("HalfCheetah-v5", seed=seed, **options).learn(300_000)
        returns.append(evaluate(model, "HalfCheetah-v5", episodes=5, seed=99).interval.estimate)
    assert statistics.median(returns) > 700
