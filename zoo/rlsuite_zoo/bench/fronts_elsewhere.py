"""One algorithm of morl-baselines on one task, for `rlsuite bench fronts`: a script for another Python environment.

It imports nothing of rlsuite: morl-baselines pins packages that need not agree with ours. The request is JSON in the
first argument, the answer the last line of the output: seconds of training, environment steps, and the mean discounted
returns [C, K] of the policies found, on episodes that chose none of them.

What is timed is `train` with logging off. The algorithm's own evaluations, without which it cannot choose, are in it;
their share is told apart: from the beginning of each of their episodes to its end.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

Act = Callable[[Any], Any]


def judging(env: Any) -> Any:
    """The environment, with the seconds of all its episodes in `seconds[0]`."""
    import gymnasium

    class Judge(gymnasium.Wrapper):
        def reset(self, **options: Any) -> Any:
            self.begun = time.perf_counter()
            return self.env.reset(**options)

        def step(self, action: Any) -> Any:
            found = self.env.step(action)
            if found[2] or found[3]:
                seconds[0] += time.perf_counter() - self.begun
            return found

    seconds = [0.0]
    made: Any = Judge(env)
    made.seconds = seconds
    return made


POLICY_WEIGHTS = 50
"""Weights with which a policy that takes weights is played; those spread evenly by morl-baselines itself."""


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Train, then play.

    Args:
        request: task, algorithm, steps, seed, gamma (of measured returns), episodes, reference [K], settings.
    """
    import mo_gymnasium
    import torch

    torch.set_num_threads(1)
    np.random.seed(request["seed"])  # noqa: NPY002  # what the library draws from
    torch.manual_seed(request["seed"])
    env, judge = mo_gymnasium.make(request["task"]), judging(mo_gymnasium.make(request["task"]))
    reference = np.array(request["reference"], float)
    kinds = {"PGMORL": pgmorl, "CAPQL": capql, "GPI-LS": gpi_ls}
    begun = time.perf_counter()
    policies, steps = kinds[request["algorithm"]](env, judge, reference, request)
    seconds = time.perf_counter() - begun
    evaluating = judge.seconds[0]
    points = [play(judge, act, request) for act in policies]
    return {"seconds": seconds, "evaluating": evaluating, "steps": steps, "points": np.array(points).tolist()}


def pgmorl(env: Any, judge: Any, reference: np.ndarray, request: dict[str, Any]) -> tuple[list[Act], int]:
    """The policies of the archive; its evaluations give observations as they are to policies of scaled ones, as here.

    Its policies act by samples, whether asked to be greedy or not.
    """
    from morl_baselines.multi_policy.pgmorl.pgmorl import PGMORL

    env.close()
    given = {"origin": reference, "seed": request["seed"], "log": False, "device": "cpu", **request["settings"]}
    agent = PGMORL(env_id=request["task"], gamma=request["gamma"], **given)
    agent.train(request["steps"], judge, reference)
    found = list(agent.archive.individuals)
    return [partial(_eval, one, None) for one in found], int(agent.global_step)


def capql(env: Any, judge: Any, reference: np.ndarray, request: dict[str, Any]) -> tuple[list[Act], int]:
    """One policy, played with evenly spread weights."""
    from morl_baselines.multi_policy.capql.capql import CAPQL

    agent = CAPQL(env, gamma=request["gamma"], log=False, seed=request["seed"], device="cpu", **request["settings"])
    agent.train(request["steps"], judge, reference)
    return _weighted(agent), int(agent.global_step)


def gpi_ls(env: Any, judge: Any, reference: np.ndarray, request: dict[str, Any]) -> tuple[list[Act], int]:
    """One policy, played with evenly spread weights."""
    given: dict[str, Any] = {"gamma": request["gamma"], "log": False, "seed": request["seed"], "device": "cpu"}
    if hasattr(env.action_space, "n"):
        from morl_baselines.multi_policy.gpi_pd.gpi_pd import GPILS as Kind

        given["epsilon_decay_steps"] = request["steps"] // 2
    else:
        from morl_baselines.multi_policy.gpi_pd.gpi_pd_continuous_action import GPILSContinuousAction as Kind
    agent = Kind(env, **(given | request["settings"]))
    each = max(1, request["steps"] // 10)
    agent.train(
        request["steps"], judge, reference, timesteps_per_iter=each, num_eval_episodes_for_front=3, checkpoints=False,
        eval_freq=10**9,
    )  # fmt: skip
    return _weighted(agent), int(agent.global_step)


def _weighted(agent: Any) -> list[Act]:
    from morl_baselines.common.weights import equally_spaced_weights

    weights = [np.asarray(w, np.float32) for w in equally_spaced_weights(agent.reward_dim, n=POLICY_WEIGHTS)]
    return [partial(_eval, agent, w) for w in weights]


def _eval(agent: Any, weights: np.ndarray | None, obs: Any) -> Any:
    return agent.eval(obs, weights)


def play(env: Any, act: Act, request: dict[str, Any]) -> np.ndarray:
    """Mean discounted return [K] over fresh episodes."""
    total = np.zeros(len(request["reference"]))
    for episode in range(request["episodes"]):
        obs, _ = env.reset(seed=10_000 + episode)
        weight, done = 1.0, False
        while not done:
            obs, reward, terminated, truncated, _ = env.step(act(np.asarray(obs)))
            total += weight * np.asarray(reward, float)
            weight *= request["gamma"]
            done = terminated or truncated
    return total / request["episodes"]


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(main(asked)))
