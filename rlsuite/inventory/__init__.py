"""Policies for inventory: classical ones behind `predict`, one function that tunes them, and HDPO's networks.

>>> from rlsuite.inventory import BaseStock, tune
>>> policy = tune(BaseStock, "rlsuite/SupplyNetwork-serial-stationary-backlog-v0", episodes=20, evaluations=20).policy
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsuite.core.faces import face

if TYPE_CHECKING:
    from rlsuite.inventory.classical.play import draw_noise, play
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
    "draw_noise",
    "long_run_cost",
    "oracle",
    "play",
    "tune",
]

__getattr__, __dir__, _MODULES = face(
    __name__,
    {
        "classical.play": "draw_noise play",
        "classical.policies": "BaseStock CappedBaseStock EchelonBaseStock "
        "EchelonNewsvendor EconomicOrder Newsvendor OrderPoint",
        "classical.tuning": "tune",
        "pathwise.hdpo": "HDPO HDPOConfig",
        "pathwise.simulation": "long_run_cost",
        "plants.plant_plan": "PlannedPlant",
        "plants.plant_rules": "GreedyPlant IdlePlant KeepPlant RandomPlant StaticPlant",
        "programmes.planning": "DeterministicProgramme StochasticProgramme oracle",
    },
)
