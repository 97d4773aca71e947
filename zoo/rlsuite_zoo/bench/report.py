"""What every benchmark writes: the machine it ran on, a JSON file and a Markdown table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.table import Table


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
        f"# {table.title}\n\n{ratios}\n`{about['command']}`, {about['date']}, {about['processor']}, "
        f"{about['cores']} cores; {versions}.\n\n"
        f"{markdown(table)}\n"
    )
    (out / f"{name}.md").write_text(text)
