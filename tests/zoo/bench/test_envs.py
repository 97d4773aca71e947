"""`rlsuite bench envs` measures what it says, and writes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_rates_and_ratio(rlsuite: Callable[..., Any]) -> None:
    words = ("--envs", "rlsuite/Pendulum-v1", "--copies", "1", "4096", "--seconds", "0.02", "--out", "here")
    ran = rlsuite("bench", "envs", *words)
    assert ran.code == 0, ran.err
    result = json.loads(Path("here/kernels.json").read_text())
    rates = result["steps_per_s"]["rlsuite/Pendulum-v1"]
    assert set(rates) == {"1 copies", "4,096 copies", "single", "gymnasium"}
    expected = rates["4,096 copies"] / max(rates["single"], rates["gymnasium"])
    assert result["ratio_by_environment"]["rlsuite/Pendulum-v1"] == pytest.approx(expected)
    assert "Pendulum-v1" in Path("here/kernels.md").read_text()


def test_mistakes(rlsuite: Callable[..., Any]) -> None:
    assert "'mazes'" in rlsuite("bench", "envs", "--envs", "maze").err
    assert rlsuite("bench", "envs", "--seconds", "0").code == 2
