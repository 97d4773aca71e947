"""Trajectories of composed objects: forwards from the source, backwards from objects, and their log-probabilities.

Exploration changes which actions are drawn, never the probabilities that a loss is given: those are always the plain
policy's, else what a loss learns to balance is the mixture.

Letters: E trajectories, T steps of the longest one, D parts, A moves; action A stops. A trajectory's step t leaves the
object `parts[t]`; its last step is the stop, which finishes `parts[length - 1]`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rlsuite.core.episodes import Episodes
from rlsuite_envs.gflownet.composed import Composed

__all__ = ["backward_log_probs", "forward_log_probs", "masked_choice", "sample_backward", "sample_forward"]

Logits = Callable[[Tensor], Tensor]
"""Function of objects [N, D] that gives logits of all actions: [N, A + 1] forwards, [N, A] backwards."""


def masked_choice(logits: Tensor, mask: Tensor, generator: torch.Generator, *, epsilon: float = 0.0) -> Tensor:
    """Actions [N] drawn from softmax(logits) over the allowed ones, or uniformly from these with probability epsilon.

    What is not allowed is never drawn, whatever its logit.

    Args:
        logits: [N, A'].
        mask: [N, A'] bool.
        generator: of the draws.
        epsilon: in [0, 1].

    Raises:
        ValueError: a row in which nothing is allowed, or an epsilon that is no probability.
    """
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon is {epsilon}; it must be a probability, in [0, 1]")
    allowed = mask.any(1)
    if not bool(allowed.all()):
        row = int((~allowed).nonzero()[0])
        raise ValueError(f"no action is allowed in row {row}: every unfinished object needs a move or a stop")
    # the race of exponential clocks: the first to ring is drawn with its share of the rates
    noise = torch.empty_like(logits).exponential_(generator=generator).log()
    uniform = torch.rand(len(logits), generator=generator, device=logits.device, dtype=logits.dtype) < epsilon
    scores = torch.where(uniform[:, None], 0.0, logits) - noise
    return scores.masked_fill(~mask, -torch.inf).argmax(1)


def sample_forward(
    kernel: Composed, policy: Logits, num: int, generator: torch.Generator, *, epsilon: float = 0.0
) -> Episodes:
    """Trajectories from the source to finished objects.

    Args:
        kernel: of the objects.
        policy: logits of the actions, [N, A + 1].
        num: E, at least 1.
        generator: of the draws.
        epsilon: share of uniform actions, in [0, 1].

    Returns:
        Fields "parts" [E, T, D] and "action" [E, T].

    Raises:
        ValueError: an object in which nothing is allowed, or one that is longer than the kernel says.
    """
    parts = kernel.source.to(kernel.device).expand(num, -1).clone()
    over = torch.zeros(num, dtype=torch.bool, device=parts.device)
    length = torch.zeros(num, dtype=torch.int64, device=parts.device)
    left: list[Tensor] = []
    actions: list[Tensor] = []
    with torch.no_grad():
        while not bool(over.all()):
            if len(left) > kernel.max_length:
                raise ValueError(
                    f"an object is unfinished after {len(left)} moves, more than max_length={kernel.max_length} of "
                    f"{type(kernel).__name__}: {parts[~over][0].tolist()}"
                )
            going = (~over).nonzero().squeeze(1)
            here = parts[going]
            action = masked_choice(policy(here), kernel.forward_mask(here), generator, epsilon=epsilon)
            chosen = torch.zeros_like(length).index_copy(0, going, action)
            left.append(torch.where(over[:, None], 0, parts))
            actions.append(chosen)
            length = length + (~over)
            moves = action < kernel.num_moves
            parts = parts.index_copy(0, going[moves], kernel.move(here[moves], action[moves]))
            over = over.index_fill(0, going[~moves], True)
    return Episodes({"parts": torch.stack(left, 1), "action": torch.stack(actions, 1)}, length)


def sample_backward(kernel: Composed, policy: Logits | None, objects: Tensor, generator: torch.Generator) -> Episodes:
    """Trajectories that end with given objects, drawn from the way back.

    Args:
        kernel: of the objects.
        policy: logits of the moves that may have been the last, [N, A]; None takes them uniformly.
        objects: finished ones, [E, D].
        generator: of the draws.

    Returns:
        As `sample_forward`.

    Raises:
        ValueError: an object that cannot be finished, or from which no way leads back to the source.
    """
    wrong = ~kernel.stop_mask(objects)
    if bool(wrong.any()):
        raise ValueError(f"{objects[wrong][0].tolist()} cannot be finished, so that no trajectory ends with it")
    steps = kernel.length(objects)
    longest = int(steps.max()) + 1
    num, size = objects.shape
    parts = objects.new_zeros(num, longest, size)
    action = objects.new_zeros(num, longest)
    rows = torch.arange(num, device=objects.device)
    parts[rows, steps], action[rows, steps] = objects, kernel.num_moves
    here, place = objects, steps
    with torch.no_grad():
        while bool((place > 0).any()):
            going = (place > 0).nonzero().squeeze(1)
            at = here[going]
            mask = kernel.backward_mask(at)
            logits = torch.zeros(mask.shape, device=objects.device) if policy is None else policy(at)
            move = masked_choice(logits, mask, generator)
            before = kernel.unmove(at, move)
            here = here.index_copy(0, going, before)
            place = place.index_add(0, going, -torch.ones_like(going))
            parts[going, place[going]], action[going, place[going]] = before, move
    if bool((here != kernel.source.to(here.device)).any()):
        raise ValueError("a way back does not end at the source; backward_mask and unmove do not fit move")
    return Episodes({"parts": parts, "action": action}, steps + 1)


def forward_log_probs(kernel: Composed, logits: Tensor, parts: Tensor, action: Tensor) -> Tensor:
    """Log P_F [N] of the edges that actions follow: of all moves together that make the same object.

    Args:
        kernel: of the objects.
        logits: [N, A + 1].
        parts: [N, D].
        action: [N], allowed ones.
    """
    log_prob = logits.masked_fill(~kernel.forward_mask(parts), -torch.inf).log_softmax(1)
    merged = kernel.merged(parts)
    own = log_prob.gather(1, action[:, None]).squeeze(1)
    if merged is None:
        return own
    moves = action < kernel.num_moves
    stands = merged.gather(1, torch.where(moves, action, 0)[:, None])
    together = log_prob[:, :-1].masked_fill(merged != stands, -torch.inf)
    # a row without any would have no gradient: the stop's stays apart
    together = torch.where(moves[:, None], together, 0.0).logsumexp(1)
    return torch.where(moves, together, own)


def backward_log_probs(kernel: Composed, logits: Tensor | None, child: Tensor, action: Tensor) -> Tensor:
    """Log P_B [N] of the way back over moves that made objects.

    Args:
        kernel: of the objects.
        logits: of the moves that may have been the last, [N, A]; None for the uniform way back.
        child: the objects made, [N, D].
        action: the moves that made them, [N]; one that another stands for counts as that one.
    """
    mask = kernel.backward_mask(child)
    if logits is None:
        return -mask.sum(1).clamp(min=1).to(kernel.dtype).log()
    chosen = action[:, None]
    merged = kernel.merged(kernel.unmove(child, action))
    if merged is not None:
        chosen = merged.gather(1, chosen)
    return logits.masked_fill(~mask, -torch.inf).log_softmax(1).gather(1, chosen).squeeze(1)
