"""What every algorithm hands over: parts that resize, copies that act by themselves, words when training diverges."""

from __future__ import annotations

import ast
import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO as SB3PPO

import rlsuite
from rlsuite import ATLA, PPO, QARL, RARL, SAC, SubPO
from rlsuite.core.agent import Agent
from rlsuite.core.optim import check_update
from rlsuite.core.session import Session

SMALL = {"num_envs": 2, "net_arch": (8,), "device": "cpu"}
ROLLOUT = SMALL | {"n_steps": 16, "batch_size": 16, "n_epochs": 20, "learning_rate": 1e-2}


def test_the_epochs_that_were_begun_are_counted_as_stable_baselines3_does() -> None:
    same = {"batch_size": 16, "n_epochs": 20, "learning_rate": 1e-2, "target_kl": 1e-4, "device": "cpu"}
    theirs = SB3PPO("MlpPolicy", "CartPole-v1", n_steps=32, seed=0, **same)
    theirs.learn(32)
    ours = PPO("CartPole-v1", target_kl=1e-4, **ROLLOUT).learn(32)
    assert theirs._n_updates == ours.n_updates == 1  # the first epoch is broken off after a step
    assert float(ours.parts.optimizer.steps) == 1


@pytest.mark.parametrize("cls", [RARL, ATLA])
def test_both_players_count_the_epochs_that_were_begun(cls) -> None:
    assert cls("InvertedPendulum-v5", target_kl=1e-6, **ROLLOUT).learn(64).n_updates == 2
    assert cls("InvertedPendulum-v5", **ROLLOUT | {"n_epochs": 3}).learn(64).n_updates == 6


def test_subpo_counts_the_epochs_that_were_begun() -> None:
    settings = SMALL | {"batch_size": 16, "n_epochs": 20, "target_kl": 1e-6, "learning_rate": 1e-2}
    assert SubPO("rlsuite/TwoRooms-v0", **settings).learn(1).n_updates == 1


@pytest.mark.parametrize(
    ("make", "steps"),
    [
        (lambda: SAC("Pendulum-v1", batch_size=8, buffer_size=500, learning_starts=10, **SMALL), 60),
        (lambda: QARL("InvertedPendulum-v5", batch_size=8, critic_starts=8, actor_starts=8, **SMALL), 60),
    ],
)
def test_a_loss_that_is_nan_is_blamed_on_the_training(make, steps) -> None:
    model = make()
    part = model.learner if isinstance(model, SAC) else model.players[1].learner
    with torch.no_grad():
        part.flat["critic"].data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="training diverged: ") as error:
        model.learn(steps, log_interval=None)
    assert "environment" not in str(error.value)


def test_networks_that_diverged_are_blamed_before_the_environment_they_broke() -> None:
    model = SAC("rlsuite/Pendulum-v1", buffer_size=500, learning_starts=3, **SMALL)
    model.learn(4, log_interval=None)
    with torch.no_grad():
        model.learner.flat["actor"].data[0] = float("nan")
    with pytest.raises(
        FloatingPointError, match=r"^action is nan at step 3 in environment 0.*; the policy has diverged"
    ):
        model.learn(8, log_interval=None, reset_num_timesteps=False)


def test_check_update_names_what_is_not_finite() -> None:
    check_update({"loss": 1.0, "other": torch.tensor(2.0)})
    with pytest.raises(FloatingPointError, match="diverged: loss is inf, other is nan; earlier checkpoints"):
        check_update({"loss": np.inf, "fine": 0.0, "other": torch.tensor(float("nan"))})


@pytest.mark.parametrize("cls", [PPO, SAC])
def test_a_copy_acts_and_is_read_by_its_own_networks(cls) -> None:
    model = cls("Pendulum-v1", **SMALL)
    other = copy.deepcopy(model)
    obs = model.observation_space.sample()
    before = model.predict(obs, deterministic=True)[0]
    with torch.no_grad():
        for parameter in other.policy.parameters():
            parameter.fill_(0.5)
    assert np.array_equal(model.predict(obs, deterministic=True)[0], before)
    assert not np.array_equal(other.predict(obs, deterministic=True)[0], before)
    assert other.members() == [other] and model.insides is not None
    rows = torch.ones(1, 3)
    assert not torch.equal(model.insides.output(rows).mean, other.insides.output(rows).mean)


def test_another_number_of_environments_reaches_every_normaliser() -> None:
    model = ATLA("InvertedPendulum-v5", normalize_reward=True, **ROLLOUT | {"n_epochs": 1}).learn(64)
    model.set_env("InvertedPendulum-v5", num_envs=3)
    model.learn(96, reset_num_timesteps=False)
    norms = model.parts.return_norm, model.adversary.return_norm
    assert [norm.num_envs for norm in norms] == [3, 3]


def test_an_empty_buffer_takes_another_number_of_environments_and_a_full_one_says_what_fits() -> None:
    model = SAC("Pendulum-v1", buffer_size=500, batch_size=8, **SMALL)
    model.set_env("Pendulum-v1", num_envs=3)
    model.learn(30, log_interval=None)
    assert model.buffer.num_envs == 3 and len(model.buffer) == 30
    with pytest.raises(ValueError, match="transitions of 3 environments, the new one has 2; use num_envs=3"):
        model.set_env("Pendulum-v1", num_envs=2)


def test_an_algorithm_is_two_functions() -> None:
    class Idle(PPO):
        """Counts one rollout after another."""

        def train(self, run: Session) -> None:
            runner = self.start_runner()
            while not run.done:
                rollout = run.collect(self.parts.backend, runner, 8, self.generator)
                assert rollout is not None and rollout.reward.shape == (8, 2)
                run.update_end({}, runner.stats)

    updates: list[int] = []
    model = Idle("CartPole-v1", **ROLLOUT).learn(40, on_update=lambda agent: updates.append(agent.num_timesteps))
    assert updates == [16, 32, 48] and isinstance(model, Agent)


def closure(module: str) -> set[str]:
    """Our modules that importing `module` imports, as their texts say (face modules import lazily)."""
    found, left = set(), [module]
    while left:
        name = left.pop()
        path = Path(rlsuite.__file__).parent.parent / Path(*name.split(".")).with_suffix(".py")
        if name in found or not path.exists():
            continue
        found.add(name)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rlsuite."):
                left += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def test_atla_needs_no_other_algorithm_than_ppo() -> None:
    found = closure("rlsuite.adversarial.observation.atla")
    unwanted = ("off_policy", "games.qarl", "games.teacher", "attacks.gradient", "attacks.blackbox", "protected")
    assert {"rlsuite.policy_gradient.ppo", "rlsuite.adversarial.attacks.victim"} <= found
    assert [name for name in found if any(part in name for part in unwanted)] == []
    assert "rlsuite.off_policy.sac" not in closure("rlsuite.off_policy.soft_kernel")
