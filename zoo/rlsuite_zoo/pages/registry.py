"""Every results page: a line about it, the module that makes it, and whether its rows can outlive the runs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PAGES", "Page"]


@dataclass(frozen=True)
class Page:
    """One results page."""

    about: str
    """One line, for the command's help."""
    module: str = "rlsuite_zoo.pages.suite_page"
    """Module whose `make_results` makes it, imported when it is asked for; by default from the suite of that name."""
    keeps: bool = False
    """Whether it is made of its tables alone, so that rows may stay whose runs are gone (`--keep`)."""


PAGES: dict[str, Page] = {
    "bpo": Page("BPO beside PPO on MuJoCo tasks (80 runs of a million steps: hours)", keeps=True),
    "sac": Page("SAC beside Stable-Baselines3's", keeps=True),
    "pdppo": Page("PDPPO, PPO and BPO beside rules and a plan on lot-sizing plants", keeps=True),
    "hdpo": Page("HDPO beside exact optima and tuned rules", "rlsuite_zoo.pages.hdpo.make"),
    "subpo": Page("SubPO beside greedy and brute force", "rlsuite_zoo.pages.subpo.make"),
    "forces": Page("SAC, RARL and QARL under forces", "rlsuite_zoo.pages.forces.make"),
    "attacks": Page("PPO and robustly trained agents under attack", "rlsuite_zoo.pages.attacks", keeps=True),
    "smoothing": Page("smoothed policies, their certificates, and attacks on them", "rlsuite_zoo.pages.smoothing.make"),
    "act": Page("cheap talk to learners", "rlsuite_zoo.pages.act.make"),
    "cmorl": Page("C-MORL's sets of policies, and the authors' logs", "rlsuite_zoo.pages.cmorl.make", keeps=True),
    "envs": Page("PPO beside random play everywhere", "rlsuite_zoo.pages.envs"),
}
