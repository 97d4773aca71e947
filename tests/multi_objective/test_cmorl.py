"""C-MORL: its losses, its barrier, the set it finds, and what a checkpoint of it goes on with."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import CheckpointCallback

from rlsuite import CMORL, PPO, evaluate, load
from rlsuite.core.population import StackedBatch
from rlsuite.core.types import Heads
from rlsuite.multi_objective.cmorl import CMORLConfig, ReleaseBarrier, barrier_weights
from rlsuite.multi_objective.stacked_ppo import stacked_ppo_loss, stacked_ppo_loss_grad
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.vector import TensorVectorEnv

ARMS = ((1.0, 0.0), (0.7, 0.3), (0.35, 0.6), (0.0, 1.0), (0.2, 0.2))
"""(0.7, 0.3) lies on the line between its neighbours' hull and below it, (0.35, 0.6) below; (0.2, 0.2) is dominated."""
SMALL: dict[str, Any] = {
    "n_steps": 32,
    "batch_size": 64,
    "n_epochs": 4,
    "eval_episodes": 1,
    "eval_interval": 2,
    "extension_updates": 4,
    "gamma": 0.9,
    "net_arch": (8,),
    "reference": (-0.5, -0.5),
    "learning_rate": "linear:1e-2",
    "extension_learning_rate": 1e-2,
}


@dataclass(frozen=True)
class Arms:
    """Constants of the bandit."""

    horizon: int = 1


@dataclass(frozen=True)
class State:
    zero: torch.Tensor


class Bandit(Kernel[State, Any, Any]):
    """One step; each arm pays two objectives."""

    params_class = Arms
    observation_space = spaces.Box(-1.0, 1.0, (1,))
    action_space = spaces.Discrete(len(ARMS))
    reward_dim = 2

    def initial_state(self, num: int, rng: torch.Generator) -> State:
        return State(torch.zeros(num, 1, device=self.device))

    def post_decision(self, state: State, action: Any) -> tuple[Any, Any]:
        return state, torch.tensor(ARMS, device=self.device)[action]

    def transition(self, post_state: Any, noise: Any) -> tuple[State, Any, torch.Tensor]:
        return post_state, None, torch.ones(len(post_state.zero), dtype=torch.bool, device=self.device)

    def observe(self, state: State) -> torch.Tensor:
        return state.zero.clone()


def bandit(num_envs: int = 24) -> TensorVectorEnv:
    return TensorVectorEnv(num_envs, kernel=Bandit())


def agent(**options: Any) -> CMORL:
    return CMORL(bandit(), device="cpu", **(SMALL | options))


def minibatch(policies: int = 3, n: int = 50, objectives: int = 2) -> tuple[Heads, StackedBatch]:
    torch.manual_seed(0)
    log_prob, value = torch.randn(policies, n) * 0.3, torch.randn(policies, n, objectives)
    batch = StackedBatch(
        obs=torch.zeros(policies, n, 1),
        action=torch.zeros(policies, n, dtype=torch.int64),
        log_prob=log_prob + torch.randn(policies, n) * 0.2,
        value=value + torch.randn_like(value) * 0.3,
        advantage=torch.randn(policies, n),
        return_=torch.randn(policies, n, objectives) + torch.tensor([1.0, -0.5]),
    )
    entropy = torch.rand(policies, n).requires_grad_()
    return Heads(log_prob.requires_grad_(), entropy, value.requires_grad_()), batch


@pytest.mark.parametrize("barrier", [False, True])
@pytest.mark.parametrize("clip_range_vf", [None, 0.2])
def test_gradients_by_hand_are_autograds(barrier: bool, clip_range_vf: float | None) -> None:
    config = CMORLConfig(clip_range_vf=clip_range_vf, ent_coef=0.01)
    extra = ReleaseBarrier(beta=0.9, t=2.0, clip_range=0.2) if barrier else None
    heads, batch = minibatch()
    loss, metrics = stacked_ppo_loss(heads, batch, config, extra)
    loss.backward()
    arrays = Heads(*[x.detach().numpy() for x in (heads.log_prob, heads.entropy, heads.value)])
    grads, numbers = stacked_ppo_loss_grad(arrays, batch.numpy(), config, extra)
    assert np.allclose(grads.log_prob, heads.log_prob.grad, rtol=1e-3, atol=1e-6)
    assert np.allclose(grads.value, heads.value.grad, atol=1e-6)
    assert np.allclose(grads.entropy, heads.entropy.grad, atol=1e-7)
    assert metrics.keys() == numbers.keys()
    for name, value in metrics.items():
        assert np.allclose(value, numbers[name], atol=1e-5), name


def test_a_policys_loss_does_not_depend_on_the_others() -> None:
    config = CMORLConfig()
    heads, batch = minibatch()
    _, metrics = stacked_ppo_loss(heads, batch, config)
    first = Heads(heads.log_prob[:1], heads.entropy[:1], heads.value[:1])
    fields = {name: None if value is None else value[:1] for name, value in vars(batch).items()}
    _, alone = stacked_ppo_loss(first, StackedBatch(**fields), config)
    for name, value in alone.items():
        assert torch.allclose(value[0], metrics[name][0]), name


def test_barrier_weights_are_the_gradient_of_the_barrier_problem() -> None:
    """G_l / s_l + 1/t sum log((G_j - b_j) / s_j), differentiated numerically."""
    parent, reference, beta, t = np.array([[2.0, 5.0, -1.0]]), np.array([0.0, 1.0, -4.0]), 0.9, 20.0
    threshold, scale = reference + beta * (parent - reference), np.abs(parent - reference)
    returns, target = parent + 0.03, np.array([1])

    def value(g: np.ndarray) -> float:
        margin = (g - threshold) / scale
        return float(g[0, 1] / scale[0, 1] + (np.log(margin[0, 0]) + np.log(margin[0, 2])) / t)

    weights = barrier_weights(returns, threshold, scale, target, t=t, floor=0.01)
    for k in range(3):
        step = np.zeros_like(returns)
        step[0, k] = 1e-6
        assert weights[0, k] == pytest.approx((value(returns + step) - value(returns - step)) / 2e-6, rel=1e-5)


def test_the_parent_is_feasible_whatever_the_sign_of_its_returns_and_outside_the_pull_is_bounded() -> None:
    for parent, reference in ((-50.0, -100.0), (50.0, 0.0), (-1.0, -1.5)):
        assert reference + 0.9 * (parent - reference) < parent
    far = barrier_weights(np.array([[0.0, -9.0]]), np.zeros((1, 2)), np.ones((1, 2)), np.array([0]), t=20.0, floor=0.01)
    at = barrier_weights(np.array([[0.0, 0.01]]), np.zeros((1, 2)), np.ones((1, 2)), np.array([0]), t=20.0, floor=0.01)
    assert far[0, 1] == at[0, 1] == pytest.approx(1 / (20 * 0.01)) and far[0, 0] == 1.0


def test_weighted_training_finds_the_hulls_ends_and_extension_what_lies_between() -> None:
    ends = agent(divisions=1, init_fraction=1.0, seed=0).learn(24 * 32 * 20, log_interval=None)
    assert {tuple(p) for p in np.round(ends.front, 3).tolist()} <= {(1.0, 0.0), (0.0, 1.0), (0.7, 0.3), (0.35, 0.6)}
    assert {(1.0, 0.0), (0.0, 1.0)} <= {tuple(p) for p in np.round(ends.front, 3).tolist()}
    whole = agent(divisions=1, beta=0.4, n_select=4, seed=0).learn(24 * 32 * 80, log_interval=None)
    points = {tuple(p) for p in np.round(whole.front, 3).tolist()}
    assert points == {(1.0, 0.0), (0.0, 1.0), (0.7, 0.3), (0.35, 0.6)}
    assert whole.search.stage == 2 and whole.search.round >= 1
    for weights, arm in (((1.0, 0.0), 0), ((0.0, 1.0), 3), ((0.5, 0.5), 0)):
        action, _ = whole.predict(np.zeros(1, np.float32), deterministic=True, weights=weights)
        assert np.dot(ARMS[int(action)], weights) == pytest.approx(np.dot(ARMS[arm], weights))


def test_same_seed_same_set_and_another_seed_another() -> None:
    first, second, third = (agent(seed=seed).learn(6_000, log_interval=None) for seed in (1, 1, 2))
    one, two, three = (a.get_parameters() for a in (first, second, third))
    for part, state in one.items():
        for name, value in state.items():
            assert torch.equal(value, two[part][name]), (part, name)
    assert not torch.equal(one["policy"]["parameters"], three["policy"]["parameters"])


@pytest.mark.parametrize(("mode", "weighting"), [("paper", "fixed"), ("repo", "hypervolume")])
@pytest.mark.parametrize("stop", [2_000, 8_000])
def test_resumed_training_equals_uninterrupted(mode: str, weighting: str, stop: int, tmp_path: Any) -> None:
    options = {"mode": mode, "weighting": weighting, "divisions": 2, "init_fraction": 0.4, "n_select": 2, "seed": 3}
    through, halves = agent(**options), agent(**options)
    stops: list[int] = []

    def save_at(model: Any) -> None:
        if model.num_timesteps >= stop and not stops:
            stops.append(model.num_timesteps)
            model.save(tmp_path / "half.zip")

    through.learn(14_000, log_interval=None)
    halves.learn(14_000, log_interval=None, on_update=save_at)
    again = CMORL.load(tmp_path / "half.zip", env=bandit(), device="cpu")
    assert again.num_timesteps == stops[0] and again.search.stage == (1 if stop == 2_000 else 2)
    again.learn(14_000 - again.num_timesteps, reset_num_timesteps=False, log_interval=None)
    for part, state in through.get_parameters().items():
        for name, value in state.items():
            assert torch.equal(
                value,
                again.get_parameters()[part][name],
            ), (part, name)


def test_a_saved_set_plays_as_before(tmp_path: Any) -> None:
    model = agent(seed=0).learn(8_000, log_interval=None)
    model.save(tmp_path / "set.zip")
    again = load(tmp_path / "set.zip", device="cpu")
    assert isinstance(again, CMORL) and np.array_equal(again.front, model.front)
    assert len(again.members()) == len(model.members()) == len(model.front)
    obs = np.zeros((5, 1), np.float32)
    for weights in ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0)):
        mine, theirs = (m.predict(obs, deterministic=True, weights=weights)[0] for m in (model, again))
        assert np.array_equal(mine, theirs)
    for member, point in zip(again.members(), again.front, strict=True):
        action, _ = member.predict(obs, deterministic=True)
        assert np.allclose(np.array(ARMS)[action], point)


def test_numpy_and_torch_back_ends_agree() -> None:
    by_hand, autograd = (agent(backend=backend, seed=0, divisions=2) for backend in ("numpy", "torch"))
    for model in (by_hand, autograd):
        model.learn(24 * 32, log_interval=None)
    mine, theirs = by_hand.team.population.data, autograd.team.population.data
    # the two draw their actions differently only in rounding, so one update leaves them close
    assert float((mine - theirs).abs().max()) < 2e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": (0.0, 0.0, 0.0)}, "must have 2 entries"),
        ({"beta": 1.0}, "beta"),
        ({"mode": "release"}, "mode"),
        ({"weighting": "dynamic"}, "weighting"),
        ({"selection": "random"}, "selection"),
        ({"init_fraction": 0.0}, "init_fraction"),
        ({"archive_size": 1}, "archive_size"),
        ({"barrier_t": -1.0}, "barrier_t"),
        ({"divisions": 0}, "divisions"),
    ],
)
def test_bad_settings_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        agent(**options)


@pytest.mark.parametrize("weights", [(0.5,), (0.5, 0.6), (-0.1, 1.1), (float("nan"), 1.0), (0.2, 0.3, 0.5)])
def test_bad_weights_are_refused(weights: tuple[float, ...]) -> None:
    model = agent(seed=0).learn(2_000, log_interval=None)
    with pytest.raises(ValueError, match="weight"):
        model.predict(np.zeros(1, np.float32), weights=weights)


def test_environments_of_the_wrong_kind_are_refused_with_a_remedy() -> None:
    with pytest.raises(ValueError, match="one number"):
        CMORL("CartPole-v1", num_envs=2)
    with pytest.raises(ValueError, match=r"2 objectives.*CMORL"):
        PPO(bandit(4))
    with pytest.raises(ValueError, match="multiple of 6"):
        CMORL(bandit(8))
    with pytest.raises(ValueError, match="no policies yet"):
        agent().predict(np.zeros(1, np.float32))


def test_a_nan_objective_names_the_environment() -> None:
    class Broken(Bandit):
        def post_decision(self, state: State, action: Any) -> tuple[Any, Any]:
            reward = super().post_decision(state, action)[1].clone()
            reward[3, 1] = float("nan")
            return state, reward

    model = CMORL(TensorVectorEnv(24, kernel=Broken()), device="cpu", **SMALL)
    with pytest.raises(FloatingPointError, match="environment 3"):
        model.learn(1_000)


def test_a_constant_objective_is_no_obstacle() -> None:
    class Flat(Bandit):
        def post_decision(self, state: State, action: Any) -> tuple[Any, Any]:
            reward = super().post_decision(state, action)[1].clone()
            reward[:, 1] = 0.25
            return state, reward

    model = CMORL(TensorVectorEnv(24, kernel=Flat()), device="cpu", **(SMALL | {"reference": None}))
    model.learn(24 * 32 * 30, log_interval=None)
    assert np.isfinite(model.front).all() and model.front[:, 0].max() == 1.0 and len(model.front) == 1


def test_callbacks_see_the_mean_of_the_objectives(tmp_path: Any) -> None:
    seen: list[tuple[np.ndarray, Any]] = []

    def look(local: dict[str, Any], _: dict[str, Any]) -> bool:
        seen.append((local["rewards"], local["infos"][0].get("episode")))
        return len(seen) < 20

    model = agent().learn(2_000, callback=[CheckpointCallback(10, str(tmp_path)), look], log_interval=None)
    rewards, episode = seen[-1]
    assert rewards.shape == (24,) and episode["r"] == pytest.approx(float(rewards[0]), abs=1e-6)
    assert model.num_timesteps == 20 * 24 and list(tmp_path.glob("*.zip"))


def test_a_copy_goes_on_apart_from_the_original() -> None:
    model = agent(seed=0).learn(3_000, log_interval=None)
    before = model.front.copy()
    other = copy.deepcopy(model)
    other.learn(4_000, reset_num_timesteps=False, log_interval=None)
    assert np.array_equal(model.front, before) and other.num_timesteps > model.num_timesteps
    assert np.array_equal(np.sort(before, 0)[-1] <= np.sort(other.front, 0)[-1], [True, True])


def test_evaluate_plays_the_member_that_the_weights_choose() -> None:
    model = agent(seed=0, divisions=1).learn(24 * 32 * 20, log_interval=None)
    for weights in ((1.0, 0.0), (0.0, 1.0)):
        result = evaluate(model, bandit(4), episodes=6, weights=weights)
        assert result.objectives is not None and result.objectives.shape == (6, 2)
        assert np.allclose(result.objectives, weights) and np.allclose(result.returns, 1.0)
    with pytest.raises(ValueError, match="weights"):
        evaluate(model, bandit(4), episodes=6)
    with pytest.raises(ValueError, match="do not fit"):
        evaluate(model, bandit(4), episodes=6, weights=(1.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="pays one number"):
        evaluate(model, "CartPole-v1", episodes=1, weights=(1.0, 0.0))


def test_a_reference_point_above_everything_is_said_and_parents_stay_feasible() -> None:
    with pytest.warns(UserWarning, match=r"no policy is above the reference point \(50, 50\).*reference=\("):
        model = agent(reference=(50.0, 50.0), seed=0, init_fraction=0.3, extension_updates=1)
        model.learn(6_000, log_interval=None)
    assert model.search.stage == 2 and model.progress(model.search)["hypervolume"] == 0.0
    assert (model.search.threshold <= 1.0).all()  # no arm pays more; beside z = 50 a share of 0.4 would ask for 30


def test_what_cannot_be_trained_together_is_refused_before_anything_is_built() -> None:
    with pytest.raises(ValueError, match=r"divisions=20 makes 53,130 policies for 6 objectives"):
        CMORL("rlsuite/FruitTree-v0", divisions=20, num_envs=6, device="cpu")
    with pytest.raises(ValueError, match="one sample"):
        CMORL("rlsuite/DeepSeaTreasure-v0", divisions=1, num_envs=2, n_steps=1, device="cpu")


def test_one_policy_plays_for_one_row_of_weights_and_a_discount_is_one() -> None:
    model = agent(seed=0).learn(2_000, log_interval=None)
    with pytest.raises(ValueError, match="one row of 2"):
        model.predict(np.zeros(1, np.float32), weights=[(0.5, 0.5)])
    with pytest.raises(ValueError, match="gamma is 3"):
        model.measure_members(episodes=1, gamma=3, venv=bandit(len(model.front)))
