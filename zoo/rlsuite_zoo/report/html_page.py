"""One self-contained HTML page: pictures embedded, no script, no network, readable on paper and on a phone."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from rlsuite_zoo.files import write_text

__all__ = ["HtmlPage"]

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d5d9de; --soft: #f4f6f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --paper: #15181c; --line: #3a4048; --soft: #1f242a; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child, .left { text-align: left; } thead th { background: var(--soft); }
tr.strong td { font-weight: 600; }
img { max-width: 100%; background: #fff; border: 1px solid var(--line); }
dt { font-weight: 600; float: left; clear: left; width: 12rem; } dd { margin-left: 12.5rem; }
"""


def _is_text(cell: str) -> bool:
    """Whether a cell is words, not a number."""
    return not cell or cell[0].isalpha() or cell[0] in "<("


class HtmlPage:
    """Built from top to bottom, then written.

    Args:
        title: of the page.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts = [f"<h1>{html.escape(title)}</h1>"]

    def heading(self, text: str) -> None:
        """A section."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def paragraph(self, text: str) -> None:
        """Plain text."""
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def items(self, lines: Sequence[str]) -> None:
        """A list, one item a line."""
        self._parts.append("<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], *, strong: Sequence[int] = ()) -> None:
        """A table; the rows numbered in `strong` are in bold."""
        words = [all(_is_text(row[i]) for row in rows) for i in range(len(header))]
        left = [" class=left" if is_text else "" for is_text in words]
        head = "".join(f"<th{kind}>{html.escape(cell)}</th>" for cell, kind in zip(header, left, strict=True))
        lines = []
        for i, row in enumerate(rows):
            cells = "".join(f"<td{kind}>{html.escape(cell)}</td>" for cell, kind in zip(row, left, strict=True))
            lines.append(f"<tr{' class=strong' if i in strong else ''}>{cells}</tr>")
        body = "\n".join(lines)
        self._parts.append(
            f"<div class=table><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
        )

    def picture(self, path: Path, caption: str) -> None:
        """A PNG, embedded."""
        data = base64.b64encode(path.read_bytes()).decode()
        self._parts.append(
            f'<figure><img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )

    def settings(self, values: dict[str, str]) -> None:
        """Names and values."""
        pairs = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in values.items())
        self._parts.append(f"<dl>{pairs}</dl>")

    def write(self, path: Path) -> None:
        """Write the page atomically."""
        body = "\n".join(self._parts)
        write_text(
            path,
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
            "style-src 'unsafe-inline'\">\n"
            f"<title>{html.escape(self.title)}</title>\n<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n",
        )
