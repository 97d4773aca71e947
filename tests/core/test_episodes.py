"""Padded episodes: what is padding, what is taken and joined, what is refused."""

from __future__ import annotations

import pytest
import torch

from rlsuite.core.episodes import Episodes, join_episodes


def batch(lengths: list[int], steps: int, start: int = 1) -> Episodes:
    length = torch.tensor(lengths)
    count = torch.arange(start, start + len(lengths) * steps).reshape(len(lengths), steps)
    inside = torch.arange(steps) < length[:, None]
    return Episodes(
        {"reward": torch.where(inside, count, 0), "obs": torch.where(inside, count, 0)[..., None] * 1.5}, length
    )


def test_padding_is_marked_and_last_steps_are_found() -> None:
    episodes = batch([3, 1, 2], 4)
    assert episodes.valid.tolist() == [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]]
    assert episodes.last("reward").tolist() == [3, 5, 10] and episodes.last("obs").shape == (3, 1)
    assert len(episodes) == 3 and episodes.steps == 4


def test_taking_cuts_what_is_padding_for_all_and_joining_pads_again() -> None:
    episodes = batch([3, 1, 2], 4)
    some = episodes.take(torch.tensor([1, 2]))
    assert some.steps == 2 and some["reward"].tolist() == [[5, 0], [9, 10]]
    whole = join_episodes([some, episodes.take(torch.tensor([True, False, False]))])
    assert whole["reward"].tolist() == [[5, 0, 0], [9, 10, 0], [1, 2, 3]] and whole.length.tolist() == [1, 2, 3]
    assert len(episodes.take(torch.zeros(3, dtype=torch.bool))) == 0


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match="share their first two sizes"):
        Episodes({"a": torch.zeros(2, 3), "b": torch.zeros(2, 4)}, torch.tensor([1, 1]))
    with pytest.raises(ValueError, match="2 episodes need"):
        Episodes({"a": torch.zeros(2, 3)}, torch.tensor([1]))
    with pytest.raises(ValueError, match=r"lengths \[1, 4\]"):
        Episodes({"a": torch.zeros(2, 3)}, torch.tensor([1, 4]))
    with pytest.raises(ValueError, match="no episodes"):
        join_episodes([])
    with pytest.raises(ValueError, match="cannot join"):
        join_episodes([batch([1], 1), Episodes({"reward": torch.zeros(1, 1)}, torch.tensor([1]))])
