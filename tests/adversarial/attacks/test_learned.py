"""Attackers that learn, and attacks on actions: their decision process, their bounds, and what they reach."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rlsuite import PPO
from rlsuite.adversarial.attacks.actions import ActionAttack, MixedAction
from rlsuite.adversarial.attacks.attacked import AttackedPolicy
from rlsuite.adversarial.attacks.budget import Budget
from rlsuite.adversarial.attacks.catalogue import ATTACKS, Target, attacked, attacks_for
from rlsuite.adversarial.attacks.learned import AdversaryVectorEnv, LearnedAttack, ends_early, train_attack
from rlsuite.adversarial.attacks.sarsa import RobustSarsaAttack, SarsaConfig, interval_bounds
from rlsuite.adversarial.attacks.victim import as_victim
from rlsuite.core.brain import PolicyOutput
from rlsuite.core.evaluate import evaluate
from rlsuite.core.networks import mlp
from rlsuite_envs.make import make_vector_env

HEIGHT = 0.4


class Reflex:
    """Pendulum: push against the velocity it is shown; a fixed victim."""

    observation_space = gym.make("Pendulum-v1").observation_space
    action_space = gym.make("Pendulum-v1").action_space

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.clip(-2.0 * np.asarray(observation)[..., 2:3], -2, 2).astype(np.float32), state


class Sign(gym.Env):
    """One step; the victim says whether x is above 0, and is paid for being right by |x|: enumerable attacks."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.x.copy(), {}

    def step(self, action):
        reward = float(abs(self.x[0])) * (1.0 if (self.x[0] > 0) == (int(action) == 1) else -1.0)
        return self.x.copy(), reward, True, False, {}


class Honest:
    """Says what it sees."""

    observation_space, action_space = Sign.observation_space, Sign.action_space

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return (np.asarray(observation)[..., 0] > 0).astype(np.int64), state


def honest_victim():
    victim = as_victim(Honest())
    victim.heads = lambda s: PolicyOutput(torch.cat([-s, s], 1), None, torch.cat([-s, s], 1))
    return victim


@pytest.fixture(scope="module")
def sign_env() -> str:
    gym.register("test/Sign-v0", Sign)
    return "test/Sign-v0"


def test_the_attackers_world_is_the_victims_with_the_sign_turned() -> None:
    """u = 0 is the clean game with reward -r; u on its bound moves the view by exactly eps."""
    victim = as_victim(Reflex(), unit=np.array([0.5, 0.5, 2.0]))
    world = AdversaryVectorEnv(make_vector_env("Pendulum-v1", 3), victim, "sa-rl", Budget(0.3))
    plain = make_vector_env("Pendulum-v1", 3)
    assert world.single_action_space.shape == (3,)
    obs, _ = world.reset(seed=5)
    other, _ = plain.reset(seed=5)
    assert np.array_equal(obs, other)
    for step in range(6):
        u = np.zeros((3, 3), np.float32)
        u[:, 2] = step % 2
        obs, reward, *_ = world.step(u)
        seen = other.copy()
        seen[:, 2] += 2.0 * 0.3 * (step % 2)
        other, true_reward, *_ = plain.step(Reflex().predict(seen)[0])
        assert np.allclose(obs, other, atol=1e-6) and np.allclose(reward, -true_reward, atol=1e-6)
    world.close(), plain.close()


def test_a_learned_attacker_finds_the_enumerated_optimum(sign_env: str) -> None:
    """The victim can be turned wherever |x| < eps: best return E|x| - 2 E[|x|; |x| < eps], known in closed form."""
    victim = honest_victim()
    attack = train_attack(
        victim,
        sign_env,
        "sa-rl",
        Budget(HEIGHT),
        steps=8_000,
        seed=0,
        n_steps=32,
        batch_size=128,
        learning_rate="linear:1e-2",
        gamma=0.0,
        normalize_obs=False,
        normalize_reward=False,
    )
    found = evaluate(AttackedPolicy(victim, attack, Budget(HEIGHT)), sign_env, episodes=500, seed=1).returns
    clean = evaluate(victim.model, sign_env, episodes=500, seed=1).returns
    best = np.where(clean < HEIGHT, -clean, clean).mean()
    assert clean.mean() == pytest.approx(0.5, abs=0.05) and best == pytest.approx(0.5 - HEIGHT**2, abs=0.05)
    assert found.mean() >= best - 1e-6  # nothing beats the optimum
    assert found.mean() < best + 0.02


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_director_is_obeyed(norm: str) -> None:
    """PA-AD's actor turns a linear policy's output towards the direction it is told, far more than chance does."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn((3, 20), generator=generator, dtype=torch.float64)
    victim = as_victim(Reflex())
    victim.heads = lambda s: PolicyOutput(s @ weight.T, torch.ones(len(s), 3, dtype=s.dtype), s @ weight.T)
    victim.unit = torch.ones(20, dtype=torch.float64)
    victim.observation_space = spaces.Box(-np.inf, np.inf, (20,), np.float64)
    direction = torch.nn.functional.normalize(torch.randn((200, 3), generator=generator, dtype=torch.float64))

    class Director:
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return direction.numpy(), state

    radius = torch.full((200,), 0.3, dtype=torch.float64)
    obs = torch.zeros((200, 20), dtype=torch.float64)
    delta = LearnedAttack("pa-ad", Director())(obs, victim, radius, norm, generator)
    if norm == "linf":
        assert torch.allclose(
            delta.abs(), radius[:, None].expand_as(delta)
        )  # every entry at its bound, as in the paper
    cosine = torch.nn.functional.cosine_similarity(delta @ weight.T, direction)
    assert cosine.mean() > 0.5


def test_interval_bounds_hold_every_sampled_output_and_are_exact_for_one_layer() -> None:
    torch.manual_seed(0)
    net = mlp(4, (16, 16), 2, "tanh")
    x = torch.randn(5, 4)
    low, high = interval_bounds(net, x, 0.1)
    samples = net(x + (torch.rand(2000, 5, 4) * 2 - 1) * 0.1)
    assert bool((samples >= low - 1e-6).all() & (samples <= high + 1e-6).all()) and bool((high > low).all())
    layer = nn.Sequential(nn.Linear(4, 1))
    low, high = interval_bounds(layer, x, 0.3)
    corners = torch.cartesian_prod(*[torch.tensor([-0.3, 0.3])] * 4)
    values = layer(x[:, None] + corners).squeeze(-1)
    assert torch.allclose(values.min(1).values, low.squeeze(1), atol=1e-6)
    assert torch.allclose(values.max(1).values, high.squeeze(1), atol=1e-6)


def test_robust_sarsa_learns_which_actions_are_good() -> None:
    """On Pendulum with a reflex victim, its Q is fitted to returns and the attack moves it down."""
    victim = as_victim(Reflex(), unit=np.array([0.5, 0.5, 2.0]))

    def heads(s):
        action = (-2.0 * s[:, 2:3]).clamp(-2, 2)
        return PolicyOutput(action, None, action)

    victim.heads = heads
    config = SarsaConfig(rounds=6, n_steps=512, n_epochs=4)
    attack = RobustSarsaAttack.fit(victim, "Pendulum-v1", config, num_envs=8)
    again = RobustSarsaAttack.fit(victim, "Pendulum-v1", config, num_envs=8)
    assert all(torch.equal(a, b) for a, b in zip(attack.net.parameters(), again.net.parameters(), strict=True))
    obs = torch.tensor([[1.0, 0.0, 0.3], [0.0, 1.0, -0.2], [-1.0, 0.0, 0.1]], dtype=torch.float64)
    radius = torch.full((3,), 0.2, dtype=torch.float64)
    delta = attack(obs, victim, radius, "linf", torch.Generator().manual_seed(0))

    def worth(s):
        rows = torch.cat([((obs - attack.centre) / victim.unit).float(), heads(s).action.float()], 1)
        return attack.net(rows).squeeze(1)

    assert bool((worth(obs + victim.unit * delta) <= worth(obs) + 1e-6).all())
    assert bool((worth(obs + victim.unit * delta) < worth(obs) - 1e-4).any())


@given(
    kind=st.sampled_from(["action-noise", "action-q", "action-mas"]),
    eps=st.floats(0, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=20, deadline=None)
def test_action_attacks_keep_to_ball_and_box(kind: str, eps: float, seed: int) -> None:
    victim = as_victim(Reflex())
    victim.heads = lambda s: PolicyOutput(s[:, :1], torch.ones(len(s), 1, dtype=s.dtype), s[:, :1])
    victim.q_value = lambda s, a: -(a.squeeze(1) - 0.7).square()
    rng = np.random.default_rng(seed)
    action = rng.uniform(-2, 2, (6, 1)).astype(np.float32)
    obs = rng.normal(size=(6, 3)).astype(np.float32)
    executed = ActionAttack(kind, eps)(obs, action, victim, torch.Generator().manual_seed(seed))
    assert executed.dtype == action.dtype and np.abs(executed).max() <= 2
    assert np.abs(executed - action).max() <= 2 * eps + 1e-5  # half the box's range is 2


def test_the_action_value_attack_goes_away_from_the_best_action() -> None:
    victim = as_victim(Reflex())
    victim.q_value = lambda s, a: -(a.squeeze(1) - 0.7).square()
    action = np.array([[0.8], [0.6], [0.0]], np.float32)
    executed = ActionAttack("action-q", 0.25)(np.zeros((3, 3)), action, victim, torch.Generator())
    assert np.allclose(executed, [[1.3], [0.1], [-0.5]], atol=1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_density_attack_wastes_nothing_on_directions_that_the_box_cuts(norm: str) -> None:
    """An action on one bound, its mean beyond: only the other entry can leave, and has the whole radius."""
    victim = as_victim(Reflex())
    victim.action_space = spaces.Box(-2, 2, (2,), np.float32)
    mean = torch.tensor([[1.5, 0.0]], dtype=torch.float64)
    victim.heads = lambda s: PolicyOutput(mean.expand(len(s), 2), torch.tensor([[0.1, 1.0]]).expand(len(s), 2), mean)
    action = np.array([[2.0, 0.0]], np.float32)
    for seed in range(5):
        attack = ActionAttack("action-mas", 0.1, norm)
        executed = attack(np.zeros((1, 3)), action, victim, torch.Generator().manual_seed(seed))
        assert executed[0, 0] == pytest.approx(2.0, abs=2e-2) and abs(executed[0, 1]) > 0.19, seed


def test_the_density_of_squashed_policies_is_that_before_the_tanh() -> None:
    """Equal steps in the environment's units are far more deviations near the bound."""
    victim = as_victim(Reflex())
    victim.action_space = spaces.Box(-2, 2, (2,), np.float32)
    box = torch.full((2,), -2.0), torch.full((2,), 2.0)
    inner = torch.tensor([[2.0, 0.0]])

    def heads(s):
        mean = inner.expand(len(s), 2)
        return PolicyOutput(mean, torch.tensor([[1.0, 0.5]]).expand(len(s), 2), 2 * mean.tanh(), box)

    victim.heads = heads
    action = (2 * inner.tanh()).numpy().repeat(8, 0)
    attack = ActionAttack("action-mas", 0.03, "l2")
    executed = attack(np.zeros((8, 3)), action, victim, torch.Generator().manual_seed(0))
    moved = np.abs(executed - action) / 2  # the first entry's slope is 1 / (1 - tanh(2)^2) = 14, the second's 2
    assert (moved[:, 0] > 0.9 * 0.03).mean() > 0.8
    edge = attack(np.zeros((8, 3)), np.full((8, 2), 2.0, np.float32), victim, torch.Generator().manual_seed(0))
    assert np.isfinite(edge).all() and np.abs(edge).max() <= 2


def test_mixed_actions() -> None:
    victim = as_victim(Reflex())
    action = np.full((4000, 1), 1.0, np.float32)
    blended = MixedAction(0.25)(np.zeros((4000, 3)), action, victim, torch.Generator().manual_seed(0))
    assert blended.min() >= 0.75 - 0.5 and blended.max() <= 0.75 + 0.5
    assert blended.mean() == pytest.approx(0.75, abs=0.02)
    swapped = MixedAction(0.25, kind="swap")(np.zeros((4000, 3)), action, victim, torch.Generator().manual_seed(0))
    assert (swapped != 1.0).mean() == pytest.approx(0.25, abs=0.03)
    for kind in ("blend", "swap"):
        same = MixedAction(0.0, kind=kind)(np.zeros((4000, 3)), action, victim, torch.Generator())
        assert same is action


def test_the_zoo_knows_whom_each_attack_can_hurt(sign_env: str) -> None:
    black, model = as_victim(Honest()), PPO("Pendulum-v1", n_steps=16, batch_size=16, device="cpu")
    assert attacks_for(black) == ["random", "sa-rl", "search", "transfer", "swap"]
    every = attacks_for(as_victim(model))
    assert set(ATTACKS) - set(every) == {"q", "min-q", "action-q"}
    assert attacks_for(as_victim(model), "actions") == ["action-noise", "action-mas", "blend", "swap"]
    with pytest.raises(ValueError, match="did you mean 'pgd'"):
        attacks_for(black, "pdg")
    with pytest.raises(ValueError, match="heads"):
        attacks_for(black, "random,pgd")
    with pytest.raises(ValueError, match="no attack named"):
        attacks_for(black, " , ")
    assert {name: spec.largest_eps for name, spec in ATTACKS.items() if spec.largest_eps < float("inf")} == {
        "blend": 1.0,
        "swap": 1.0,
    }
    for name in attacks_for(black):
        target = Target(sign_env, effort=0.002)
        made = ATTACKS[name].make(black, target, Budget(0.3))
        policy = attacked(black, name, made, Budget(0.3))
        assert np.isfinite(evaluate(policy, sign_env, episodes=4).returns).all()


def test_bad_input() -> None:
    victim = as_victim(Honest())
    with pytest.raises(ValueError, match="budget per step"):
        AdversaryVectorEnv(make_vector_env("CartPole-v1", 1), victim, "sa-rl", Budget(1, scope="episode"))
    with pytest.raises(ValueError, match="heads"):
        AdversaryVectorEnv(make_vector_env("CartPole-v1", 1), victim, "pa-ad", Budget(1))
    with pytest.raises(ValueError, match="kind"):
        LearnedAttack("pa-da", victim.model)
    with pytest.raises(ValueError, match="bounded Box"):
        ActionAttack("action-noise", 0.1).check(victim)
    with pytest.raises(ValueError, match="bounded Box"):
        MixedAction(0.1).check(victim)
    MixedAction(0.1, kind="swap").check(victim)
    victim.action_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    with pytest.raises(ValueError, match="bounded Box"):
        MixedAction(0.1, kind="swap").check(victim)
    MixedAction(0.1, Reflex(), kind="swap").check(victim)
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="eps"):
            MixedAction(bad)
    with pytest.raises(ValueError, match="eps"):
        ActionAttack("action-noise", -1)
    with pytest.raises(ValueError, match="sarsa_eps"):
        SarsaConfig(sarsa_eps=-1)
    with pytest.raises(ValueError, match="Box actions"):
        RobustSarsaAttack.check(honest_victim())


ENDINGS = {
    "Hopper-v5": True,
    "HalfCheetah-v5": False,
    "rlsuite/CartPole-v1": True,
    "rlsuite/Pendulum-v1": False,
}


@pytest.mark.parametrize(("env", "ends"), ENDINGS.items())
def test_the_discount_knows_whether_an_episode_can_end(env: str, ends: bool) -> None:
    assert ends_early(env) == ends
    agent = PPO(env, num_envs=2, n_steps=32, device="cpu")
    attack = train_attack(as_victim(agent), env, "sa-rl", Budget(0.1), steps=16, n_steps=16)
    assert attack.attacker.config.gamma == (0.999 if ends else 0.99)
