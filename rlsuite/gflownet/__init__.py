"""Generative flow networks: losses, and exact distributions over objects that can be listed.

The environments are those of `rlsuite_envs.gflownet`: objects that are built move by move and taken apart again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsuite.core.faces import face

if TYPE_CHECKING:
    from rlsuite.gflownet.exact import (
        Graph,
        graph_of,
        terminating_distribution,
        total_variation,
        uniform_backward_flows,
    )
    from rlsuite.gflownet.losses import (
        backward_kl,
        detailed_balance,
        flow_matching,
        log_ratio,
        log_variance,
        modified_detailed_balance,
        order_loss,
        pair_labels,
        pareto_labels,
        sub_trajectory_balance,
        trajectory_balance,
    )
    from rlsuite.gflownet.sampling import (
        backward_log_probs,
        forward_log_probs,
        masked_choice,
        sample_backward,
        sample_forward,
    )

__all__ = [
    "Graph",
    "backward_kl",
    "backward_log_probs",
    "detailed_balance",
    "flow_matching",
    "forward_log_probs",
    "graph_of",
    "log_ratio",
    "log_variance",
    "masked_choice",
    "modified_detailed_balance",
    "order_loss",
    "pair_labels",
    "pareto_labels",
    "sample_backward",
    "sample_forward",
    "sub_trajectory_balance",
    "terminating_distribution",
    "total_variation",
    "trajectory_balance",
    "uniform_backward_flows",
]

__getattr__, __dir__, _MODULES = face(
    __name__,
    {
        "exact": "Graph graph_of terminating_distribution total_variation uniform_backward_flows",
        "losses": "backward_kl detailed_balance flow_matching log_ratio log_variance modified_detailed_balance "
        "order_loss pair_labels pareto_labels sub_trajectory_balance trajectory_balance",
        "sampling": "backward_log_probs forward_log_probs masked_choice sample_backward sample_forward",
    },
)
