"""The self-contained page: escaped text, embedded pictures, and what a real browser without network shows of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from rlsuite_zoo.report.html_page import HtmlPage

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--window-size=1200,1400",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


def page(folder: Path) -> Path:
    """A page with every kind of part; its picture is a red and blue field."""
    picture = np.zeros((200, 400, 3))
    picture[:, :200, 0], picture[:, 200:, 2] = 1, 1
    matplotlib.image.imsave(folder / "field.png", picture)
    made = HtmlPage("Under <attack> & more")
    made.heading("Numbers")
    made.paragraph("5 < 6 & 'quotes'")
    made.table(["attack", "eps 0"], [["pgd", "1,234 [1, 2]"], ["<script>alert(1)</script>", "–"]], strong=[0])
    made.picture(folder / "field.png", "a field")
    made.settings({"versions": "torch 2"})
    made.write(folder / "page.html")
    return folder / "page.html"


def test_text_is_escaped_and_pictures_are_inside(tmp_path: Path) -> None:
    text = page(tmp_path).read_text()
    assert "Under &lt;attack&gt; &amp; more" in text and "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert len(re.findall(r'src="data:image/png;base64,', text)) == 1 and "http://" not in text
    assert "<tr class=strong><td class=left>pgd</td><td>1,234" in text


@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
def test_a_browser_without_network_shows_all_of_it(tmp_path: Path) -> None:
    file = page(tmp_path)
    file = file.rename(tmp_path / "moved.html")  # nothing beside it is needed
    (tmp_path / "field.png").unlink()
    shot = tmp_path / "shot.png"
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = browse(profile, f"--screenshot={shot}", "--enable-logging=stderr", file.as_uri())
    assert "Refused to" not in done.stderr and "ERR_" not in done.stderr  # the page's own policy blocks nothing of it
    pixels = (np.asarray(matplotlib.image.imread(shot))[..., :3] * 255).round().astype(int)
    for colour in ((255, 0, 0), (0, 0, 255)):  # both halves of the embedded picture are drawn
        assert (np.abs(pixels - colour).max(-1) < 8).sum() > 10_000
    dom = browse(profile, "--dump-dom", file.as_uri()).stdout
    assert "1,234 [1, 2]" in dom and "<figcaption>a field</figcaption>" in dom


def browse(*words: str) -> Any:
    """Headless Chromium to its end."""
    return subprocess.run([BROWSER, *FLAGS, *words], capture_output=True, text=True, timeout=120, check=True)
