"""Every field of every configuration takes what is meant and refuses the rest by name."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rlsuite
from rlsuite import PPOConfig, QARLConfig, SACConfig
from rlsuite.adversarial.attacks.actions import ActionAttack
from rlsuite.adversarial.attacks.blackbox import FiniteDifferenceAttack, SearchAttack
from rlsuite.adversarial.attacks.budget import Budget
from rlsuite.adversarial.attacks.gradient import GradientAttack
from rlsuite.adversarial.attacks.sarsa import SarsaConfig
from rlsuite.adversarial.attacks.targeted import RATConfig
from rlsuite.adversarial.cheap_talk.evolution import OpenESConfig
from rlsuite.adversarial.cheap_talk.victim_ppo import VictimConfig
from rlsuite.policy_gradient.bpo import BPOConfig
from rlsuite.smoothing.tightness import ActionAttackConfig, ScoreAttackConfig

NEEDED = {
    ActionAttack: {"kind": "mad", "eps": 0.1},
    Budget: {"eps": 0.1},
    ActionAttackConfig: {"budget": 1.0},
    ScoreAttackConfig: {"budget": 1.0},
}
CLASSES = [rlsuite.algorithm(name).config_class for name in rlsuite.ALGORITHMS]
CLASSES += [SarsaConfig, RATConfig, OpenESConfig, VictimConfig, FiniteDifferenceAttack, SearchAttack, GradientAttack]
CLASSES += list(NEEDED)
FIELDS = [(config, field.name) for config in CLASSES for field in dataclasses.fields(config) if field.init]
NEVER = [math.nan, math.inf, -math.inf, 1j, b"64", object(), lambda progress: progress, {"a": 1}, {1, 2}, [[]], [None]]
NEVER += [10**400, np.float32("nan"), np.zeros((2, 2)), [[64], [64]], {"pi": [64], "vf": [32]}, PPOConfig, [True], "\0"]
ANY = st.one_of(
    st.sampled_from(
        [*NEVER, None, True, False, 10**12, -1, 0, 2.5, "", "auto", "nan", "linear:", "1e3:", (), (0,), "64,x"]
    ),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.one_of(st.integers(), st.floats(), st.text(max_size=3), st.none()), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@pytest.mark.parametrize("config_class", CLASSES)
def test_what_no_field_can_be_is_refused_by_the_fields_name(config_class):
    for field in dataclasses.fields(config_class):
        text = "str" in str(field.type)  # words are the business of the class itself
        for value in [value for value in NEVER if field.init and not (text and isinstance(value, str))]:
            with pytest.raises(ValueError, match=rf"{config_class.__name__}\.{field.name}"):
                config_class(**{**NEEDED.get(config_class, {}), field.name: value})


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(FIELDS), ANY)
def test_any_value_is_taken_or_refused_by_name(field, value):
    config_class, name = field
    try:
        config = config_class(**{**NEEDED.get(config_class, {}), name: value})
    except ValueError as error:
        assert name in str(error) and config_class.__name__ in str(error), error
        return
    taken = getattr(config, name)
    assert taken is None or isinstance(taken, bool | int | float | str | tuple)
    assert dataclasses.replace(config) == config


def test_what_is_meant_is_taken():
    config = PPOConfig(n_steps=32.0, batch_size=np.int64(8), gamma=np.float32(0.5), normalize_obs=np.bool_(True))
    assert (config.n_steps, config.batch_size, config.gamma, config.normalize_obs) == (32, 8, 0.5, True)
    assert [type(x) for x in (config.n_steps, config.batch_size, config.normalize_obs)] == [int, int, bool]
    for sizes in (64, 64.0, "64", [64], (64,), np.array([64]), {"pi": [64], "vf": [64]}, "(64,)"):
        assert PPOConfig(net_arch=sizes).net_arch == (64,)
    assert PPOConfig(net_arch="64,32").net_arch == PPOConfig(net_arch=[64, 32]).net_arch == (64, 32)
    assert QARLConfig(bodies="torso,foot").bodies == ("torso", "foot")
    assert BPOConfig(ratio_bounds=[0.5, 2]).ratio_bounds == (0.5, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": 2.5}, r"PPOConfig.n_steps is 2.5; it must be a whole number"),
        ({"n_epochs": True}, r"PPOConfig.n_epochs is True; it must be a whole number"),
        ({"n_steps": 10**12}, r"PPOConfig.n_steps is 1000000000000: so many numbers alone would fill 3,725 GiB"),
        ({"net_arch": "64,x"}, r"PPOConfig.net_arch\[1\] is 'x'; it must be a whole number"),
        ({"net_arch": (64, 0)}, r"PPOConfig.net_arch is \(64, 0\); every size in it must be at least 1"),
        ({"net_arch": {"pi": [64], "vf": [32]}}, r"separate sizes are not supported"),
        ({"gamma": None}, r"PPOConfig.gamma is None; it must be a finite number"),
        ({"clip_range_vf": "wide"}, r"PPOConfig.clip_range_vf is 'wide'; it must be a finite number or None"),
        ({"learning_rate": abs}, r"PPOConfig.learning_rate is a function.*\"linear:3e-4\""),
        ({"normalize_obs": "false"}, r"PPOConfig.normalize_obs is 'false'; it must be True or False"),
        ({"activation": "swish"}, r"PPOConfig.activation is 'swish'; it must be one of 'tanh'"),
    ],
)
def test_errors_name_field_value_and_remedy(options, message):
    with pytest.raises(ValueError, match=message):
        PPOConfig(**options)


def test_a_fixed_temperature_is_finite():
    for wrong in ("auto_inf", "auto_x", "warm"):
        with pytest.raises(ValueError, match=r"SACConfig.ent_coef"):
            SACConfig(ent_coef=wrong)
        with pytest.raises(ValueError, match=r"QARLConfig.ent_coef"):
            QARLConfig(ent_coef=wrong)
