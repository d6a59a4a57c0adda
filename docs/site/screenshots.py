"""Screenshots of one real run of the demo, for the documents: `.venv/bin/python docs/site/screenshots.py`.

Writes `docs/images/demo.svg`, the last page of the live display, and `docs/images/customer.png`, a customer's
page of the marketing system. The second needs Chromium and a Chinese font, and is left out without Chromium.
"""

from __future__ import annotations

import asyncio
import html
import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.terminal_theme import MONOKAI

from meterseal.tools.demo.display import LiveDisplay
from meterseal.tools.demo.plan import Site
from meterseal.tools.demo.run import play
from meterseal.tools.demo.settings import Settings

IMAGES = Path(__file__).parents[1] / "images"
COLUMNS = 130
WINDOW = "600,780"
WITHIN = 60.0


def main() -> None:
    """Run the demo once and make both pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # What happens on the way is not recorded, only the last page.
        with LiveDisplay(Console(file=io.StringIO(), width=COLUMNS)) as display:
            asyncio.run(play(display, Settings(folder=folder)))
        terminal(display, IMAGES / "demo.svg")
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        if chromium is None:
            print("no Chromium: customer.png stays as it is")
        else:
            page(folder, chromium, IMAGES / "customer.png")


def terminal(display: LiveDisplay, picture: Path) -> None:
    """Draw the page as a terminal shows it."""
    console = Console(file=io.StringIO(), width=COLUMNS, record=True, force_terminal=True)
    console.print(display.page())
    svg = console.export_svg(title="make demo", theme=MONOKAI, unique_id="demo")
    # The fonts that rich names would be loaded from another host; those of the reader's system do as well.
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    picture.write_text(re.sub(r'textLength="([\d.]+)"([^>]*)>([^<]*)<', with_wide_characters, svg))


def with_wide_characters(text: re.Match[str]) -> str:
    """Give a text the room that it takes: rich counts a Chinese character, twice as wide, as one."""
    words = html.unescape(text[3])
    length = float(text[1]) / len(words) * cell_len(words)
    return f'textLength="{length:.1f}"{text[2]}>{text[3]}<'


def page(folder: Path, chromium: str, picture: Path) -> None:
    """Let the marketing system serve its store of that run, and photograph the first customer's page."""
    command = [sys.executable, "-m", "meterseal", "marketing", "run", "--http", "127.0.0.1:0"]
    stores = ["--store", str(folder / "marketing.db"), "--customers", str(folder / "customers.json")]
    with subprocess.Popen([*command, *stores], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            ready = next(line for line in server.stdout if " ready " in line)
            (server_at,) = re.findall(r"http=(\S+)", ready)
            url = f"{server_at}/customers/{Site.number(1).account}"
            options = ("--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WINDOW}")
            photograph = [chromium, *options, f"--screenshot={picture}", url]
            subprocess.run(photograph, check=True, capture_output=True, timeout=WITHIN)
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
