"""PROTECTED: a first policy that is PPO's, members that stay as found, signs of the attacker, exact resume."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import rlsuite
from rlsuite import PPO, PROTECTED
from rlsuite.adversarial.observation.exp3 import Exp3, NonDominatedSet
from rlsuite.adversarial.observation.protected import PROTECTEDConfig, worth

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


def found(**settings) -> PROTECTED:
    return PROTECTED("Hopper-v5", n_policies=3, n_updates=3, refresh_every=2, eps=0.2, **settings, **SMALL)


def test_the_first_policy_is_ppos_and_stays_as_it_was_found() -> None:
    ppo = PPO("Hopper-v5", **SMALL).learn(3 * 128)
    model = found().learn(100_000)
    first = model.members()[0]
    assert torch.equal(torch.cat([p.flatten() for p in first.policy.parameters()]), ppo.parts.flat.data)
    assert len(model.members()) == 3
    assert torch.equal(model.obs_norm.mean, ppo.obs_norm.mean)  # frozen after the first
    obs = np.random.default_rng(0).normal(size=(5, 11))
    assert np.allclose(first.predict(obs, deterministic=True)[0], ppo.predict(obs, deterministic=True)[0])
    later = [m.predict(obs, deterministic=True)[0] for m in model.members()]
    assert not np.allclose(later[0], later[1]) and not np.allclose(later[1], later[2])
    # 3 updates alone; then 3 each of two attacker's rollouts and one own, and the estimates of 1 and 2 policies, twice
    assert model.num_timesteps == 128 * (3 + 2 * 9 + 2 * 1 + 2 * 2)


def test_it_stops_in_the_middle_and_goes_on_to_the_bit(tmp_path) -> None:
    whole = found().learn(100_000)
    half = found()
    half.learn(128 * 9)
    assert 0 < half.counters.found < 3
    half.save(tmp_path / "half.zip")
    rest = rlsuite.load(tmp_path / "half.zip", env="Hopper-v5", device="cpu")
    rest.learn(100_000, reset_num_timesteps=False)
    for part, state in whole.get_parameters().items():
        for name, value in state.items():
            assert torch.equal(value, rest.get_parameters()[part][name]), (part, name)


class Watched(PROTECTED):
    """Notes what the attacker is paid and what its update changes."""

    def _face(self, run, mine, victim, critic, paid):
        self.faced = [*getattr(self, "faced", []), (critic, paid)]
        before = self.obs_norm.count
        result = super()._face(run, mine, victim, critic, paid)
        assert self.obs_norm.count == before
        return result

    def _attacker_update(self, run, mine):
        mine_before = self.parts.flat.data.clone()
        members = [torch.cat([p.flatten() for p in m.parameters()]).clone() for m in self.slots]
        weights = [parts.flat.data.clone() for parts in self.attacker]
        result = super()._attacker_update(run, mine)
        assert torch.equal(mine_before, self.parts.flat.data)
        for before, policy in zip(members, self.slots, strict=True):
            assert torch.equal(before, torch.cat([p.flatten() for p in policy.parameters()]))
        moved = [
            {name: not torch.equal(w[part], p.flat.data[part]) for name, part in p.flat.slices.items()}
            for w, p in zip(weights, self.attacker, strict=True)
        ]
        # the actor's update leaves its unused critic alone, the critics' updates leave their unused actors alone
        assert all(moved[0][n] == n.startswith(("actor", "log_std")) for n in moved[0])
        for names in moved[1:]:
            assert all(names[n] == (not n.startswith(("actor", "log_std"))) for n in names)
        assert np.isfinite(result["advantage"])
        return result


def test_the_attacker_is_paid_for_the_newcomers_advantage() -> None:
    model = Watched("Hopper-v5", n_policies=2, n_updates=2, refresh_every=1, **SMALL).learn(100_000)
    assert model.faced == 2 * [(2, -1.0), (1, 1.0), (2, -1.0)]  # estimate, newcomer, best of the set


def test_falling_fast_is_worth_little() -> None:
    steps = np.arange(20_000)
    for reward, fallen, gamma in ((1.6, 1 / 26, 0.99), (1.0, 1 / 490, 0.99), (-2.0, 0.0, 0.9)):
        hand = (reward * (gamma * (1 - fallen)) ** steps).sum()  # the chance to be there still, times the discount
        assert worth(reward, fallen, gamma) == pytest.approx(hand)
    assert worth(1.6, 1 / 26, 0.99) < worth(1.0, 1 / 490, 0.99)


def test_every_policy_has_whole_schedules_and_a_new_attacker() -> None:
    rates: list[float] = []
    model = PROTECTED("Hopper-v5", n_policies=2, n_updates=4, refresh_every=4, learning_rate="linear:1.0e-3", **SMALL)
    norms = []

    def note(agent: PROTECTED) -> None:
        rates.append(agent.logger.name_to_value["train/learning_rate"])
        norms.append((agent.adversary.obs_norm, agent.attacker[1].return_norm))

    model.learn(100_000, on_update=note, log_interval=None)
    assert rates == pytest.approx(2 * [1e-3, 7.5e-4, 5e-4, 2.5e-4])
    assert norms[3][0] is not norms[2][0] and norms[3][1] is not norms[2][1]  # at the first policy's admission
    assert norms[4][0].count > 0 and norms[4][1] is norms[3][1]


def test_the_set_plays_under_exp3() -> None:
    model = found().learn(100_000)
    members = model.members()
    chosen = NonDominatedSet(members, Exp3(len(members), 0.3, low=0, high=100))
    obs = np.zeros((2, 11))
    for _ in range(5):
        action, _ = chosen.predict(obs)
        assert action.shape == (2, 3)
        chosen.end_episode(50.0)


@pytest.mark.parametrize(
    "values",
    [{"n_policies": 0}, {"n_updates": 0}, {"refresh_every": 0}, {"adversary": "random"}, {"eps": -1.0}],
)
def test_bad_settings(values) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        PROTECTEDConfig(**values)
