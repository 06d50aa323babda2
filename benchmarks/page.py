"""How long a study's page takes to open: from the start of navigation to its first chart, in headless Chromium.

    python benchmarks/page.py
    python benchmarks/page.py --folders runs/mine runs/other

The studies are those of `scale.py`. Each page is opened five times, in a window of its own, and scrolled to its first
figure, as figures are drawn when they come near. The last row is a page of the charting library and one line, the least
that a page with its charts can take. Seconds of the processor are those of the page's main thread: on a machine that
does other things too they say more than the clock. Needs Playwright and Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from scale import MB, library

STUDIES = (("seeds", 100), ("seeds", 10_000), ("arms", 10_000))
ROUNDS = 5
WATCH = """
(() => {
  let near = false;
  const look = () => {
    const place = document.querySelector(".plot");
    if (place && !near) { place.scrollIntoView(); near = true; }
    if (document.querySelector(".plot .main-svg")) window.drawnAt = performance.now();
    else requestAnimationFrame(look);
  };
  addEventListener("DOMContentLoaded", look);
})();
"""


def opening(pages: list[Path]) -> list[list[tuple[float, float]]]:
    """Of each page, round after round, seconds to the first chart: by the clock, and of the processor."""
    from playwright.sync_api import sync_playwright

    found: list[list[tuple[float, float]]] = [[] for _ in pages]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or "/usr/bin/chromium",
            args=["--headless", "--no-sandbox", "--disable-gpu"],
        )
        for _ in range(ROUNDS):
            for path, seconds in zip(pages, found, strict=True):
                context = browser.new_context(viewport={"width": 1280, "height": 900})
                page = context.new_page()
                page.add_init_script(WATCH)
                session = context.new_cdp_session(page)
                session.send("Performance.enable", {"timeDomain": "threadTicks"})
                page.goto(path.absolute().as_uri())
                page.wait_for_function("window.drawnAt !== undefined", timeout=120_000)
                told = session.send("Performance.getMetrics")["metrics"]
                processor = next(one["value"] for one in told if one["name"] == "TaskDuration")
                seconds.append((page.evaluate("window.drawnAt") / 1000, processor))
                context.close()
        browser.close()
    return found


def least(path: Path) -> Path:
    """A page of the library and one line."""
    from plotly.offline import get_plotlyjs

    drawn = "Plotly.newPlot(document.querySelector('.plot'), [{y: [1, 2]}])"
    path.write_text(
        f'<!DOCTYPE html><div class="plot"></div><script>{get_plotlyjs()}</script><script>{drawn}</script>',
        encoding="utf-8",
    )
    return path


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folders", nargs="+", type=Path, help="studies that are there, in place of made ones")
    asked = parser.parse_args()
    beside = library()
    with tempfile.TemporaryDirectory() as name:
        folders = asked.folders or []
        for shape, runs in () if asked.folders else STUDIES:
            folders.append(Path(name) / f"{shape}-{runs}")
            scale = str(Path(__file__).with_name("scale.py"))
            subprocess.run(
                [sys.executable, scale, "--make", shape, str(runs), str(folders[-1])],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        pages = [Path(name) / f"{folder.name}.html" for folder in folders]
        for folder, page in zip(folders, pages, strict=True):
            command = ["report", str(folder), "--out", str(page)]
            subprocess.run([sys.executable, "-m", "paribus", *command], check=True, stdout=subprocess.DEVNULL)
        pages.append(least(Path(name) / "the library alone.html"))
        print("| page | MB beside the library | s to the first chart | fastest | slowest | s of the processor |")
        print("|---|---|---|---|---|---|")
        for page, both in zip(pages, opening(pages), strict=True):
            clock, processor = zip(*both, strict=True)
            size = max(page.stat().st_size - beside, 0) / MB
            told = " | ".join(f"{one:.2f}" for one in (median(clock), min(clock), max(clock), median(processor)))
            print(f"| {page.stem} | {size:.2f} | {told} |")


if __name__ == "__main__":
    main()
