"""Policies for inventory: classical ones behind `predict`, one function that tunes them, and HDPO's networks.

>>> from rlsuite.inventory import BaseStock, tune
>>> policy = tune(BaseStock, "rlsuite/SupplyNetwork-serial-stationary-backlog-v0", episodes=20, evaluations=20).policy
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlsuite.inventory.classical.policies import (
        BaseStock,
        CappedBaseStock,
        EchelonBaseStock,
        EchelonNewsvendor,
        EconomicOrder,
        Newsvendor,
        OrderPoint,
    )
    from rlsuite.inventory.classical.tuning import tune
    from rlsuite.inventory.pathwise.hdpo import HDPO, HDPOConfig
    from rlsuite.inventory.pathwise.simulation import long_run_cost
    from rlsuite.inventory.plants.plant_plan import PlannedPlant
    from rlsuite.inventory.plants.plant_rules import GreedyPlant, IdlePlant, KeepPlant, RandomPlant, StaticPlant
    from rlsuite.inventory.programmes.planning import DeterministicProgramme, StochasticProgramme, oracle

__all__ = [
    "HDPO",
    "BaseStock",
    "CappedBaseStock",
    "DeterministicProgramme",
    "EchelonBaseStock",
    "EchelonNewsvendor",
    "EconomicOrder",
    "GreedyPlant",
    "HDPOConfig",
    "IdlePlant",
    "KeepPlant",
    "Newsvendor",
    "OrderPoint",
    "PlannedPlant",
    "RandomPlant",
    "StaticPlant",
    "StochasticProgramme",
    "long_run_cost",
    "oracle",
    "tune",
]

_HOMES = {
    "hdpo": ("HDPO", "HDPOConfig"),
    "planning": ("DeterministicProgramme", "StochasticProgramme", "oracle"),
    "plant_plan": ("PlannedPlant",),
    "plant_rules": ("GreedyPlant", "IdlePlant", "KeepPlant", "RandomPlant", "StaticPlant"),
    "policies": (
        "BaseStock",
        "CappedBaseStock",
        "EchelonBaseStock",
        "EchelonNewsvendor",
        "EconomicOrder",
        "Newsvendor",
        "OrderPoint",
    ),
    "simulation": ("long_run_cost",),
    "tuning": ("tune",),
}
_EXPORTS = {name: f"rlsuite.inventory.{module}" for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a policy when it is first asked for."""
    if name in _EXPORTS:
        import importlib

        return getattr(importlib.import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'rlsuite.inventory' has no attribute {name!r}")
