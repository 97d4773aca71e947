"""PDPPO: targets and losses by hand, the release's arithmetic, probes, determinism and resume."""

from __future__ import annotations

import statistics
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import rlsuite
from rlsuite.core.evaluate import evaluate
from rlsuite.core.types import Rollout
from rlsuite.policy_gradient.pdppo import PDPPO, PDPPOBatch, PDPPOConfig, pdppo_losses, post_decision_targets

PROBE = {
    "num_envs": 16,
    "n_steps": 16,
    "batch_size": 64,
    "n_epochs": 4,
    "learning_rate": 3e-3,
    "net_arch": (16,),
    "device": "cpu",
}
PLANT = "rlsuite/LotSizing-15x5-v0"


def rollout(**changes):
    """Three steps of one environment; time runs out after the second."""
    column = lambda *x: torch.tensor(x)[:, None]  # noqa: E731
    values = {
        "obs": torch.zeros(3, 1, 1),
        "action": torch.zeros(3, 1, dtype=torch.int64),
        "reward": column(1.0, 2.0, 4.0),
        "terminated": column(False, False, False),
        "truncated": column(False, True, False),
        "log_prob": column(0.0, 0.0, 0.0),
        "value": column(10.0, 20.0, 30.0),
        "next_value": column(20.0, 25.0, 40.0),
    }
    return Rollout(**values | changes)


C = torch.tensor([[-1.0], [-2.0], [0.0]])
POST_VALUE = torch.tensor([[11.0], [19.0], [35.0]])


def targets(**config):
    """Advantage, target of V and of V^x as lists."""
    given = PDPPOConfig(**{"gamma": 0.5, "gae_lambda": 1.0} | config)
    return [x.flatten().tolist() for x in post_decision_targets(rollout(), C, POST_VALUE, given)]


def test_full_targets_and_the_q_advantage_by_hand():
    # G_1 = 2 + 0.5 * 25 = 14.5 (bootstrapped where time ran out), G_0 = 1 + 0.5 G_1, G_2 = 4 + 0.5 * 40
    g = [8.25, 14.5, 24.0]
    advantage, return_, post_return = targets(combine="q", q_weight=1.0)
    assert return_ == g
    assert post_return == [9.25, 16.5, 24.0]  # G - c
    assert advantage == [-1 + 11 - 10, -2 + 19 - 20, 0 + 35 - 30]
    mixed, *_ = targets(combine="q", q_weight=0.25)
    gae = [g[0] - 10, g[1] - 20, g[2] - 30]
    assert mixed == pytest.approx([0.25 * q + 0.75 * a for q, a in zip(advantage, gae, strict=True)])
    assert targets(combine="gae")[0] == pytest.approx(gae)


def test_the_releases_split_targets_by_hand():
    release = {"combine": "max", "targets": "split", "bootstrap": False}
    advantage, return_, post_return = targets(**release)
    # k = r - c = 2, 4, 4; the sums restart after the time limit and stop with the rollout
    assert return_ == [2 + 0.5 * 4, 4.0, 4.0]
    assert post_return == [-1 + 0.5 * -2, -2.0, 0.0]
    assert advantage == [max(4 - 10, -2 - 11), max(4 - 20, -2 - 19), max(4 - 30, 0 - 35)]
    assert targets(**release | {"combine": "mean"})[0] == [(-6 - 13) / 2, (-16 - 21) / 2, (-26 - 35) / 2]


def test_the_early_release_takes_the_smaller_critic():
    advantage, return_, post_return = targets(combine="min_value", targets="same")
    assert return_ == post_return
    smaller = torch.minimum(rollout().value, POST_VALUE).flatten()
    assert advantage == pytest.approx((torch.tensor(return_) - smaller).tolist())


def test_the_q_advantage_has_no_noise_of_chance():
    """One state, one step: r = a + w. With exact critics every sample's advantage is exact; the GAE's is not."""
    action = torch.tensor([0.0, 1.0]).repeat(500)[None]
    noise = torch.randn(1, 1000, generator=torch.Generator().manual_seed(0))
    noise -= noise.mean()
    done = torch.ones(1, 1000, dtype=torch.bool)
    data = rollout(
        reward=action + noise,
        value=torch.full((1, 1000), 0.5),
        next_value=torch.zeros(1, 1000),
        terminated=done,
        truncated=~done,
    )
    of = {
        w: post_decision_targets(data, action, torch.zeros(1, 1000), PDPPOConfig(q_weight=w))[0]
        for w in (0.0, 0.5, 1.0)
    }
    assert torch.equal(of[1.0], action - 0.5)
    spread = {w: float((a - (action - 0.5)).std()) for w, a in of.items()}
    assert spread[0.0] == pytest.approx(float(noise.std()), rel=1e-4)
    assert spread[0.5] == pytest.approx(0.5 * float(noise.std()), rel=1e-4)


def plant_batch(model, num=12, advantage=None):
    """States, actions and made-up targets of the plant."""
    torch.manual_seed(0)
    obs, post = torch.rand(2, num, model.obs_size)
    policy = model.policy.distribution(obs)
    action = policy.sample()
    log_prob = model.policy.log_prob(policy, action, model.config.ratio).detach()
    advantage = torch.randn(num) if advantage is None else advantage
    return PDPPOBatch(obs, post, action, log_prob, advantage, torch.randn(num), torch.randn(num))


def test_component_ratios_are_clipped_one_by_one():
    """The loss against plain loops over samples and machines; every ratio meets its own sample's advantage."""
    model = PDPPO(PLANT, faithful=True, num_envs=1, seed=0, device="cpu")
    batch = plant_batch(model)
    old = batch.log_prob + 0.4 * torch.randn(batch.log_prob.shape, generator=torch.Generator().manual_seed(1))
    batch = PDPPOBatch(**{**vars(batch), "log_prob": old})
    actor, critic, metrics = pdppo_losses(model.policy, batch, 0.2, model.config)
    logits = model.policy.body(batch.obs).detach().double().view(12, 5, 16)
    log_p = torch.log_softmax(logits, -1)
    total, entropy = 0.0, 0.0
    for t in range(12):
        for m in range(5):
            row = log_p[t, m]
            ratio = float((row[batch.action[t, m]] - old[t, m]).exp())
            a = float(batch.advantage[t])
            total -= min(ratio * a, min(max(ratio, 0.8), 1.2) * a) / 60
            entropy -= float((row.exp() * row).sum()) / 60
    assert float(actor.detach()) == pytest.approx(total - 1e-3 * entropy, rel=1e-4)
    assert 0.1 < float(metrics["clip_fraction"]) < 0.9
    value = model.policy.critics[0](batch.obs)[:, 0]
    post = model.policy.critics[1](batch.post_obs)[:, 0]
    expected = (value - batch.return_).square().mean() + (post - batch.post_return).square().mean()
    assert float(critic.detach()) == pytest.approx(float(expected.detach()))


def test_joint_ratios_multiply_the_components():
    model = PDPPO(PLANT, num_envs=8, seed=0, device="cpu", normalize_advantage=False)
    batch = plant_batch(model)
    old = batch.log_prob - np.log(1.1).astype(np.float32)
    actor, _, metrics = pdppo_losses(model.policy, PDPPOBatch(**{**vars(batch), "log_prob": old}), 0.2, model.config)
    assert batch.log_prob.shape == (12,)
    assert float(actor.detach()) == pytest.approx(-1.1 * float(batch.advantage.mean()), rel=1e-3)
    assert float(metrics["approx_kl"].detach()) == pytest.approx(0.1 - np.log(1.1), rel=1e-2)


def test_one_critic_of_the_release_fits_the_sum_of_both_targets():
    model = PDPPO(PLANT, faithful=True, critics="one", bounded_critic=True, num_envs=1, seed=0, device="cpu")
    batch = plant_batch(model)
    _, critic, _ = pdppo_losses(model.policy, batch, 0.2, model.config)
    only = model.policy.critics[0]
    assert len(model.policy.critics) == 1
    sums = only(batch.obs)[:, 0] + only(batch.post_obs)[:, 0]
    expected = (sums - batch.return_ - batch.post_return).square().mean()
    assert float(critic.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert float(only(100 * batch.obs).detach().abs().max()) <= 1


def test_the_release_keeps_six_rollouts_with_their_old_numbers():
    model = PDPPO(PLANT, faithful=True, num_envs=1, n_steps=20, n_epochs=1, seed=0, device="cpu")
    seen = []
    original = model._update
    model._update = lambda batch, **rates: (seen.append(batch), original(batch, **rates))[1]
    model.learn(9 * 20, log_interval=None)
    assert [len(batch) for batch in seen] == [20, 40, 60, 80, 100, 120, 120, 120, 120]
    assert torch.equal(seen[7].log_prob[20:], seen[8].log_prob[:-20])
    assert seen[-1].log_prob.shape == (120, 5)


def test_the_frozen_trunk_keeps_its_random_features():
    model = PDPPO(PLANT, faithful=True, frozen_trunk=True, num_envs=1, n_steps=100, n_epochs=2, device="cpu")
    before = {name: p.clone() for name, p in model.policy.named_parameters()}
    model.learn(200, log_interval=None)
    changed = {name for name, p in model.policy.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"body.4.weight", "body.4.bias"} | {n for n in before if n.startswith("critics")}


def test_recorded_post_decisions_are_those_of_the_steps_taken():
    """The stock after production less the demand, cut at 0 and the capacity, is the next step's stock."""
    model = PDPPO(PLANT, num_envs=16, n_steps=32, seed=0, device="cpu")
    kept = []
    original = model._batch
    model._batch = lambda data, post: (kept.append((data, post)), original(data, post))[1]
    model.learn(512, log_interval=None)
    (data, post) = kept[0]
    seen, caused = post.stack()
    assert caused.shape == (32, 16)
    assert (caused <= 0).all() and (caused < 0).any()  # set-up costs
    going_on = ~data.truncated[:-1]
    setups = slice(15, None)
    assert torch.equal(seen[:-1][going_on][:, setups], data.obs[1:][going_on][:, setups])
    sold = seen[:-1][going_on][:, :15] - data.obs[1:][going_on][:, :15]
    inside = (data.obs[1:][going_on][:, :15] > 0) & (data.obs[1:][going_on][:, :15] < 1)
    assert float(sold[inside].min()) >= -1e-6  # demand only takes
    assert float(sold[inside].mean()) == pytest.approx(0.08, abs=0.01)  # 8 of 100 units a period


@pytest.mark.parametrize(
    ("name", "combine"),
    [("Constant", "q"), ("Observation", "max"), ("Discount", "q"), ("Truncation", "mean")],
)
def test_value_probes(name, combine):
    model = PDPPO(f"rlsuite/Probe{name}-v0", **PROBE, combine=combine, gamma=0.9, seed=1).learn(10_000)
    kernel = model.venv.kernel
    obs, _ = model.venv.reset(seed=5)
    rows = torch.as_tensor(obs).float()
    error = (model.policy.values(rows).detach() - kernel.true_value(rows, 0.9)).abs().max()
    assert float(error) < 0.15 * max(1.0, float(kernel.true_value(rows, 0.9).abs().max()))


@pytest.mark.parametrize(
    "name", ["Policy", "PolicyObservation", "Discrete", "MultiDiscrete", "MultiBinary", "Box", "Mask", "Dict"]
)
def test_policy_probes(name):
    model = PDPPO(f"rlsuite/Probe{name}-v0", **PROBE, seed=1).learn(10_000)
    kernel = model.venv.kernel
    least = kernel.random_return + 0.85 * (kernel.optimal_return - kernel.random_return)
    assert statistics.fmean(model.runner.stats.recent_returns) > least


@pytest.mark.parametrize("options", [{}, {"normalize_obs": True}, {"critics": "one"}])
def test_same_seed_same_weights(options):
    weights = []
    for seed in (3, 3, 4):
        model = PDPPO(PLANT, num_envs=4, n_steps=16, batch_size=32, seed=seed, device="cpu", **options)
        model.learn(256, log_interval=None)
        weights.append(torch.cat([model.actor.data, model.critics.data]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("options", [{}, {"window": 3}, {"normalize_obs": True, "normalize_reward": True}])
def test_resumed_training_equals_uninterrupted(tmp_path, options):
    common = {"num_envs": 4, "n_steps": 16, "batch_size": 32, "seed": 2, "device": "cpu", **options}
    whole = PDPPO(PLANT, **common)

    def save(agent):
        if agent.num_timesteps == 320:
            agent.save(tmp_path / "half")

    whole.learn(640, on_update=save, log_interval=None)
    resumed = rlsuite.load(tmp_path / "half", env=PLANT, device="cpu")
    assert isinstance(resumed, PDPPO) and resumed.config == whole.config
    resumed.learn(320, reset_num_timesteps=False, log_interval=None)
    for mine, theirs in ((resumed.actor, whole.actor), (resumed.critics, whole.critics)):
        assert torch.equal(mine.data, theirs.data)
    obs = np.zeros(resumed.observation_space.shape, np.float32)
    np.testing.assert_array_equal(
        resumed.predict(obs, deterministic=True)[0], whole.predict(obs, deterministic=True)[0]
    )


@pytest.mark.parametrize("env", ["CartPole-v1", "HalfCheetah-v5"])
def test_environments_that_do_not_split_their_step_are_refused(env):
    with pytest.raises(ValueError, match=r"does not split its step.*post_decision.*observe_post"):
        PDPPO(env, num_envs=2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"combine": "median"}, "combine"),
        ({"targets": "split"}, "combine='q'"),
        ({"targets": "split", "combine": "max"}, "bootstrap=False"),
        ({"combine": "min_value"}, "'same'"),
        ({"q_weight": 1.5}, "q_weight"),
        ({"window": 0}, "window"),
        ({"ratio": "both"}, "ratio"),
        ({"learning_rate": -1.0}, "learning_rate"),
    ],
)
def test_bad_values_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        PDPPOConfig(**fields)


def test_a_post_state_of_another_shape_is_refused():
    model = PDPPO(PLANT, num_envs=2, n_steps=16, batch_size=16, device="cpu")
    kernel = model.venv.kernel
    kernel.observe_post = lambda post: post.inventory.float()
    with pytest.raises(ValueError, match=r"observe_post returns 15 numbers, observe 95"):
        model.learn(32)


def test_its_name_on_the_command_line():
    assert rlsuite.algorithm("pdppo") is PDPPO
    assert SimpleNamespace(**vars(PDPPOConfig.release(n_epochs=3))).n_epochs == 3


@pytest.mark.slow
def test_beats_the_static_assignment():
    """15x5: one fixed item per machine earns -2126, uniformly random play -12773 (measured)."""
    model = PDPPO(PLANT, num_envs=64, n_steps=32, normalize_reward=True, learning_rate=1e-3, seed=0)
    model.learn(200_000)
    assert evaluate(model, PLANT, episodes=100, seed=9).interval.low > -2126
