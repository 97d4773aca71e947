"""What environments are given and may give: shapes and dtypes of actions, masks, numbers that are not finite."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlsuite import ATLA, BPO, PPO, SAC, evaluate
from rlsuite.core.collect import collect
from rlsuite.core.guard import check_numbers
from rlsuite.core.vector import Stepper

SMALL = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "net_arch": (8,), "seed": 0, "device": "cpu"}
SOFT = {"learning_starts": 8, "batch_size": 8, "buffer_size": 100, "net_arch": (8,), "seed": 0, "device": "cpu"}


class Task(gym.Env):
    """Ten steps; asserts each action; what it gives at chosen steps is replaced by `bad`: {step: {part: value}}."""

    def __init__(self, action_space=None, *, bad=None, mask=None, dtype=np.float64, strict=True):
        self.action_space = spaces.Box(-1, 1, (2,)) if action_space is None else action_space
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,), dtype)
        self.bad, self.mask, self.steps, self.strict = bad or {}, mask, 0, strict

    def _give(self, part, value):
        return self.bad.get(self.steps, {}).get(part, value)

    def _info(self):
        mask = self._give("mask", self.mask)
        return {} if mask is None else {"action_mask": mask}

    def _obs(self, part="obs"):
        return np.full(3, self._give(part, 0.5), self.observation_space.dtype)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._obs("first"), self._info()

    def step(self, action):
        space = self.action_space
        if self.strict:
            assert space.contains(action) and action.dtype == space.dtype, (action, getattr(action, "dtype", None))
        self.t, self.steps = self.t + 1, self.steps + 1
        return self._obs(), self._give("reward", 1.0), False, self.t >= 10, self._info()


def vector(*tasks):
    return SyncVectorEnv([lambda task=task: task for task in tasks], autoreset_mode=AutoresetMode.SAME_STEP)


# Actions ------------------------------------------------------------------------------------------------------

BOXES = [
    spaces.Box(-1, 1, (2, 3)),
    spaces.Box(-1, 1, (1, 1)),
    spaces.Box(-1, 1, ()),
    spaces.Box(0.1, 0.3, (2,), np.float64),  # float32's 0.3 lies outside
    spaces.Box(-1, 1, (2, 2), np.float16),
]
CHOICES = [
    spaces.Discrete(3, start=5, dtype=np.int32),
    spaces.Discrete(3, start=-2, dtype=np.int8),
    spaces.MultiDiscrete([3, 2], dtype=np.int32),
    spaces.MultiDiscrete([3, 2], dtype=np.uint8, start=[1, 200]),
    spaces.MultiDiscrete([[3, 2], [2, 2]], dtype=np.int8),
    spaces.MultiBinary(3),
    spaces.MultiBinary((2, 2)),
]


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize(
    ("algorithm", "space"), [(SAC, box) for box in BOXES] + [(PPO, space) for space in BOXES + CHOICES], ids=str
)
def test_actions_are_in_the_space_and_of_its_dtype(algorithm, space, num_envs, tmp_path) -> None:
    model = algorithm(vector(*[Task(space) for _ in range(num_envs)]), **(SOFT if algorithm is SAC else SMALL))
    model.learn(16 * num_envs, log_interval=None)
    evaluate(model, Task(space), episodes=1)
    model.save(tmp_path / "model.zip")
    for policy in (model, algorithm.load(tmp_path / "model.zip")):
        one, _ = policy.predict(np.zeros(3))
        many, _ = policy.predict(np.zeros((4, 3)), deterministic=True)
        assert space.contains(one) and one.dtype == space.dtype
        assert many.shape == (4, *space.shape) and many.dtype == space.dtype
        assert all(space.contains(many[i, ...]) for i in range(4))


# Masks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "mask", "allowed"),
    [
        (spaces.Discrete(4, start=1), [0, 0, 1, 0], 3),
        (spaces.MultiDiscrete([2, 3]), [0, 1, 1, 0, 0], [1, 0]),
        (spaces.MultiDiscrete([[2, 2]]), [0, 1, 1, 0], [[1, 0]]),
        (spaces.MultiBinary(3), [1, 0, 0, 1, 1, 0], [0, 1, 0]),  # may it be 0, may it be 1, for each bit
    ],
    ids=str,
)
def test_one_contract_for_masks(space, mask, allowed) -> None:
    seen = []
    task = Task(space, mask=np.array(mask, np.int8))
    task.step = lambda action, step=task.step: seen.append(action.tolist()) or step(action)
    model = PPO(vector(task), **SMALL).learn(32)
    assert seen == [allowed] * 32
    assert model.predict(np.zeros(3), action_masks=np.array(mask, bool))[0].tolist() == allowed
    evaluate(model, task, episodes=1, deterministic=False)
    assert seen == [allowed] * 42
    rollout = collect(model.parts.backend, model.runner, 4, model.generator)
    assert rollout.mask.shape == (4, 1, len(mask)) and rollout.log_prob.tolist() == [[0.0]] * 4


NOTHING = {
    "Discrete": (spaces.Discrete(3), [1, 1, 1], [0, 0, 0]),
    "MultiDiscrete": (spaces.MultiDiscrete([2, 3]), [1] * 5, [1, 0, 0, 0, 0]),
    "even MultiDiscrete": (spaces.MultiDiscrete([2, 2]), [1] * 4, [0, 0, 1, 1]),
    "MultiBinary": (spaces.MultiBinary(2), [1] * 4, [1, 1, 0, 0]),
}


@pytest.mark.parametrize(("kind", "backend"), [*((kind, "torch") for kind in NOTHING), ("Discrete", "numpy")])
def test_a_mask_that_allows_nothing_names_environment_and_step(kind, backend) -> None:
    space, free, none = NOTHING[kind]
    free, none = np.array(free, bool), np.array(none, bool)
    bad = Task(space, mask=free, bad={5: {"mask": none}})
    model = PPO(vector(Task(space, mask=free), bad), backend=backend, **SMALL)
    with pytest.raises(ValueError, match="action mask of environment 1 at step 5 allows no action"):
        model.learn(64)
    assert bad.steps == 5  # it was not acted on
    with pytest.raises(ValueError, match="allow no action, or none for a component of it, in row 0"):
        model.predict(np.zeros(3), action_masks=none)
    with pytest.raises(ValueError, match="environment 0 at step 0 of the evaluation allows no action"):
        evaluate(model, Task(space, mask=none), episodes=1)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones(4, bool), r"at step 3: .* must be bool of shape \(1, 3\) .* not bool of shape \(1, 4\)"),
        (np.ones((1, 3), bool), r"must be bool of shape \(1, 3\) .* not bool of shape \(1, 1, 3\)"),
        (np.ones(3), r"not float64 of shape \(1, 3\)"),
        (np.array([1, 2, 0]), "integers must hold 0 and 1 only"),
    ],
    ids=["length", "axes", "floats", "other integers"],
)
def test_masks_of_another_kind_are_refused(mask, message) -> None:
    bad = {step: {"mask": mask} for step in range(3, 5)}
    venv = vector(Task(spaces.Discrete(3), mask=np.ones(3, mask.dtype if mask.shape == (3,) else bool), bad=bad))
    if mask.dtype == float:
        venv.envs[0].mask = np.ones(3)
    with pytest.raises(ValueError, match=message):
        PPO(venv, **SMALL).learn(16)
    if mask.ndim == 1:
        model = PPO(None, spaces=(spaces.Box(-1, 1, (3,)), spaces.Discrete(3)), device="cpu")
        with pytest.raises(ValueError, match="action_masks given to predict"):
            model.predict(np.zeros(3), action_masks=mask)


def test_masks_that_appear_or_vanish_are_refused() -> None:
    space, free = spaces.Discrete(3), np.ones(3, bool)
    late = Task(space, bad={4: {"mask": free}})
    with pytest.raises(ValueError, match="give an action mask at step 4, unlike before"):
        PPO(vector(late), **SMALL).learn(16)
    lost = Task(space, mask=free)
    lost._info = lambda: {"action_mask": free} if lost.steps < 4 else {}
    with pytest.raises(ValueError, match="no longer give an action mask at step 4"):
        PPO(vector(lost), **SMALL).learn(16)
    lost = Task(space, mask=free)
    lost._info = lambda: {"action_mask": free} if lost.steps < 4 else {}
    with pytest.raises(ValueError, match="environment 1 gives no action mask at step 4, while others do"):
        PPO(vector(Task(space, mask=free), lost), **SMALL).learn(32)
    with pytest.raises(ValueError, match="Box actions take no action mask"):
        SAC(vector(Task(mask=free)), **SOFT).learn(16)


# Not finite ---------------------------------------------------------------------------------------------------

FAULTS = {
    "observation is nan at step 7 in environment 1": {7: {"obs": np.nan}},
    "observation is inf at step 7 in environment 1": {7: {"obs": np.inf}},
    "observation is -inf at step 10 in environment 1": {10: {"first": -np.inf}},
    "last observation is nan at step 10 in environment 1": {10: {"obs": np.nan, "first": 0.5}},
    "observation of environment 1 at step 7 is 1e[+]38.*: too large for float32": {7: {"obs": 1e38}},
    "observation of environment 1 at step 7 is 1e[+]300.*: too large for float32": {7: {"obs": 1e300}},
    "reward is nan at step 4 in environment 1": {4: {"reward": np.nan}},
    "reward is inf at step 4 in environment 1": {4: {"reward": np.inf}},
    "reward of environment 1 at step 4 is 1e[+]300: too large for float32": {4: {"reward": 1e300}},
}


@pytest.mark.parametrize(
    ("algorithm", "normalize"), [(PPO, False), (PPO, True), (BPO, True), (SAC, None)], ids=["ppo", "norm", "bpo", "sac"]
)
@pytest.mark.parametrize("message", FAULTS)
def test_the_first_bad_number_is_named_before_it_is_used(message, normalize, algorithm) -> None:
    options = SOFT if algorithm is SAC else SMALL | {"normalize_obs": normalize, "normalize_reward": normalize}
    tasks = [Task(), Task(bad=FAULTS[message])]
    model = algorithm(vector(*tasks), **options)
    with pytest.raises(FloatingPointError, match=f"^{message}"):
        model.learn(64, log_interval=None)
    assert tasks[1].steps == next(iter(FAULTS[message]))  # nobody acted on it
    tensors = [x for part in model.get_parameters().values() for x in part.values() if x.is_floating_point()]
    assert all(bool(torch.isfinite(x).all()) for x in tensors)


@pytest.mark.parametrize("step", [5, 21])  # in the agent's phase, in the adversary's
def test_an_attack_passes_on_what_is_not_finite(step) -> None:
    model = ATLA(vector(Task(), Task(bad={step: {"obs": np.nan}})), **SMALL)
    with pytest.raises(FloatingPointError, match=f"^observation is nan at step {step} in environment 1"):
        model.learn(64)


def test_too_large_for_float32_but_not_for_its_normaliser() -> None:
    with pytest.raises(
        FloatingPointError, match=r"reward of environment 0 at step 4 is 1e[+]39: too large for float32"
    ):
        PPO(vector(Task(bad={4: {"reward": 1e39}})), **SMALL).learn(16)
    PPO(vector(Task(bad={4: {"reward": 1e39}})), normalize_reward=True, **SMALL).learn(16)


def test_steps_count_on_over_rollouts() -> None:
    with pytest.raises(FloatingPointError, match="observation is nan at step 37 in environment 0"):
        PPO(vector(Task(bad={37: {"obs": np.nan}})), **SMALL).learn(64)
    with pytest.raises(FloatingPointError, match="observation is nan at step 0 in environment 0"):
        PPO(vector(Task(bad={0: {"first": np.nan}})), **SMALL).learn(64)


def test_a_policy_that_diverged_is_named() -> None:
    model = PPO(vector(Task()), **SMALL)
    with torch.no_grad():
        model.parts.flat.data.fill_(np.nan)
    with pytest.raises(FloatingPointError, match=r"action is nan at step 1 .* the policy has diverged"):
        model.learn(16)


def test_large_but_legal_numbers_pass() -> None:
    check_numbers("reward", torch.full((1000,), 9e17), 0)
    check_numbers("reward", torch.full((10,), -9e149, dtype=torch.float64), 0, 1e150)
    check_numbers("reward", torch.tensor([2**62, 3]), 0, 1e19)
    check_numbers("observation", torch.full((4,), 6e4, dtype=torch.float16), 0)
    with pytest.raises(FloatingPointError, match=r"x is nan at step 3 in environment 2 \(index \[1\]\)"):
        check_numbers("x", torch.tensor([[0, 0], [0, 0], [0, np.nan]]), 3)
    with pytest.raises(FloatingPointError, match="x is inf at step 3 in environment 1"):  # not 0: its square fits
        check_numbers("x", torch.tensor([1e17, np.inf, -np.inf]), 3)


@pytest.mark.parametrize("message", [*FAULTS, "the action mask of environment 1 at step 5 allows no action"])
def test_on_an_accelerator_the_rollout_is_judged_before_it_is_used(message) -> None:
    if message in FAULTS:
        tasks = [Task(strict=False), Task(bad=FAULTS[message], strict=False)]
    else:
        free = np.ones(3, bool)
        tasks = [Task(spaces.Discrete(3), mask=free, bad=bad) for bad in ({}, {5: {"mask": ~free}})]
    model = PPO(vector(*tasks), backend="torch", **SMALL)
    model.stepper._at_once = False  # as with kernels on a GPU
    with pytest.raises((FloatingPointError, ValueError), match=message.replace("-inf", "inf")):
        model.learn(32)
    assert tasks[1].steps == 16 and model.n_updates == 0
    assert bool(torch.isfinite(model.parts.flat.data).all())


# Precision ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", ["box", "dict", "tuple", "int64"])
def test_nothing_is_rounded_before_the_normaliser(wrap) -> None:
    """Integers 0..99 on 1.7e9, where float32 counts in steps of 128."""
    clock = spaces.Box(0, np.inf, (1,), np.float64)

    class Clock(gym.Env):
        action_space = spaces.Discrete(2)
        observation_space = {
            "box": clock,
            "dict": spaces.Dict(clock=clock, picture=spaces.Box(0, 255, (2, 2), np.uint8), flag=spaces.Discrete(2)),
            "tuple": spaces.Tuple((clock, spaces.MultiDiscrete([2, 2]))),
            "int64": spaces.Box(0, 2**40, (1,), np.int64),
        }[wrap]

        def _obs(self):
            self.t = (getattr(self, "t", -1) + 1) % 100
            now = np.array([1.7e9 + self.t])
            picture = np.full((2, 2), 200, np.uint8)
            return {
                "box": now,
                "dict": {"clock": now, "picture": picture, "flag": 1},
                "tuple": (now, np.array([1, 0])),
                "int64": now.astype(np.int64),
            }[wrap]

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self._obs(), {}

        def step(self, action):
            return self._obs(), 0.0, False, False, {}

    model = PPO(Clock(), normalize_obs=True, **SMALL | {"n_steps": 99, "batch_size": 99})
    rollout = collect(model.parts.backend, model.start_runner(), 99, model.generator)
    assert float(model.obs_norm.var[0]) == pytest.approx((100**2 - 1) / 12, rel=1e-9)
    assert float(model.obs_norm.mean[0]) == pytest.approx(1.7e9 + 49.5, abs=1e-6)
    shown = model.obs_norm.normalize(torch.tensor([[1.7e9 + 50.5] + [0.0] * (model.obs_size - 1)], dtype=torch.float64))
    assert float(shown[0, 0]) == pytest.approx(1 / 28.866, rel=1e-3)
    assert len(rollout.obs[-30:, 0, 0].unique()) == 30


def test_stepper_keeps_wide_integers() -> None:
    stepper = Stepper(vector(Task(dtype=np.int64)), torch.device("cpu"))
    assert stepper.reset()[0].dtype == torch.float64
