"""QARL: temperatures per sample, the quantal response of a known game, phases that drop the other side, resume."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import rlsuite
from rlsuite import QARL, SAC
from rlsuite.adversarial.games.qarl import QARLConfig
from rlsuite.core.buffers import ReplayBatch
from rlsuite.core.evaluate import evaluate
from rlsuite.core.two_player import ADVERSARY, AGENT, Versus
from rlsuite.off_policy.networks import Actor, SplitActor, TwinCritic, xavier_uniform_
from rlsuite.off_policy.sac import SACConfig
from rlsuite.off_policy.soft_learner import SoftLearner, StepSizes
from rlsuite_envs.make import make_vector_env
from rlsuite_envs.mujoco import MujocoPool

SMALL = {
    "num_envs": 3,
    "net_arch": (16, 16),
    "batch_size": 32,
    "critic_starts": 300,
    "actor_starts": 450,
    "device": "cpu",
    "seed": 3,
    "buffer_size": 20_000,
    "steps_per_update": 12,
}
SHORT = {"horizon": 15}  # too short for the mass to leave the square
KINDS = ("quantal", "linear", "fixed", "automatic", "force", "random", "none")


def learner(seed=0, ent_coef=0.2):
    torch.manual_seed(seed)
    config = SACConfig(net_arch=(8, 8))
    critics = [TwinCritic(3, 2, config) for _ in range(2)]
    return SoftLearner(
        Actor(3, 2, config), *critics, ent_coef=ent_coef, target_entropy=-2.0, tau=0.1, max_grad_norm=None
    )


def batch(temperature, size=16):
    g = torch.Generator().manual_seed(1)
    obs, next_obs = (torch.randn(size, 3, generator=g) for _ in range(2))
    obs[:, -1] = next_obs[:, -1] = temperature
    action, reward = torch.rand(size, 2, generator=g) * 2 - 1, torch.randn(size, generator=g)
    return ReplayBatch(obs, action, reward, next_obs, torch.rand(size, generator=g) < 0.2, torch.full((size,), 0.9))


def test_a_constant_temperature_per_sample_is_plain_sac():
    plain, stored = learner(ent_coef=0.2), learner(ent_coef="auto")
    rates, data = StepSizes(1e-3, 1e-3, 1e-3), batch(0.2)
    generators = [torch.Generator().manual_seed(5) for _ in range(2)]
    for _ in range(10):
        plain.gradient_step(data, generators[0], rates)
        stored.gradient_step(data, generators[1], rates, alpha=data.obs[:, -1])
    for name in ("actor", "critic", "target"):
        torch.testing.assert_close(plain.flat[name].data, stored.flat[name].data, rtol=1e-5, atol=1e-6)
    assert stored.flat["alpha"].data.item() == 0.0  # given temperatures leave the own one as it was


def test_each_sample_has_its_own_temperature():
    """The gradient of a mixed batch is the mean of the gradients of its samples, each at its own temperature."""
    mixed = batch(torch.linspace(0.01, 2.0, 16))

    def gradients(rows):
        part = ReplayBatch(*(x[rows] for x in vars(mixed).values()))
        model = learner()
        model.kernel = None  # autograd, whose actor the noise can be given to; test_kernel compares the two
        noise = torch.randn(16, 2, generator=torch.Generator().manual_seed(3))
        model.actor.forward = lambda obs, f=model.actor.forward: Fixed(f(obs), noise[rows])
        model.gradient_step(part, torch.Generator(), StepSizes(0.0, 0.0, 0.0), alpha=part.obs[:, -1])
        return model.flat["actor"].grad.clone(), model.flat["critic"].grad.clone()

    class Fixed:
        def __init__(self, policy, noise):
            self.policy, self.noise = policy, noise

        def sample_with_log_prob(self, generator):
            raw = self.policy.base.mean + self.policy.base.log_std.exp() * self.noise
            action = torch.tanh(raw)
            return action, self.policy.log_prob(action)

    whole = gradients(slice(None))
    alone = [gradients(slice(i, i + 1)) for i in range(16)]
    for k in range(2):
        torch.testing.assert_close(whole[k], torch.stack([g[k] for g in alone]).mean(0), rtol=1e-3, atol=1e-5)


def test_separate_networks_and_their_initialisation():
    torch.manual_seed(0)
    config = SACConfig(net_arch=(64, 64))
    actor, critic = SplitActor(10, 2, config), TwinCritic(10, 2, config)
    for network in (actor, critic):
        xavier_uniform_(network)
    for part in (actor.mean, actor.log_std):
        shapes = [(10, 64, 2), (64, 64, 2), (64, 2, 1)]
        for layer, (fan_in, fan_out, gain) in zip(part[::2], shapes, strict=True):
            bound = (gain * 6 / (fan_in + fan_out)) ** 0.5
            assert 0.9 * bound < layer.weight.abs().max() <= bound
    for weight, gain in zip(critic.weights, (2, 2, 1), strict=True):
        bound = (gain * 6 / sum(weight.shape[1:])) ** 0.5
        assert 0.9 * bound < weight.abs().max() <= bound
    actor(torch.zeros(1, 10)).mode().sum().backward()
    assert all(p.grad is None for p in actor.log_std.parameters())


def quantal_spread(alpha, seed, steps):
    """Mean and deviation of the forces of an adversary that was always as hot as alpha, and the agent's action.

    The replay is short: both sides move, and old rewards depend on the other side's former play.
    """
    model = QARL(
        "rlsuite/ProbeSaddle-v0",
        adversary="fixed",
        concentration=1000 * alpha,
        seed=seed,
        device="cpu",
        num_envs=64,
        net_arch=(64, 64),
        steps_per_update=8,
        actor_learning_rate=3e-3,
        critic_learning_rate=3e-3,
        alpha_learning_rate=3e-3,
        batch_size=128,
        buffer_size=2048,
        critic_starts=256,
        actor_starts=512,
        target_entropy=-3.0,
    ).learn(steps)
    forces = model.act_adversary(torch.zeros(4000, 1), torch.ones(4000, dtype=torch.bool))
    action, _ = model.predict(np.zeros(1, np.float32), deterministic=True)
    return float(forces.mean()), float(forces.std()), float(action[0])


def test_the_adversary_finds_its_quantal_response():
    """exp(-(f + 0.3)^2 / alpha): a Gaussian around -0.3 with deviation sqrt(alpha / 2), hardly cut by the box."""
    mean, deviation, action = quantal_spread(0.1, 1, 12_000)
    assert (mean, action) == pytest.approx((-0.3, 0.5), abs=0.1)
    assert deviation == pytest.approx(0.05**0.5, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.02, 0.05, 0.1])
def test_the_quantal_response_at_several_temperatures(alpha):
    found = np.array([quantal_spread(alpha, seed, 20_000) for seed in (1, 2)]).mean(0)
    assert found[[0, 2]] == pytest.approx([-0.3, 0.5], abs=0.06)
    assert found[1] == pytest.approx((alpha / 2) ** 0.5, rel=0.15)


def test_only_the_learning_side_keeps_its_transitions_at_the_episodes_temperatures():
    model = QARL("rlsuite/WindyPoint-v0", performance=-1e9, env_kwargs=SHORT, **SMALL)
    drawn, updates = [], []
    for player in model.players:
        player.improve = lambda: updates.append(1) or {"loss": torch.zeros(())}
    original = model.teacher.sample
    model.teacher.sample = lambda num: drawn.append(original(num)) or drawn[-1]
    model.learn(2 * 2 * 15 * 3)  # two iterations of both phases
    assert len(drawn) == 2 and not np.array_equal(*drawn)
    for player, sign in ((AGENT, 1), (ADVERSARY, -1)):
        buffer = model.players[player].buffer
        assert buffer.filled == 30
        want = torch.as_tensor(np.repeat(drawn, 15, axis=0)).float()
        assert torch.equal(buffer.obs[:30, :, -1], want) and torch.equal(buffer.next_obs[:30, :, -1], want)
        assert (buffer.reward[:30] * sign > 0).all()  # the task pays exp(-distance)
        assert buffer.truncated[14].all() and not buffer.truncated[:14].any() and not buffer.terminated.any()
    assert model.n_updates == len(updates) == 4 * (15 * 3 // 12)


def test_the_teacher_gets_the_first_episodes_discounted_returns():
    model = QARL("InvertedPendulum-v5", performance=-1e9, gamma=0.9, **{**SMALL, "num_envs": 8})
    seen = []
    model.teacher.observe = lambda alphas, returns: seen.append((alphas, returns))
    model.learn(1)
    buffer = model.players[ADVERSARY].buffer
    for b in range(8):
        last = int(buffer.terminated[:, b].nonzero()[0])
        rewards = -buffer.reward[: last + 1, b]
        expected = float((rewards * 0.9 ** torch.arange(last + 1)).sum())
        assert seen[0][1][b] == pytest.approx(expected, rel=1e-5)
    assert len(seen) == 1  # with the episodes of both phases, at the same temperatures
    np.testing.assert_array_equal(seen[0][0][:8], seen[0][0][8:])
    ends = buffer.terminated[: buffer.filled].sum(0)
    assert ends.min() == 1 and ends.max() > 1  # early enders went on, and only their first episodes counted


@pytest.mark.parametrize("kind", KINDS)
def test_every_ancestor_learns_and_shows_its_temperature(kind):
    model = QARL("rlsuite/WindyPoint-v0", adversary=kind, performance=-1e9, env_kwargs=SHORT, **SMALL)
    before = [player.learner.flat["actor"].data.clone() for player in model.players]
    model.learn(1800)
    moved = [not torch.equal(a, p.learner.flat["actor"].data) for a, p in zip(before, model.players, strict=True)]
    assert moved == [True, kind not in ("none", "random")]
    shown = model.players[AGENT].buffer.obs[: model.players[AGENT].buffer.filled, :, -1]
    log_alpha = model.players[ADVERSARY].learner.flat["alpha"].data
    trained = log_alpha.item() != pytest.approx(np.log(0.005))
    assert trained == (kind in ("automatic", "force"))
    if kind in ("automatic", "none", "random"):
        assert not shown.any() and model.temperature == 0.0
    elif kind == "fixed":
        assert torch.equal(shown, torch.full_like(shown, 0.05)) and model.temperature == 0.05
    elif kind == "linear":
        # 20 iterations of 15 steps; two thirds of the training for the whole way
        share = np.minimum(1.0, np.arange(20) / 20 * 1.5)
        np.testing.assert_allclose(shown[::15, 0], 0.05 + share * (0.001 - 0.05), rtol=1e-4)
    elif kind == "force":
        mean = model.teacher.mean
        assert model.temperature == pytest.approx((0.05 + 0.001 - mean) / 0.05, rel=1e-6)
        forces = model.players[ADVERSARY].buffer.action.abs()
        assert forces.max() > 0 and (shown >= 0).all() and (shown <= 1).all()


def test_the_force_curriculum_limits_what_is_executed():
    model = QARL("rlsuite/WindyPoint-v0", adversary="force", performance=1e9, env_kwargs=SHORT, **SMALL)
    game, given = model.venv.match.game, []
    original = game.step
    game.step = lambda actions: given.append((actions[1].clone(), model.venv.match.limit.clone())) or original(actions)
    model.learn(900)
    assert len(given) == 300 and all((force.abs() <= limit + 1e-6).all() for force, limit in given)
    assert (
        max(float(limit.max()) for _, limit in given) < 0.5
    )  # of a box of 1: frozen at the beginning of the curriculum


def test_a_task_too_hard_keeps_the_temperature_and_an_easy_one_lowers_it():
    hard, easy = (
        QARL("rlsuite/WindyPoint-v0", performance=xi, **{**SMALL, "num_envs": 15}).learn(6000) for xi in (1e6, -1e6)
    )
    assert hard.teacher.concentration == 50.0 and not hard.teacher.reached
    assert easy.teacher.concentration < 45.0 and easy.temperature == easy.teacher.mean


@pytest.mark.parametrize("env", ["Hopper-v5", "rlsuite/WindyPoint-v0"])
@pytest.mark.parametrize("kind", ["quantal", "force", "random"])
def test_resumed_training_equals_uninterrupted(tmp_path, env, kind):
    saved = []

    def save(agent):
        if agent.num_timesteps >= 1500 and not saved:
            agent.save(tmp_path / "half")
            saved.append(agent.num_timesteps)

    settings = {**SMALL, "adversary": kind, "performance": 1.0, "teacher_samples": 8}
    whole = QARL(env, **settings)
    whole.learn(3000, on_update=save)
    resumed = rlsuite.load(tmp_path / "half", env=env, device="cpu")
    resumed.learn(3000 - saved[0], reset_num_timesteps=False)
    ours, theirs = whole.get_parameters(), resumed.get_parameters()
    assert ours.keys() == theirs.keys() and resumed.num_timesteps == whole.num_timesteps
    for part, tensors in ours.items():
        for name, value in tensors.items():
            assert torch.equal(value, theirs[part][name]), (part, name)


def test_same_seed_same_weights():
    runs = [QARL("rlsuite/WindyPoint-v0", **{**SMALL, "seed": seed}).learn(1200) for seed in (1, 1, 2)]
    for player in (AGENT, ADVERSARY):
        first, same, other = (run.players[player].learner.flat["actor"].data for run in runs)
        assert torch.equal(first, same) and not torch.equal(first, other)


def test_a_loaded_model_predicts_and_plays_without_its_environment(tmp_path):
    model = QARL("Hopper-v5", performance=0.0, **SMALL).learn(600)
    model.save(tmp_path / "model", buffers=False)
    loaded = QARL.load(tmp_path / "model", device="cpu")
    assert len(loaded.players[ADVERSARY].buffer) == 0 and loaded.temperature == model.temperature
    obs = np.random.default_rng(0).normal(size=(5, 11))
    np.testing.assert_array_equal(loaded.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])
    assert np.isfinite(evaluate(model, "Hopper-v5", episodes=2).returns).all()
    game = QARL(MujocoPool("Hopper-v5", 3, num_threads=1), **SMALL).venv
    pushed = evaluate(model, Versus(game.match, AGENT, loaded.act_adversary), episodes=3).returns
    assert np.isfinite(pushed).all()


def test_callbacks_see_the_protagonists_rewards_and_may_stop():
    rewards = []
    model = QARL("InvertedPendulum-v5", **SMALL)
    model.learn(200, callback=lambda local, _: rewards.extend(local["rewards"]) or True)
    assert len(rewards) == model.num_timesteps and min(rewards) >= 0
    assert QARL("InvertedPendulum-v5", **SMALL).learn(200, callback=lambda *_: False).num_timesteps == 3


def test_networks_are_sacs_where_they_should_be():
    sac = SAC("Pendulum-v1", device="cpu")
    assert isinstance(sac.learner.critic, TwinCritic)
    model = QARL("rlsuite/WindyPoint-v0", **SMALL)
    agent, adversary = model.players
    assert agent.learner.critic.weights[0].shape == (2, 4 + 1 + 2, 16)  # observation, temperature, own action
    assert adversary.learner.critic.weights[0].shape == (2, 4 + 1 + 1, 16)


@pytest.mark.parametrize(
    ("env", "settings", "message"),
    [
        ("CartPole-v1", {}, "CartPole-v1 has no second player"),
        ("Hopper-v5", {"bodies": ("nose",)}, "no body 'nose'"),
        ("Hopper-v5", {"max_force": -1.0}, "QARLConfig.max_force is -1.0"),
    ],
)
def test_bad_games_are_refused(env, settings, message):
    with pytest.raises(ValueError, match=message):
        QARL(env, device="cpu", **settings)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("adversary", "quantum"),
        ("performance", float("nan")),
        ("max_kl", 0.0),
        ("rate", -1.0),
        ("tau", 0.0),
        ("teacher_samples", 0),
        ("steps_per_update", 0),
        ("linear_fraction", 1.5),
        ("ent_coef", "often"),
    ],
)
def test_bad_values_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        QARLConfig(**{field: value})


def test_another_number_of_environments_is_refused():
    model = QARL("rlsuite/WindyPoint-v0", **SMALL)
    model.players[AGENT].buffer.filled = 1
    with pytest.raises(ValueError, match="use num_envs=3"):
        model.set_env(make_vector_env("rlsuite/WindyPoint-v0", 4))
