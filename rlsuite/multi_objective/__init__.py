"""Many objectives: sets of policies whose returns are compromises between goals that conflict.

Here live the weights that say how much each objective counts, the archive that decides which vectors of returns are
kept and which policy plays for a weight, the indicators that measure a front, and the prediction of which policy to
train next with which weights. Every objective is maximised. The functions take arrays and know no network.

>>> from rlsuite.multi_objective import nondominated, smp
>>> returns = [(1, -1), (8, -8), (124, -19), (5, -8)]
>>> nondominated(returns)
array([0, 1, 2])
>>> smp(returns, (0.1, 0.9))
0
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsuite.core.faces import face

if TYPE_CHECKING:
    from rlsuite.multi_objective.archive import (
        Selection,
        crowding_distance,
        ends,
        hypervolume_contributions,
        nadir_reference,
        nondominated,
        select_sparse,
        smp,
        truncate,
        utilities,
    )
    from rlsuite.multi_objective.cmorl import CMORL, CMORLConfig
    from rlsuite.multi_objective.dynamic_weights import meta_reward, scaled_meta_reward
    from rlsuite.multi_objective.indicators import (
        Indicators,
        Volume,
        cardinality,
        expected_utility,
        front_indicators,
        hypervolume,
        igd_plus,
        maximum_utility_loss,
        r2,
        sparsity,
    )
    from rlsuite.multi_objective.measuring import Measured, measure
    from rlsuite.multi_objective.pgmorl import PGMORL, PGMORLConfig
    from rlsuite.multi_objective.points import check_points, check_reference, constant_objectives
    from rlsuite.multi_objective.prediction import (
        Experience,
        GainModel,
        Guided,
        candidate_weights,
        fit_gains,
        guided_pairs,
        performance_buffers,
        predict_gain,
        select_guided,
    )
    from rlsuite.multi_objective.weights import (
        check_weights,
        default_divisions,
        spread_weights,
        unit_weights,
        weight_grid,
    )

__all__ = [
    "CMORL",
    "PGMORL",
    "CMORLConfig",
    "Experience",
    "GainModel",
    "Guided",
    "Indicators",
    "Measured",
    "PGMORLConfig",
    "Selection",
    "Volume",
    "candidate_weights",
    "cardinality",
    "check_points",
    "check_reference",
    "check_weights",
    "constant_objectives",
    "crowding_distance",
    "default_divisions",
    "ends",
    "expected_utility",
    "fit_gains",
    "front_indicators",
    "guided_pairs",
    "hypervolume",
    "hypervolume_contributions",
    "igd_plus",
    "maximum_utility_loss",
    "measure",
    "meta_reward",
    "nadir_reference",
    "nondominated",
    "performance_buffers",
    "predict_gain",
    "r2",
    "scaled_meta_reward",
    "select_guided",
    "select_sparse",
    "smp",
    "sparsity",
    "spread_weights",
    "truncate",
    "unit_weights",
    "utilities",
    "weight_grid",
]

__getattr__, __dir__, _MODULES = face(
    __name__,
    {
        "archive": "Selection crowding_distance ends hypervolume_contributions nadir_reference nondominated "
        "select_sparse smp truncate utilities",
        "cmorl": "CMORL CMORLConfig",
        "dynamic_weights": "meta_reward scaled_meta_reward",
        "indicators": "Indicators Volume cardinality expected_utility front_indicators hypervolume igd_plus "
        "maximum_utility_loss r2 sparsity",
        "measuring": "Measured measure",
        "pgmorl": "PGMORL PGMORLConfig",
        "points": "check_points check_reference constant_objectives",
        "prediction": "Experience GainModel Guided candidate_weights fit_gains guided_pairs performance_buffers "
        "predict_gain select_guided",
        "weights": "check_weights default_divisions spread_weights unit_weights weight_grid",
    },
)
