"""Hindsight differentiable policy optimisation (Alvo, Russo, Kanoria, Lee, arXiv 2306.11246): pathwise gradients.

Demand does not depend on what one orders, so a demand path w_1, w_2, ... can be replayed on any policy, and the cost of
a policy on a path is a function of the policy's parameters that has a gradient:

    J(theta) = E_w [ 1/T sum_t c(s_t, pi_theta(s_t), w_t) ],    s_{t+1} = f(s_t, pi_theta(s_t), w_t)
    grad J   = E_w [ d/dtheta of the same sum, through c, f and pi ]

One update simulates `num_envs` demand paths for `n_steps` periods through the kernel's own `post_decision` and
`transition`, differentiates the mean cost per period, and takes an Adam step. There is no critic, no discount, no
exploration: the policy is deterministic, and the estimate has the noise of demand only.

What differs from the release, and why:
- Demand is drawn anew for every update (`scenarios=0`) rather than from a fixed set: a simulator has no end of data,
  and a policy fitted to a set loses on new demand. `scenarios=32768` gives the release's fixed training set.
- With `restart` below 1 most paths begin an update where the one before ended, and in the last `lookahead` periods the
  policy's parameters count as constants: gradients reach back through them, but orders whose effects lie beyond the end
  are not trained. Both remove a bias of short horizons, since what is reported is a long-run cost.
- The step size decays, and what is judged on the development set is a moving average of the parameters.
- Networks think in mean demands; see `rlsuite.inventory.pathwise.networks`.

As in the release, the best policy on a development set (same demand each time, a warm-up ignored) is what `predict`
uses, and with Poisson demand orders are rounded there and in `predict` only.

Kernels other than the paper's work as well if they are differentiable in a Box of actions; `network="vanilla"` is then
an MLP with its actions in the box. Where an episode ends on a date (`SupplyNetwork`), whole episodes are simulated:
recipe `episodes`.

Expected: gaps to the optimum below 0.1 % (backlog, base stock) and 0.5 % (lost sales, vanilla) in minutes; the results
page of the zoo has all instances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from rlsuite.core import guard
from rlsuite.core.agent import Agent, EnvLike
from rlsuite.core.brain import Brain
from rlsuite.core.collect import EpisodeStats
from rlsuite.core.config import check_range, check_schedule, check_types
from rlsuite.core.optim import check_update
from rlsuite.core.rng import EVALUATION, RESETS, own_seed
from rlsuite.core.schedules import parse_schedule
from rlsuite.core.session import Session
from rlsuite.core.stateful import GeneratorState, Stateful
from rlsuite.core.types import Step
from rlsuite.inventory.pathwise.layout import describe
from rlsuite.inventory.pathwise.learner import Learner
from rlsuite.inventory.pathwise.simulation import check_kernel, long_run_cost, simulate
from rlsuite_envs.kernel import tree_items, tree_map


@dataclass(frozen=True)
class HDPOConfig:
    """Hyper-parameters of HDPO. The batch is the model's `num_envs`: demand paths per update.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    network: str = "auto"
    """vanilla, symmetric, graph, base_stock, capped_base_stock, echelon_stock, or auto: symmetric for warehouses with
    stores, else vanilla."""
    hidden: tuple[int, ...] = ()
    """Hidden layers; empty takes the network's own."""
    activation: str = "elu"
    """tanh, relu, elu or gelu."""
    n_steps: int = 50
    """T, periods per update that train the policy; at least 1, and more than the lead times."""
    lookahead: int = 0
    """Further periods in which the parameters are constants; at least 0."""
    restart: float = 0.1
    """Share of the demand paths that begin an update in new random states, in (0, 1]; the others go on where the
    update before ended."""
    learning_rate: float | str | None = None
    """Adam's step size, or a schedule such as "cosine:3e-3:3e-5"; None takes the network's own."""
    max_grad_norm: float | None = 1.0
    """Largest global L2 norm of a gradient; None switches clipping off."""
    scenarios: int = 0
    """Demand paths of a fixed training set, a multiple of num_envs, restarted each time; 0 draws fresh ones."""
    average: float = 0.98
    """Decay per update of the moving average of the parameters, in [0, 1); 0 judges the parameters themselves."""
    dev_every: int = 40
    """Updates between looks at the development set; at least 1."""
    dev_scenarios: int = 4096
    """Demand paths of the development set; at least 2."""
    dev_periods: int = 100
    """Periods of the development set; at least 1."""
    dev_warm_up: int = 60
    """First periods of it that do not count; fewer than dev_periods."""
    patience: int = 0
    """Looks at the development set without a gain after which training ends; 0 never ends it."""

    def __post_init__(self) -> None:
        check_types(self)
        inf = float("inf")
        check_range(
            self,
            n_steps=(1, inf),
            lookahead=(0, inf),
            restart=(1e-6, 1),
            max_grad_norm=(1e-9, inf),
            scenarios=(0, inf),
            average=(0, 1 - 1e-9),
            dev_every=(1, inf),
            dev_scenarios=(2, inf),
            dev_periods=(1, inf),
            dev_warm_up=(0, self.dev_periods - 1),
            patience=(0, inf),
        )
        if self.learning_rate is not None:
            check_schedule(self, "learning_rate")


class HDPO(Agent):
    """Pathwise-gradient policy optimisation; `rlsuite.core.agent.Agent` has the arguments, `HDPOConfig` the fields.

    Example:
        >>> from rlsuite import HDPO
        >>> model = HDPO("rlsuite/LostSales-L4-p4-v0", num_envs=256).learn(256 * 50 * 3)
        >>> action, _ = model.predict(model.observation_space.sample())
    """

    config_class = HDPOConfig
    stored: ClassVar = {
        **dict.fromkeys(("network", "hidden", "activation"), "network"),
        **dict.fromkeys(("dev_scenarios", "dev_periods", "dev_warm_up"), "best cost on the development set"),
    }
    unbounded = frozenset({"learner/best_cost"})
    config: HDPOConfig

    def __init__(self, env: EnvLike | None, config: Any = None, *, num_envs: int = 1024, **kwargs: Any) -> None:
        super().__init__(env, config, num_envs=num_envs, **kwargs)

    def build(self) -> Brain:
        """The learner; its networks are made when the problem is known."""
        self.learner = Learner(self.config, self.device)
        self.stats = EpisodeStats(self.num_envs)
        if self.stepper is not None:
            self._set_kernel()
        return Brain(self.learner.deployed, self._act, self._state)

    def forget_episodes(self) -> None:
        """Start the next `learn` from fresh states."""
        super().forget_episodes()
        self.learner.carried = {}

    def _set_kernel(self) -> None:
        """Look at the environment's kernel; another problem than before makes the old best meaningless."""
        self.kernel = check_kernel(self.venv)
        self._check_clock()
        layout = describe(self.kernel)
        if self.learner.layout is None:
            self.learner.build(layout)
        elif self.learner.layout != layout:
            self.learner.best_cost.fill_(float("inf"))
            self.learner.carried = {}
        if self.config.scenarios % self.num_envs:
            raise ValueError(f"scenarios={self.config.scenarios} must be 0 or a multiple of num_envs={self.num_envs}")

    def _check_clock(self) -> None:
        """A problem that counts its periods must be trained and judged on whole episodes."""
        config, end = self.config, self.kernel.max_episode_steps
        if end is None or not hasattr(self.kernel.initial_state(1, torch.Generator(self.device)), "t"):
            return
        if config.restart < 1 or config.n_steps + config.lookahead > end or config.dev_periods > end:
            raise ValueError(
                f"{type(self.kernel).__name__} ends after {end} periods, but n_steps={config.n_steps}, "
                f"lookahead={config.lookahead}, restart={config.restart:g}, dev_periods={config.dev_periods} go "
                f"beyond; set n_steps={end}, lookahead=0, restart=1, dev_periods={end}, dev_warm_up=0"
            )

    def set_env(self, env: EnvLike, *, num_envs: int | None = None, env_kwargs: dict[str, Any] | None = None) -> None:
        """Train in another environment from now on; the policy keeps what it knows of the first one's constants."""
        super().set_env(env, num_envs=num_envs, env_kwargs=env_kwargs)
        self._set_kernel()

    def _state(self) -> dict[str, Stateful]:
        return {"learner": self.learner, "generator": GeneratorState(self.generator)}

    def _act(self, rows: Tensor, mask: Tensor | None, deterministic: bool) -> Tensor:
        action: Tensor = self.learner.deployed(rows)
        return action

    def train(self, run: Session) -> None:
        """One update is an Adam step on `num_envs` demand paths; a step of the environment is a period of one path."""
        config, learner = self.config, self.learner
        rate = parse_schedule(config.learning_rate or learner.trained.learning_rate)
        judged = -1
        while not run.done and not learner.exhausted:
            run.rollout_start()
            learning_rate = rate(run.progress_remaining)
            cost = self._simulate()
            if not self._show(run, cost.detach()):
                break
            run.rollout_end(cost.numel())
            guard.check_numbers("cost", cost.detach().T, self.n_updates, of="demand path")
            loss = cost.mean()
            learner.flat.zero_grad()
            loss.backward()
            norm = learner.step(learning_rate)
            self.n_updates += 1
            metrics = {"cost": float(loss.detach()), "gradient_norm": norm}
            check_update(metrics, learner.flat)
            self.stats.recent_returns.append(-metrics["cost"] * len(cost))
            self.stats.recent_lengths.append(len(cost))
            if self.n_updates % config.dev_every == 0:
                judged = self._judge()
            metrics |= {"dev_cost": float(learner.best_cost), "learning_rate": learning_rate}
            metrics["n_updates"] = self.n_updates
            run.update_end({f"train/{name}": value for name, value in metrics.items()}, self.stats)
        if judged != self.n_updates:
            self._judge()

    def _simulate(self) -> Tensor:
        """Costs [T + lookahead, B] of this update's demand paths, with the graph of the first T periods' policy."""
        config, learner = self.config, self.learner
        rng = self.generator
        if config.scenarios:
            block = self.n_updates % (config.scenarios // self.num_envs)
            rng = torch.Generator(self.device).manual_seed(own_seed(self.seed, RESETS, 1 + block))
        now, costs = self._start(rng), []
        for after, cost in simulate(self.kernel, learner.trained, now, config.n_steps, rng):
            now = after
            costs.append(cost)
        if config.restart < 1 and not config.scenarios:
            learner.carried = {name: x.detach() for name, x in tree_items(now, "state").items()}
        costs += [cost for _, cost in simulate(self.kernel, learner.frozen, now, config.lookahead, rng)]
        return torch.stack(costs)

    def _start(self, rng: torch.Generator) -> Any:
        """The update's first states: new ones, then those in which the last update ended."""
        fresh = self.kernel.initial_state(self.num_envs, rng)
        kept = self.learner.carried
        if not kept:
            return fresh
        count = max(1, round(self.config.restart * self.num_envs))
        rows = iter([kept[name] for name in tree_items(fresh, "state")])
        return tree_map(lambda new: torch.cat((new[:count], next(rows)[:-count])), fresh)

    def _show(self, run: Session, cost: Tensor) -> bool:
        """Tell the callbacks about every period, if there are any; False when one wants to stop."""
        if run.on_step is None:
            return True
        no = torch.zeros_like(cost[0], dtype=torch.bool)
        return all(run.on_step(Step(row, -row, no, no, None, None, {})) for row in cost)

    def _judge(self) -> int:
        """Look at the average on the development set; returns the update it was done at."""
        config, candidate = self.config, self.learner.candidate
        whole = candidate.layout.whole
        result = long_run_cost(
            self.kernel,
            lambda rows: candidate(rows, whole),
            scenarios=config.dev_scenarios,
            periods=config.dev_periods - config.dev_warm_up,
            warm_up=config.dev_warm_up,
            seed=own_seed(self.seed, EVALUATION),
        )
        self.learner.judge(result.mean)
        return self.n_updates
