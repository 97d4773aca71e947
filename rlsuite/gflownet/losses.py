"""The losses of generative flow networks, as pure functions of padded trajectories.

A trajectory of an object x is s_0 -> s_1 -> ... -> s_n = x -> stop. Step t = 0..n leaves s_t; step n is the stop. Of
every step there are log P_F(step) and log P_B (of the way back; 0 at the stop), and where a loss wants them log F(s_t).
All residuals are in logarithms, and 0 for all trajectories only if x is sampled with probability R(x) / Z:

    trajectory balance   log Z + sum log P_F - sum log P_B - log R(x)
    detailed balance     log F(s_t) + log P_F - log P_B - log F(s_{t+1}),             log F := log R after the stop
    sub-trajectories     log F(s_m) + sum_{m <= t < k} (log P_F - log P_B) - log F(s_k)   for all m < k
    flow matching        log of the flow into s - log of the flow out of it

and the order-preserving ones, which know no R, only which of some objects are better:

    KL(P_y || softmax(log R^)),   P_y uniform on the best of a pair, or on the non-dominated ones of a batch.

Steps beyond a trajectory's end never count. Letters: E trajectories, T steps of the longest, K objectives.

Source: Malkin et al. 2022 (arXiv 2201.13259), trajectory balance; Zhang et al. 2023 (arXiv 2302.05446), its variance;
Bengio et al. 2023 (arXiv 2111.09266), detailed balance; Madan et al. 2023 (arXiv 2209.12782), sub-trajectories; Deleu
et al. 2022 (arXiv 2202.13903), modified detailed balance; Bengio et al. 2021 (arXiv 2106.04399), flow matching; Chen
and Mauch 2024 (arXiv 2310.00386), order preservation.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "backward_kl",
    "detailed_balance",
    "flow_matching",
    "log_ratio",
    "log_variance",
    "modified_detailed_balance",
    "order_loss",
    "pair_labels",
    "pareto_labels",
    "sub_trajectory_balance",
    "trajectory_balance",
]

OrderMode = Literal["pairs", "all-pairs", "pareto"]
Weighting = Literal["within", "across"]


def log_ratio(log_pf: Tensor, log_pb: Tensor, valid: Tensor) -> Tensor:
    """Sum of log P_F - log P_B over each trajectory's own steps, [E].

    Args:
        log_pf: of every step, [E, T].
        log_pb: of the way back, [E, T]; 0 at the stop.
        valid: steps that are no padding, [E, T] bool.
    """
    return torch.where(valid, log_pf - log_pb, 0.0).sum(1)


def trajectory_balance(log_z: Tensor, log_pf: Tensor, log_pb: Tensor, log_reward: Tensor, valid: Tensor) -> Tensor:
    """Residuals [E] of trajectory balance; the loss is the mean of their squares.

    Args:
        log_z: scalar, or [E] where Z depends on a condition.
        log_pf: [E, T].
        log_pb: [E, T].
        log_reward: of the objects, [E].
        valid: [E, T] bool.
    """
    return log_z + log_ratio(log_pf, log_pb, valid) - log_reward


def log_variance(log_pf: Tensor, log_pb: Tensor, log_reward: Tensor, valid: Tensor) -> Tensor:
    """The loss of trajectory balance without a learned Z (VarGrad): the batch's variance of sum - log R, a scalar.

    The population's variance, so that it is the least mean square residual over all log Z; minus the mean of
    sum - log R estimates that log Z.
    """
    return (log_ratio(log_pf, log_pb, valid) - log_reward).var(correction=0)


def detailed_balance(log_flow: Tensor, log_pf: Tensor, log_pb: Tensor, log_reward: Tensor, valid: Tensor) -> Tensor:
    """Residuals [E, T] of detailed balance, 0 in the padding.

    The loss is the mean of their squares over all steps of the batch (longer trajectories weigh more).

    Args:
        log_flow: log F(s_t) of the state that step t leaves, [E, T].
        log_pf: [E, T].
        log_pb: [E, T]; 0 at the stop.
        log_reward: [E].
        valid: [E, T] bool.
    """
    after = _after(log_flow, log_reward, valid)
    return torch.where(valid, log_flow + log_pf - log_pb - after, 0.0)


def _after(log_flow: Tensor, log_reward: Tensor, valid: Tensor) -> Tensor:
    """Log flow [E, T] of the state that each step enters: log R after the stop."""
    shifted = F.pad(log_flow[:, 1:], (0, 1))
    return torch.where(_stops(valid), log_reward[:, None], shifted)


def _stops(valid: Tensor) -> Tensor:
    """Whether a step is the last of its trajectory, [E, T] bool."""
    return valid & ~F.pad(valid[:, 1:], (0, 1))


def modified_detailed_balance(
    log_reward: Tensor, log_pf: Tensor, log_pb: Tensor, log_stop: Tensor, valid: Tensor
) -> Tensor:
    """Residuals [E, T] of modified detailed balance, where every state may be finished; no flow is learned.

        log R(s) + log P_F(s'|s) + log P_F(stop|s') - log R(s') - log P_B(s|s') - log P_F(stop|s)

    Of the moves alone: 0 at the stop and in the padding.

    Args:
        log_reward: of the state that each step leaves, [E, T].
        log_pf: [E, T].
        log_pb: [E, T].
        log_stop: log P_F(stop) in the state that each step leaves, [E, T].
        valid: [E, T] bool.
    """
    reward, stop = (F.pad(x[:, 1:], (0, 1)) for x in (log_reward, log_stop))
    residual = log_reward + log_pf + stop - reward - log_pb - log_stop
    return torch.where(valid & ~_stops(valid), residual, 0.0)


def sub_trajectory_balance(
    log_flow: Tensor,
    log_pf: Tensor,
    log_pb: Tensor,
    log_reward: Tensor,
    valid: Tensor,
    *,
    decay: float = 0.9,
    weighting: Weighting = "within",
) -> Tensor:
    """The loss of sub-trajectory balance, a scalar.

    Args:
        log_flow: [E, T], as in `detailed_balance`.
        log_pf: [E, T].
        log_pb: [E, T].
        log_reward: [E].
        valid: [E, T] bool.
        decay: lambda, above 0. Towards 0 it is detailed balance, large values trajectory balance.
        weighting: "within" is the paper's: in each trajectory weights lambda^length that sum to 1, then the mean over
            trajectories. "across": the mean square residual of all sub-trajectories of a length in the batch, with
            weights lambda^(length - 1) that sum to 1 over the lengths.

    Raises:
        ValueError: lambda is not above 0, or an unknown weighting.
    """
    if not decay > 0:
        raise ValueError(f"decay={decay} must be above 0")
    if weighting not in ("within", "across"):
        raise ValueError(f"weighting={weighting!r} is unknown; take 'within' or 'across'")
    squares, lengths, exists = _sub_residuals(log_flow, log_pf, log_pb, log_reward, valid)
    weight = torch.where(exists, decay ** lengths.to(squares.dtype), 0.0)
    if weighting == "within":
        return ((weight * squares).sum((1, 2)) / weight.sum((1, 2))).mean()
    steps = valid.shape[1]
    found = squares.new_zeros(steps + 1).index_add(0, lengths.expand_as(exists)[exists], squares[exists])
    count = squares.new_zeros(steps + 1).index_add(
        0, lengths.expand_as(exists)[exists], torch.ones_like(squares[exists])
    )
    present = count > 0
    powers = decay ** torch.arange(steps + 1, device=valid.device, dtype=squares.dtype)
    weights = torch.where(present, powers, 0.0)
    return (weights * found / count.clamp(min=1)).sum() / weights.sum()


def _sub_residuals(
    log_flow: Tensor, log_pf: Tensor, log_pb: Tensor, log_reward: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Squared residuals [E, T, T] from the state before step m to that after step k - 1, their lengths, which exist."""
    steps = valid.shape[1]
    along = torch.where(valid, log_pf - log_pb, 0.0).cumsum(1)
    before = F.pad(along[:, :-1], (1, 0))
    after = _after(log_flow, log_reward, valid)
    residual = (log_flow - before)[:, :, None] + (along - after)[:, None, :]
    place = torch.arange(steps, device=valid.device)
    lengths = (place[None, :] - place[:, None] + 1)[None]
    exists = (lengths > 0) & valid[:, None, :] & valid[:, :, None]
    return torch.where(exists, residual, 0.0).square(), lengths, exists


def flow_matching(log_in: Tensor, log_out: Tensor, counts: Tensor) -> Tensor:
    """The loss of flow matching, a scalar: the mean square of log inflow - log outflow over states that count.

    Args:
        log_in: log of the sum of flows into each state, [N] (the source has none and does not count).
        log_out: log of the sum of flows out of it, [N]: with the learned flow of the stop, beside which that flow is
            fitted to log R by a term of its own; or, as in the first paper, with R(x) itself in its place.
        counts: [N] bool.
    """
    gap = torch.where(counts, log_in - log_out, 0.0)
    return gap.square().sum() / counts.sum().clamp(min=1)


# Order ---------------------------------------------------------------------------------------------------------------


def pair_labels(first: Tensor, second: Tensor, *, tolerance: float = 1e-6) -> Tensor:
    """How much of a pair's probability the first ones should have, [n]: 1 where better, 0 where worse, else 1/2.

    Args:
        first: objective of one of each pair, [n].
        second: and of the other.
        tolerance: values no farther apart are equal, whichever is the larger.
    """
    gap = first - second
    return torch.where(gap.abs() <= tolerance, 0.5, (gap > 0).to(gap.dtype))


def pareto_labels(objectives: Tensor) -> Tensor:
    """Uniform on the members of a batch that no other one dominates, [B]; copies of such a member all count.

    Args:
        objectives: [B, K], maximised; or [B] for one.
    """
    u = objectives.reshape(len(objectives), -1)
    ahead = (u[None] >= u[:, None]).all(2) & (u[None] > u[:, None]).any(2)  # [i, j]: j dominates i
    best = ~ahead.any(1)
    return best.to(u.dtype) / best.sum()


def order_loss(
    log_score: Tensor,
    objectives: Tensor,
    mode: OrderMode,
    *,
    generator: torch.Generator | None = None,
    tolerance: float = 1e-6,
) -> Tensor:
    """The order-preserving loss KL(label || model) of a batch, a scalar that is 0 where the model is the label.

    Its gradient by `log_score` is softmax - label (of pairs: their mean), so that a number added to all scores, such as
    log Z, changes nothing and gets no gradient.

    Args:
        log_score: log R^(x), what the model says of each object, [B], up to a common constant.
        objectives: what they are worth, [B] or [B, 1] for pairs, [B, K] for "pareto".
        mode: "pairs" compares each with one other, by a random order of the batch; "all-pairs" every two (less
            variance); "pareto" the whole batch at once.
        generator: of the random order.
        tolerance: see `pair_labels`.

    Raises:
        ValueError: an unknown mode, pairs of several objectives, or numbers of unlike lengths.
    """
    if mode not in ("pairs", "all-pairs", "pareto"):
        raise ValueError(f"mode={mode!r} is unknown; take 'pairs', 'all-pairs' or 'pareto'")
    if len(objectives) != len(log_score):
        raise ValueError(f"{len(log_score)} scores, but objectives of {len(objectives)} objects; give one row for each")
    if mode == "pareto":
        label = pareto_labels(objectives)
        return F.kl_div(log_score.log_softmax(0), label, reduction="sum")
    u = objectives.reshape(len(objectives), -1)
    if u.shape[1] != 1:
        raise ValueError(f"mode={mode!r} compares one objective, not {u.shape[1]}; take 'pareto'")
    u = u[:, 0]
    count = len(u)
    if mode == "pairs":
        first = torch.arange(count, device=u.device)
        second = torch.randperm(count, generator=generator, device=u.device)
    else:
        first, second = torch.triu_indices(count, count, 1, device=u.device)
    label = pair_labels(u[first], u[second], tolerance=tolerance)
    logit = log_score[first] - log_score[second]
    entropy = -(torch.special.xlogy(label, label) + torch.special.xlogy(1 - label, 1 - label))
    return (F.binary_cross_entropy_with_logits(logit, label, reduction="none") - entropy).mean()


def backward_kl(log_pb: Tensor, mask: Tensor) -> Tensor:
    """KL(uniform over parents || P_B) of each state, [N]; keeps a learned way back from forgetting parents.

    Args:
        log_pb: log-probabilities of the moves that may have been the last, [N, A]; anything where they may not.
        mask: [N, A] bool; a state without parents has 0.
    """
    count = mask.sum(1)
    mean = torch.where(mask, log_pb, 0.0).sum(1) / count.clamp(min=1)
    return torch.where(count > 0, -mean - count.clamp(min=1).to(log_pb.dtype).log(), 0.0)
