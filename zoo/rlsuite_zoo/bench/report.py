"""What every benchmark writes: the machine it ran on, a JSON file and a Markdown table."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

LIBRARIES = (
    "rlsuite",
    "torch",
    "numpy",
    "gymnasium",
    "mujoco",
    "stable-baselines3",
    "sbx-rl",
    "jax",
    "envpool",
    "gym-invmgmt",
    "gymnasium-robotics",
)


def machine() -> dict[str, Any]:
    """Processor, cores, versions and date, so that a number can be judged later."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    words = sys.argv[1:]
    if "--out" in words:
        at = words.index("--out")
        words = words[:at] + words[at + 2 :]  # a folder of this machine is no part of the measurement
    return {
        "command": shlex.join(["rlsuite", *words]),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "versions": versions,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def markdown(table: Table) -> str:
    """A rich table as Markdown."""
    columns = [list(column.cells) for column in table.columns]
    heads = [str(column.header) for column in table.columns]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in zip(*columns, strict=True)]
    return "\n".join(lines)


def write_report(result: dict[str, Any], table: Table, out: Path | None, name: str) -> None:
    """Write `name`.json and `name`.md into the folder `out`; nothing when `out` is None."""
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    about = result["machine"]
    versions = ", ".join(f"{key} {value}" for key, value in about["versions"].items())
    ratios = "".join(f"- {key}: **{value:.2f}**\n" for key, value in result.get("ratios", {}).items())
    text = (
        f"# {table.title}\n\n`{about['command']}`, {about['date']}, {about['processor']}, "
        f"{about['cores']} cores; {versions}.\n\n"
        f"{markdown(table)}\n\n{ratios}"
    )
    (out / f"{name}.md").write_text(text)
