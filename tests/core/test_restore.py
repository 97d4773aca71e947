"""Loading: every argument counts or is refused by name; whatever is wrong with the file is said of the file."""

from __future__ import annotations

import dataclasses
import random

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

import rlsuite
from rlsuite.core.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

ON_POLICY = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "net_arch": (8,)}
SMALL = {
    "ppo": ("rlsuite/CartPole-v1", 2, ON_POLICY),
    "bpo": ("rlsuite/CartPole-v1", 2, ON_POLICY),
    "pdppo": ("rlsuite/LotSizing-15x5-v0", 2, ON_POLICY),
    "subpo": ("rlsuite/TwoRooms-v0", 2, {"net_arch": (8,)}),
    "sac": ("rlsuite/Pendulum-v1", 2, {"net_arch": (8,), "buffer_size": 100, "learning_starts": 4}),
    "rarl": ("InvertedPendulum-v5", 2, ON_POLICY),
    "qarl": ("InvertedPendulum-v5", 2, {"net_arch": (8,), "buffer_size": 100}),
    "atla": ("InvertedPendulum-v5", 2, ON_POLICY),
    "protected": ("InvertedPendulum-v5", 2, {**ON_POLICY, "n_policies": 2, "n_updates": 2}),
    "hdpo": ("rlsuite/LostSales-L4-p4-v0", 16, {"n_steps": 8, "dev_scenarios": 4, "dev_periods": 8, "dev_warm_up": 2}),
}
CHANGED = {  # a legal other value, where doubling the default is none
    "learning_rate": "linear:1e-3",
    "adv_learning_rate": 1e-4,
    "adv_clip_range": 0.1,
    "adv_ent_coef": 0.01,
    "adv_log_std_init": -1.0,
    "activation": "gelu",
    "critic_activation": "relu",
    "net_arch": (9,),
    "hidden": (9,),
    "ratio_bounds": (0.5, 1.5),
    "backend": "torch",
    "mode": "mean",
    "combine": "mean",
    "ratio": "component",
    "critics": "one",
    "targets": "same",
    "credit": "myopic",
    "baseline": "critic",
    "network": "base_stock",
    "norm": "l2",
    "attack": "pa-ad",
    "adversary": "random",
    "max_force": 2.0,
    "bodies": ("cart",),
    "ent_coef": 0.02,
    "target_entropy": -0.5,
    "target_kl": 0.03,
    "gae_lambda": 0.9,
    "gamma": 0.9,
    "tau": 0.1,
    "max_grad_norm": 0.25,
    "clip_range_vf": 0.3,
    "log_std_init": -0.5,
    "adv_fraction": 0.5,
    "attack_ratio": 0.5,
    "average": 0.5,
    "restart": 0.5,
    "scenarios": 32,
    "linear_fraction": 0.5,
    "q_weight": 0.25,
    "sa_warmup": 0.5,
    "batch_size": 8,
}
ALSO = {"combine": {}, "targets": {"combine": "max"}, "gae_lambda": {"baseline": "critic"}}
"""Fields that another one demands."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Path of a trained checkpoint of each algorithm, made once."""
    made = {}

    def path_of(name):
        if name not in made:
            env, num_envs, config = SMALL[name]
            model = rlsuite.algorithm(name)(env, num_envs=num_envs, device="cpu", **config)
            if name in ("ppo", "sac"):
                model.learn(64)
            made[name] = tmp_path_factory.mktemp(name) / "model.zip"
            model.save(made[name])
        return made[name]

    return path_of


def other(name, field, value):
    if name == "protected" and field == "adversary":
        return None
    if name == "subpo" and field == "n_steps":
        return 2 * value
    if name == "pdppo" and field == "combine":
        return "mean"
    if field in CHANGED and CHANGED[field] != value:
        return CHANGED[field]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value * 2 if value else type(value)(1)
    raise AssertionError(f"{name}.{field}={value!r}: name another value in CHANGED")


@pytest.mark.parametrize("name", SMALL)
def test_every_field_takes_effect_or_is_refused_by_name(saved, name):
    path, cls = saved(name), rlsuite.algorithm(name)
    before = cls.load(path, device="cpu").config
    refused = set()
    for field in dataclasses.fields(before):
        value = other(name, field.name, getattr(before, field.name))
        if value is None:
            continue
        also = {} if name != "subpo" and field.name == "gae_lambda" else ALSO.get(field.name, {})
        given = {**also, field.name: value}
        try:
            loaded = rlsuite.load(path, device="cpu", **given)
        except CheckpointError as error:
            raise AssertionError(f"{field.name} is blamed on the file") from error
        except ValueError as error:
            assert str(error).startswith(f"{field.name}={value!r} cannot be set at load"), (field.name, error)
            refused.add(field.name)
        else:
            fresh = cls(None, dataclasses.replace(before, **given), num_envs=2, device="cpu", spaces=loaded.spaces)
            assert loaded.config == fresh.config and getattr(loaded.config, field.name) == value
    assert refused == set(cls.stored) & {field.name for field in dataclasses.fields(before)}


def test_the_temperature_given_at_load_is_used(saved):
    loaded = rlsuite.SAC.load(saved("sac"), "rlsuite/Pendulum-v1", device="cpu", ent_coef=0.02, target_entropy=-2.0)
    assert loaded.config.ent_coef == 0.02 and loaded.learner.target_entropy == -2.0
    seen = []
    loaded.learn(32, on_update=lambda model: seen.append(model.logger.name_to_value.get("train/ent_coef")))
    assert loaded.learner.temperature["log_alpha"].exp().item() == pytest.approx(0.02)
    assert not loaded.learner.learn_alpha
    learned = rlsuite.SAC.load(saved("sac"), device="cpu")
    assert learned.learner.temperature["log_alpha"].item() != 0.0  # went on from what it had learned
    loaded.save(saved("sac").with_name("fixed.zip"))
    kept = rlsuite.load(saved("sac").with_name("fixed.zip"), device="cpu", gradient_steps=2)
    assert kept.learner.temperature["log_alpha"].exp().item() == pytest.approx(0.02)
    again = rlsuite.load(saved("sac").with_name("fixed.zip"), device="cpu", ent_coef="auto_0.5")
    assert again.learner.temperature["log_alpha"].exp().item() == pytest.approx(0.5) and again.learner.learn_alpha


def test_windows_and_discount_of_a_loaded_buffer(saved):
    loaded = rlsuite.SAC.load(saved("sac"), device="cpu", n_step=5, gamma=0.5)
    discount = loaded.buffer.sample(500, torch.Generator().manual_seed(0)).discount
    assert set(discount.tolist()) == {0.5**k for k in range(1, 6)}


def test_seed_begins_other_streams_and_fresh_episodes(saved):
    path, env = saved("ppo"), "rlsuite/CartPole-v1"
    same, one, two, again = (
        rlsuite.load(path, env=env, device="cpu", **given) for given in ({}, {"seed": 7}, {"seed": 8}, {"seed": 7})
    )
    assert same.runner is not None and one.runner is None and one.seed == 7 and same.seed == 0
    for model in (one, two, again):
        model.learn(32, reset_num_timesteps=False)
    weights = [model.parts.flat.data for model in (one, two, again)]
    assert torch.equal(weights[0], weights[2]) and not torch.equal(weights[0], weights[1])


def test_another_number_of_environments(saved):
    path, env = saved("ppo"), "rlsuite/CartPole-v1"
    assert rlsuite.load(path, env=env, device="cpu", num_envs=3).learn(48).num_envs == 3
    assert rlsuite.load(path, device="cpu", num_envs=3).num_envs == 3
    single = rlsuite.load(path, env=gym.make(env), device="cpu")
    assert single.num_envs == 1 and single.learn(16).num_timesteps == 16
    mode = {"autoreset_mode": AutoresetMode.SAME_STEP}
    pair = gym.make_vec("CartPole-v1", 2, vectorization_mode="sync", vector_kwargs=mode)
    single.set_env(pair)
    single.learn(32)
    single.set_env(gym.make("CartPole-v1"))
    assert single.learn(16).num_envs == 1
    with pytest.raises(ValueError, match="num_envs=3, but the environment given has 2 copies"):
        rlsuite.load(path, env=pair, device="cpu", num_envs=3)
    with pytest.raises(ValueError, match=r"batch_size=32 is larger than the rollout of n_steps\*num_envs = 16\*1"):
        rlsuite.load(path, env=gym.make(env), device="cpu", batch_size=32)


def test_a_replay_buffer_fixes_the_number_of_environments(saved, tmp_path):
    path, env = saved("sac"), "rlsuite/Pendulum-v1"
    with pytest.raises(ValueError, match=r"transitions of 2 environments, the new one has 3.*buffers=False"):
        rlsuite.load(path, env=env, device="cpu", num_envs=3)
    rlsuite.load(path, device="cpu").save(tmp_path / "bare", buffers=False)
    loaded = rlsuite.load(tmp_path / "bare", env=env, device="cpu", num_envs=3, buffer_size=30)
    assert loaded.num_envs == 3 and loaded.buffer.rows == 10 and loaded.learn(30).num_timesteps == 30


@pytest.mark.parametrize(
    "given, match",
    [
        ({"gamma": 2.0}, r"PPOConfig\.gamma is 2\.0"),
        ({"device": "tpu"}, "device 'tpu' cannot be used here"),
        ({"n_step": 5}, "no field 'n_step'.*'n_steps'"),
        ({"num_envs": 0}, "num_envs=0 must be an integer"),
        ({"num_envs": True}, "num_envs=True must be an integer"),
        ({"seed": "x"}, "seed='x' must be an integer"),
        ({"spaces": ()}, "no field 'spaces'"),
        ({"batch_size": 4096}, "batch_size"),
        ({"env": gym.make("CartPole-v1"), "env_kwargs": {}}, "env_kwargs are for an environment given by its id"),
    ],
)
def test_a_bad_argument_is_not_blamed_on_the_file(saved, given, match):
    with pytest.raises(ValueError, match=match) as caught:
        rlsuite.load(saved("ppo"), **{"device": "cpu", **given})
    assert not isinstance(caught.value, CheckpointError)


def test_a_whole_configuration_and_constants_of_the_environment(saved):
    path, env = saved("ppo"), "CartPole-v1"
    old = rlsuite.load(path, device="cpu").config
    config = dataclasses.replace(old, learning_rate=1e-5)
    assert rlsuite.load(path, device="cpu", config=config, n_epochs=3).config == dataclasses.replace(config, n_epochs=3)
    with pytest.raises(ValueError, match=r"net_arch=\(64, 64\) cannot be set at load"):
        rlsuite.load(path, device="cpu", config=rlsuite.PPOConfig())
    loaded = rlsuite.load(path, env=env, device="cpu", env_kwargs={"sutton_barto_reward": True})
    assert loaded.env_kwargs == {"sutton_barto_reward": True}
    assert loaded.venv.envs[0].unwrapped._sutton_barto_reward
    loaded.set_env("rlsuite/CartPole-v1", env_kwargs={})
    assert loaded.env_kwargs == {}


def test_an_adversary_of_cheap_talk_is_named(tmp_path):
    save_checkpoint(tmp_path / "act.zip", meta={"algorithm": "ACT"}, tensors={})
    with pytest.raises(CheckpointError, match=r"rlsuite\.ACT\.load"):
        rlsuite.load(tmp_path / "act.zip")


# Files that someone edited ------------------------------------------------------------------------------------


def rewritten(path, target, meta=None, tensors=None):
    """A copy with other content and a right digest: what the digest cannot find."""
    old = load_checkpoint(path)
    return save_checkpoint(target, meta=meta or old.meta, tensors=tensors or old.tensors)


@pytest.mark.parametrize(
    "name, values",
    [
        ("num_envs", [0, -1, 2.0, True, "2", None, 10**12]),
        ("seed", [None, "x", 1.5, [1], 2**70]),
        ("num_timesteps", [-1, 1e3, None, 2**70]),
        ("n_updates", [-1, "3", None]),
        ("env_id", [3, ["x"]]),
        ("env_kwargs", ["x", [1]]),
        ("env_state", [1, None]),
        ("device", [3, None]),
        ("config", [None, [], {"gamma": 5}, {"nonsense": 1}, {"net_arch": "x"}, {"net_arch": [10**9, 10**9]}]),
        ("observation_space", [None, {}, {"type": "Box"}, {"type": "Discrete", "n": -1, "start": 0}, "x"]),
        ("action_space", [{"type": "os:system"}, {"type": "Discrete", "n": "x", "start": 0}, 5]),
        ("further_spaces", ["x", {}]),
    ],
)
def test_every_field_of_the_metadata_is_checked(saved, tmp_path, name, values):
    meta = load_checkpoint(saved("ppo")).meta
    for value in values:
        bad = rewritten(saved("ppo"), tmp_path / "bad.zip", {**meta, name: value})
        with pytest.raises(CheckpointError, match=r"bad\.zip"):
            rlsuite.load(bad, device="cpu")


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_weights_that_are_not_finite_are_refused(saved, tmp_path, name):
    tensors = dict(load_checkpoint(saved(name)).tensors)
    parts = ("policy/", "optimizer/", "actor", "critic", "target", "alpha", "buffer/")
    for key in [key for key, x in tensors.items() if key.startswith(parts) and x.is_floating_point()]:
        for value in (np.nan, np.inf):
            x = tensors[key].clone()
            x.view(-1)[0] = value
            bad = rewritten(saved(name), tmp_path / "bad.zip", tensors={**tensors, key: x})
            with pytest.raises(CheckpointError, match=f"{key} is not finite"):
                rlsuite.load(bad, device="cpu")


def edited(meta, tensors, rng):
    """One random well-formed edit: a value, a type or a field of the metadata, or a tensor's dtype or shape."""
    if rng.random() < 0.5:
        where = rng.choice(["", "config", "observation_space", "action_space"])
        target = dict(meta[where]) if where else dict(meta)
        key = rng.choice(list(target))
        if rng.random() < 0.3:
            del target[key]
        else:
            target[key] = rng.choice([None, -1, 0.5, "x", [], {}, True, 10**15, float("nan"), [[1]], "os:system"])
        return ({**meta, where: target} if where else target), tensors
    key = rng.choice([key for key, x in tensors.items() if x.numel()])
    x = tensors[key]
    new = rng.choice([x.to(torch.float16), x.to(torch.int64) + 1, x.flatten()[:0], x[None], x.double() * float("nan")])
    return meta, {**tensors, key: new}


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_random_edits_behind_a_right_digest(saved, tmp_path, name):
    """Refused as a damaged checkpoint, or a legal model: never another error."""
    old, rng = load_checkpoint(saved(name)), random.Random(0)
    for _ in range(40):
        meta, tensors = edited(old.meta, dict(old.tensors), rng)
        bad = rewritten(saved(name), tmp_path / "bad.zip", meta, tensors)
        try:
            loaded = rlsuite.load(bad, device="cpu")
        except CheckpointError as error:
            assert "bad.zip" in str(error)
        else:
            assert np.isfinite(loaded.predict(loaded.observation_space.sample())[0]).all()
