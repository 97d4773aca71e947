"""From a policy to its certificate: the same numbers as by hand, and every mistake before the first step."""

from __future__ import annotations

import numpy as np
import pytest

from rlsuite.smoothing.certificates import certify_dkw, certify_ladder, certify_percentile, certify_success
from rlsuite.smoothing.certify import CERTIFYING_SEED, certify_policy, certify_returns
from rlsuite.smoothing.episodes import smoothed_returns

CARTPOLE = "rlsuite/CartPole-v1"
BUDGETS = [0.0, 0.1, 0.3]


class Lean:
    """Push towards the side the pole falls to."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return (np.asarray(observation)[:, 2:] @ [3.0, 1.5] > 0).astype(np.int64), state


class Untouched:
    """Fails the test when it is asked for an action."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        raise AssertionError("an episode was played")


def test_it_is_what_one_would_do_by_hand():
    kwargs = {"max_episode_steps": 60}
    seed = 4 + CERTIFYING_SEED  # not the one an agent of seed 4 was trained with
    returns = smoothed_returns(Lean(), CARTPOLE, sigma=0.2, episodes=300, seed=seed, env_kwargs=kwargs).returns
    common = {"sigma": 0.2, "episodes": 300, "seed": 4, "env_kwargs": kwargs}
    for options, expected in (
        ({"method": "ladder", "ladder": 60}, certify_ladder(returns, BUDGETS, 0.2, ladder=60)),
        ({"method": "dkw", "minimum": 1}, certify_dkw(returns, BUDGETS, 0.2, minimum=1)),
        ({"method": "success", "above": 40}, certify_success(returns > 40, BUDGETS, 0.2)),
        ({"method": "percentile", "q": 0.2}, certify_percentile(returns, BUDGETS, 0.2, q=0.2)),
    ):
        certificate = certify_policy(Lean(), CARTPOLE, BUDGETS, **common, **options)
        np.testing.assert_array_equal(certificate.value, expected.value)
        assert certificate.to_dict() == expected.to_dict()


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("sigma", {"sigma": 0.0, "minimum": 0}),
        ("budgets", {"budgets": [-0.1], "minimum": 0}),
        ("alpha", {"alpha": 1.5, "minimum": 0}),
        ("too few", {"episodes": 5, "method": "ladder", "ladder": 200}),
        ("too few", {"episodes": 3, "method": "success"}),
        ("strictly increase", {"method": "ladder", "ladder": [0, 2, 1]}),
        ("finite numbers", {"method": "ladder", "ladder": [np.nan, 1]}),
        ("finite", {"minimum": -np.inf}),
        ("below maximum", {"method": "expectation", "minimum": 3, "maximum": 2}),
        ("q=2", {"method": "percentile", "q": 2}),
        ("'ladder'", {"method": "laddr"}),
        ("episodes=0", {"episodes": 0, "minimum": 0}),
    ],
)
def test_mistakes_are_refused_before_anything_is_played(words, options):
    settings = {"sigma": 0.2, "budgets": BUDGETS, "episodes": 100} | options
    with pytest.raises(ValueError, match=words):
        certify_policy(Untouched(), CARTPOLE, settings.pop("budgets"), **settings)


def test_a_missing_or_strange_option_is_named():
    for options in ({}, {"minimum": 0, "ladder": 3}):
        with pytest.raises(TypeError, match=r"minimum|ladder"):
            certify_policy(Untouched(), CARTPOLE, 0.1, sigma=0.2, **options)


def test_certifying_returns_has_the_same_errors():
    with pytest.raises(ValueError, match="did you mean 'dkw'"):
        certify_returns(np.ones(50), "dwk", BUDGETS, 0.2)
    with pytest.raises(ValueError, match="episode 3 is nan"):
        certify_returns([1, 1, 1, np.nan, 1], "success", BUDGETS, 0.2)
    listed = certify_returns([1.0] * 50, "success", BUDGETS, 0.2)
    assert listed.value.tolist() == certify_success(np.ones(50), BUDGETS, 0.2).value.tolist()


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("sigma='0.5'", {"sigma": "0.5", "minimum": 0}),
        ("alpha='x'", {"alpha": "x", "minimum": 0}),
        ("minimum=None", {"minimum": None}),
        ("too few", {"method": "percentile", "interval": "dkw", "episodes": 5}),
    ],
)
def test_numbers_that_are_none(words, options):
    with pytest.raises(ValueError, match=words):
        certify_policy(Untouched(), CARTPOLE, BUDGETS, **{"sigma": 0.2, "episodes": 50, **options})


def test_numpys_numbers_are_numbers():
    certificate = certify_policy(
        Lean(),
        CARTPOLE,
        BUDGETS,
        sigma=np.float32(0.25),
        minimum=np.float32(1),
        episodes=50,
        env_kwargs={"max_episode_steps": 20},
    )
    assert certificate.sigma == 0.25
