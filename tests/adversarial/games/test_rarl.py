"""RARL: PPO without an adversary, turns that leave the other side alone, a known saddle point, exact resume."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import rlsuite
from rlsuite import PPO, RARL
from rlsuite.adversarial.games import sides
from rlsuite.adversarial.games.rarl import RARLConfig
from rlsuite.core.evaluate import evaluate
from rlsuite.core.two_player import AGENT, Versus
from rlsuite_envs.mujoco import MujocoPool
from rlsuite_envs.mujoco.two_player import ForcedPool

SMALL = {
    "num_envs": 4,
    "n_steps": 32,
    "batch_size": 64,
    "n_epochs": 2,
    "net_arch": (16,),
    "device": "cpu",
    "seed": 3,
    "normalize_obs": True,
    "normalize_reward": True,
}


@pytest.mark.parametrize("n_pro_updates", [1, 3])
def test_without_an_adversary_it_is_ppo_to_the_bit(n_pro_updates):
    ppo = PPO("Hopper-v5", **SMALL).learn(1500)
    rarl = RARL("Hopper-v5", adversary="none", n_pro_updates=n_pro_updates, **SMALL).learn(1500)
    assert torch.equal(ppo.parts.flat.data, rarl.parts.flat.data)
    assert torch.equal(ppo.obs_norm.mean, rarl.obs_norm.mean)
    assert list(ppo.runner.stats.recent_returns) == list(rarl.runner.stats.recent_returns)


def watch_phases(monkeypatch) -> list:
    """A list that grows with what each phase changed."""
    log, phase = [], sides.phase

    def frozen(agent):
        norms = [norm for p in (agent.parts, agent.adversary) for norm in (p.obs_norm, p.return_norm)]
        values = [agent.parts.flat.data, agent.adversary.flat.data]
        return [x.clone() for x in values], [norm.state_dict() for norm in norms]

    def watched(agent, *arguments):
        before = frozen(agent)
        result = phase(agent, *arguments)
        after = frozen(agent)
        weights = tuple(not torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
        norms = tuple(any(not torch.equal(a[k], b[k]) for k in a) for a, b in zip(before[1], after[1], strict=True))
        log.append((weights, norms))
        return result

    monkeypatch.setattr(sides, "phase", watched)
    return log


def test_turns_leave_the_other_side_alone(monkeypatch):
    log = watch_phases(monkeypatch)
    model = RARL("Hopper-v5", n_pro_updates=2, n_adv_updates=1, **SMALL).learn(700)
    mine, theirs = ((True, False), (True, True, False, False)), ((False, True), (False, False, True, True))
    assert log == 2 * [mine, mine, theirs]
    assert model.num_timesteps == 6 * 4 * 32
    # The protagonist's normaliser saw its own phases only, and what it was handed back after the adversary's.
    assert model.obs_norm.count == 4 + 2 * (2 * 32 * 4 + 4)
    assert model.adversary.obs_norm.count == 2 * (4 + 32 * 4)


def test_episode_statistics_are_the_protagonists_and_whole():
    model = RARL("InvertedPendulum-v5", **SMALL).learn(2000)
    stats = model.runner.stats  # one per step survived, but the last (Gymnasium's v5)
    assert stats.episodes > 20
    np.testing.assert_allclose(np.array(stats.recent_returns), np.array(stats.recent_lengths) - 1)


def test_it_finds_a_saddle_point():
    settings = {**SMALL, "num_envs": 16, "n_epochs": 10, "normalize_obs": False, "normalize_reward": False}
    model = RARL("rlsuite/ProbeSaddle-v0", **settings, learning_rate=3e-3, adv_fraction=1.0, log_std_init=-1.0)
    model.learn(16_000)
    rows, kernel = torch.zeros(1, 1), model.venv.match.game.kernel
    found = [parts.policy.distribution(rows).mode().item() for parts in (model.parts, model.adversary)]
    assert found == pytest.approx([kernel.agent_target, kernel.adversary_target], abs=0.1)


@pytest.mark.parametrize("env", ["Hopper-v5", "rlsuite/WindyPoint-v0"])
@pytest.mark.parametrize("adversary", ["learned", "random"])
def test_resumed_training_equals_uninterrupted(tmp_path, env, adversary):
    def save(agent):
        if agent.num_timesteps == 512:
            agent.save(tmp_path / "half")

    whole = RARL(env, adversary=adversary, **SMALL)
    whole.learn(1024, on_update=save)
    resumed = rlsuite.load(tmp_path / "half", env=env, device="cpu")
    resumed.learn(512, reset_num_timesteps=False)
    ours, theirs = whole.get_parameters(), resumed.get_parameters()
    assert ours.keys() == theirs.keys()
    for part, tensors in ours.items():
        for name, value in tensors.items():
            assert torch.equal(value, theirs[part][name]), (part, name)


def test_same_seed_same_weights():
    runs = [RARL("Hopper-v5", **{**SMALL, "seed": seed}).learn(256) for seed in (1, 1, 2)]
    for side in ("parts", "adversary"):
        first, same, other = (getattr(run, side).flat.data for run in runs)
        assert torch.equal(first, same) and not torch.equal(first, other)


def test_a_loaded_model_predicts_and_plays_without_its_environment(tmp_path):
    model = RARL("Hopper-v5", **SMALL).learn(256)
    model.save(tmp_path / "model")
    loaded = RARL.load(tmp_path / "model", device="cpu")
    obs = np.random.default_rng(0).normal(size=(5, 11))
    np.testing.assert_array_equal(loaded.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])
    assert loaded.action_space.shape == (3,) and loaded.adversary_space.shape == (2,)
    assert loaded.adversary_space.high[0] == 1.25  # a quarter of 5 N
    game = ForcedPool("Hopper-v5", 2)
    returns = [
        evaluate(who, Versus(game, AGENT, who.act_adversary, adv_fraction=0.25), episodes=3).returns
        for who in (model, model, loaded)
    ]
    assert all(np.isfinite(part).all() for part in returns)
    with pytest.raises(ValueError, match="adversary's action space"):
        RARL.load(tmp_path / "model", env="Hopper-v5", bodies=("torso", "foot"))


def test_it_is_used_and_evaluated_in_the_plain_task():
    model = RARL("Hopper-v5", **SMALL).learn(256)
    assert np.isfinite(evaluate(model, "Hopper-v5", episodes=2).returns).all()
    given = RARL(MujocoPool("Hopper-v5", 4, num_threads=1), **SMALL).learn(256)
    assert torch.equal(given.parts.flat.data, model.parts.flat.data)  # a plain pool becomes the same game


def test_callbacks_see_the_protagonists_rewards():
    rewards = []
    RARL("InvertedPendulum-v5", **SMALL).learn(256, callback=lambda local, _: rewards.extend(local["rewards"]) or True)
    assert len(rewards) == 256 and min(rewards) >= 0
    stopped = RARL("InvertedPendulum-v5", **SMALL).learn(256, callback=lambda local, _: False)
    assert stopped.num_timesteps == 4


def test_the_adversary_may_have_values_of_its_own():
    own = {"adv_learning_rate": 1e-2, "adv_ent_coef": 0.1, "adv_log_std_init": 1.5}
    model = RARL("rlsuite/WindyPoint-v0", **own, **SMALL)
    found = model.adv_config
    assert (found.learning_rate, found.ent_coef, found.log_std_init) == (1e-2, 0.1, 1.5)
    assert model.adversary.policy.log_std.item() == 1.5 and not model.policy.log_std.any()
    assert RARL("rlsuite/WindyPoint-v0", **SMALL).adv_config == RARLConfig(
        **{k: v for k, v in SMALL.items() if k not in ("num_envs", "device", "seed")}
    )


@pytest.mark.parametrize(
    ("env", "settings", "message"),
    [
        ("CartPole-v1", {}, "CartPole-v1 has no second player"),
        ("Pusher-v5", {}, "Pusher-v5 has no adversary"),
        ("Hopper-v5", {"bodies": ("nose",)}, "no body 'nose'"),
        ("Hopper-v5", {"bodies": ("foot", 3)}, r"RARLConfig.bodies\[1\] is 3"),
        ("Hopper-v5", {"max_force": -1.0}, "RARLConfig.max_force is -1.0"),
        ("Hopper-v5", {"adv_fraction": 2.0}, "RARLConfig.adv_fraction is 2.0"),
        ("rlsuite/WindyPoint-v0", {"max_force": 1.0}, "are for MuJoCo tasks"),
    ],
)
def test_bad_games_are_refused(env, settings, message):
    with pytest.raises(ValueError, match=message):
        RARL(env, device="cpu", **settings)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("adversary", "lerned"),
        ("n_pro_updates", 0),
        ("adv_ent_coef", -1.0),
        ("adv_learning_rate", 0.0),
        ("gamma", 2),
    ],
)
def test_bad_values_are_named(field, value):
    with pytest.raises(ValueError, match=f"RARLConfig.{field}"):
        RARLConfig(**{field: value})
