"""Results pages that can be read: findings first, no page over 1,500 words, detail on pages of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.files import write_text

__all__ = ["MOST_WORDS", "table_verdicts", "write_paged"]

MOST_WORDS = 1500
"""Most words of a page."""
VERDICTS = ("ahead", "behind", "no difference shown", "too few seeds", "not compared", "in order", "out of order")


def write_paged(path: Path, text: str, findings: Sequence[str], *, detail: Sequence[str] = ()) -> list[Path]:
    """Write a results page; sections of detail go to `<name>-detail.md`, `<name>-detail-2.md`, ....

    Args:
        path: of the page, .md; detail pages of an earlier one are replaced.
        text: Markdown: a title (`# ...`), what follows it, and sections (`## ...`).
        findings: what was found, three sentences at most, shown below the title.
        detail: beginnings of the titles of the sections that are detail, in the order in which they leave the page
            while it is too long; those without a turn stay.

    Returns:
        The pages.

    Raises:
        UsageError: a part of a page that cannot be divided is too long.
    """
    head, *sections = re.split(r"\n(?=## )", text.strip())
    title, _, rest = head.partition("\n")
    lead = "\n".join(f"- {line}" for line in findings)
    head = "\n\n".join(part for part in (title, lead, rest.strip()) if part)
    moved: list[str] = []
    for start in detail:
        if _words([head, *sections]) <= MOST_WORDS - 50:  # the links need some
            break
        moved += [section for section in sections if section.startswith(f"## {start}")]
        sections = [section for section in sections if section not in moved]
    pages = _packed(moved, title)
    stem = path.stem
    names = [f"{stem}-detail{'' if i == 0 else f'-{i + 1}'}.md" for i in range(len(pages))]
    if names:
        links = ", ".join(f"[{name.removesuffix('.md')}]({name})" for name in names)
        titles = ", ".join(section.splitlines()[0].removeprefix("## ") for section in moved)
        sections.append(f"## Detail\n\n{titles}: {links}.")
    for old in path.parent.glob(f"{stem}-detail*.md"):
        old.unlink()
    texts = dict(zip([path.name, *names], ["\n\n".join([head, *map(str.strip, sections)]), *pages], strict=True))
    for name, page in texts.items():
        if (count := len(page.split())) > MOST_WORDS:
            raise UsageError(f"{name} would have {count} words, more than {MOST_WORDS}; move sections into detail")
        write_text(path.parent / name, page + "\n")
    return [path.parent / name for name in texts]


def table_verdicts(text: str, column: int) -> list[tuple[str, str]]:
    """Name and verdict of the rows of the first Markdown table in a text that has one in `column`.

    Args:
        text: Markdown; the first cell of a row says what it is about.
        column: number of the cell, from 0, that is a verdict or ends in ": verdict".
    """
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if len(cells) > column and (verdict := cells[column].rpartition(": ")[2]).startswith(VERDICTS):
            found.append((cells[0], verdict.partition(":")[0]))
    return found


def _packed(sections: Sequence[str], title: str) -> list[str]:
    """Pages of whole sections, or of their blocks where one is too long for a page."""
    pages: list[list[str]] = []
    for section in sections:
        blocks = [section.strip()] if _words([section]) <= MOST_WORDS - 50 else _blocks(section)
        for block in blocks:
            if not pages or _words([*pages[-1], block]) > MOST_WORDS - 20:
                pages.append([f"{title}: detail"])
            pages[-1].append(block)
    return ["\n\n".join(page) for page in pages]


def _blocks(section: str) -> list[str]:
    """A section's paragraphs and tables; a title stays with what follows it."""
    parts = section.strip().split("\n\n")
    blocks: list[str] = []
    for part in parts:
        if blocks and blocks[-1].splitlines()[-1].startswith("#"):
            blocks[-1] += f"\n\n{part}"
        else:
            blocks.append(part)
    return blocks


def _words(parts: Sequence[str]) -> int:
    return sum(len(part.split()) for part in parts)
