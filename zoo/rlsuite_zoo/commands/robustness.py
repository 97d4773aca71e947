"""The commands about robustness: their words alone; what they do is imported when they are called."""

from __future__ import annotations

from tyro.conf import Positional

__all__ = ["attack", "certify", "robustness"]


def attack(
    run: Positional[str],
    *,
    attacks: str = "all",
    eps: str = "0:0.3:0.05",
    norm: str = "linf",
    unit: str = "auto",
    episodes: int = 20,
    seed: int = 0,
    effort: float = 1.0,
    jobs: int | None = None,
    quick: bool = False,
    report_only: bool = False,
    out: str = "",
) -> None:
    """Attack trained runs: return against the attack's budget, as an HTML page, CSV, JSON and a picture.

    Args:
        run: run folder, or a folder of several (their mean is reported).
        attacks: names separated by commas, all (that the policy can suffer), observations, or actions.
        eps: budgets per step: first:last:step, or numbers separated by commas.
        norm: linf or l2.
        unit: auto (standard deviations of each observation entry) or raw (the observation's own units).
        episodes: of every run, attack and budget.
        seed: of the attacks.
        effort: times the default training of the attacks that learn.
        jobs: cells at a time (default: one per core).
        quick: four episodes and attacks that hardly learn: to see that it works.
        report_only: write the page from what was played, play nothing.
        out: folder of the page (default: RUN/attacks).
    """
    from rlsuite_zoo.robustness.attack import make_attack

    make_attack(
        run,
        attacks=attacks,
        eps=eps,
        norm=norm,
        unit=unit,
        episodes=episodes,
        seed=seed,
        effort=effort,
        jobs=jobs,
        quick=quick,
        report_only=report_only,
        out=out,
    )


def certify(
    run: Positional[str],
    *,
    sigma: str = "0.2",
    budgets: str = "0:1:0.1",
    method: str = "dkw",
    episodes: int = 10_000,
    alpha: float = 0.05,
    minimum: float | None = None,
    maximum: float | None = None,
    ladder: int = 0,
    q: float | None = None,
    above: float = 0.0,
    attacked: int = 0,
    seed: int = 0,
    jobs: int | None = None,
    quick: bool = False,
    report_only: bool = False,
    out: str = "",
) -> None:
    """Certify trained runs by smoothing: the return that is left under any attack on observations, with its terms.

    Args:
        run: run folder, or a folder of several; best trained under the same noise.
        sigma: noise, observation units: numbers separated by commas, or first:last:step.
        budgets: total L2 norms of an episode's attack, observation units.
        method: dkw (mean return), ladder (mean of integer returns), success, percentile or expectation.
        episodes: N, clean smoothed episodes of each run and noise.
        alpha: failure probability.
        minimum: the least possible return (dkw, expectation; default 0).
        maximum: the greatest possible return (expectation).
        ladder: the greatest integer return (ladder).
        q: the quantile (percentile; default 0.5).
        above: an episode with a larger return is a success (success).
        attacked: episodes under the tightness attack for each budget; 0 for none.
        seed: of episodes and noise.
        jobs: batches at a time (default: one per core).
        quick: few episodes: to see that it works.
        report_only: certify what was played, play nothing.
        out: folder of the page (default: RUN/certify).
    """
    from rlsuite_zoo.robustness.certify import make_certificates

    given = {"minimum": minimum, "maximum": maximum, "ladder": ladder or None, "q": q}
    options = {name: value for name, value in given.items() if value is not None}
    if method in ("dkw", "expectation"):
        options.setdefault("minimum", 0.0)
    make_certificates(
        run,
        sigma=sigma,
        budgets=budgets,
        method=method,
        episodes=episodes,
        alpha=alpha,
        options=options,
        above=above,
        attacked=attacked,
        seed=seed,
        jobs=jobs,
        quick=quick,
        report_only=report_only,
        out=out,
    )


def robustness(
    runs: Positional[tuple[str, ...]],
    *,
    body: str = "",
    mass: str = "0.5:1.5:0.1",
    friction: str = "0.5:1.5:0.1",
    force: str = "0:10:2",
    episodes: int = 5,
    seed: int = 0,
    jobs: int | None = None,
    quick: bool = False,
    report_only: bool = False,
    out: str = "results",
) -> None:
    """Map the return of trained runs over mass, friction and pushes (MuJoCo tasks): heat maps, worst cell, CVaR.

    Args:
        runs: run folders, or folders of several; runs that differ in their seed alone are averaged.
        body: whose mass is varied (default: the torso or pole).
        mass: scales relative to the model: first:last:step, or numbers separated by commas.
        friction: scales of all frictions.
        force: strengths of unlearned pushes, N, on tasks with an adversary (Hopper, Walker2d, HalfCheetah, ...).
        episodes: a cell.
        seed: of the initial states.
        jobs: maps at a time (default: one per core).
        quick: three by three cells of one episode: to see that it works.
        report_only: write the page from what was played, play nothing.
        out: folder of the page.
    """
    from rlsuite_zoo.robustness.sweep import make_robustness

    make_robustness(
        runs,
        body=body,
        mass=mass,
        friction=friction,
        force=force,
        episodes=episodes,
        seed=seed,
        jobs=jobs,
        quick=quick,
        report_only=report_only,
        out=out,
    )
