"""The page in a browser: Debian's Chromium, without a network, driven by Playwright."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paribus.findings.findings import Findings
from paribus.findings.judge import judge
from paribus.report.page.page import write_page
from paribus.report.page.tables import results_csv, runs_csv
from paribus.report.page.text import View
from tests.test_judge import FACTORS
from tests.test_page import (
    EVIL,
    NAMES,
    VERDICTS,
    by_length,
    evil,
    in_the_plane,
    made,
    of_images,
    of_numbers,
    with_tuning,
)

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
SCREENS = [(360, ("dark", "light")), (1440, ("light", "dark"))]
ALL = "[...document.querySelectorAll('.plot')]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    if not Path(CHROMIUM).is_file():
        pytest.skip(f"there is no browser: {CHROMIUM} is missing (apt-get install chromium)")
    with sync.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Written once: everything that a page can show, a large study, and names that try to be more than names."""
    folder = tmp_path_factory.mktemp("pages")
    plane = made(["adam", "sgd", "rmsprop"], seeds=8, pictured=in_the_plane, name="in the plane", margin=0.01)
    images = made(["cnn", "mlp"], factor="model", pictured=of_images, name="images")
    numbers = made(["a", "b"], pictured=of_numbers, name="numbers")
    studies = {
        "all": [plane, images, by_length(), with_tuning(), numbers],
        "numbers": [numbers],
        "plane": [plane],
        "large": [made(["a", "b", "c", "d"], seeds=25, evaluations=150, pictured=in_the_plane)],
        "evil": [evil()],
    }
    table = folder / "scores.csv"
    name = NAMES[5].replace('"', '""')
    table.write_text(FACTORS.replace("adam,", f'"{name}",'))
    scores = write_page([judge(table, arm=("optimizer", "dropout"), margin=0.01)], folder / "scores.html")
    return {"scores": scores} | {
        name: write_page(list(map(Findings.of, found)), folder / f"{name}.html", VERDICTS)
        for name, found in studies.items()
    }


class Opened:
    """A page in a window of its own, and what it complained of."""

    def __init__(self, browser: Any, path: Path, width: int = 1440, scheme: str = "light", **more: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **more)
        self.page = self.context.new_page()
        self.troubles: list[str] = []
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("dialog", lambda dialog: self.troubles.append(dialog.message))
        self.page.on("request", lambda request: self._requested(request.url, path))
        self.page.goto(path.as_uri())

    def _requested(self, url: str, path: Path) -> None:
        if url != path.as_uri() and not url.startswith(("data:", "blob:")):
            self.troubles.append(f"requested {url}")

    def through(self) -> None:
        """Scroll to the end, until all is drawn: figures are when they come near, and a slow machine may see none pass."""
        self.until(f"{ALL}.every((one) => one.querySelector('.main-svg'))", self._scroll)

    def _scroll(self) -> None:
        for top in range(0, self.of("document.documentElement.scrollHeight") + 900, 1200):
            self.page.evaluate(f"scrollTo(0, {top})")
            self.page.wait_for_timeout(30)

    def of(self, script: str) -> Any:
        return self.page.evaluate(script)

    def until(self, script: str, again: Callable[[], object] = lambda: None, pause: int = 30) -> None:
        """Wait for it from outside: the page's policy lets nothing evaluate text, Playwright's own wait either.

        `again`: done before each look, for what a slow machine may miss, as the second click of a double one.
        """
        end = time.monotonic() + 120
        again()
        while not self.of(script):
            assert time.monotonic() < end, f"never came: {script}"
            self.page.wait_for_timeout(pause)
            again()

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


def figure(name: str, study: int = 0) -> str:
    return f'.plot[data-study="s{study}"][data-figure="{name}"]'


def held(opened: Opened, what: str, name: str, study: int = 0) -> Any:
    """What Plotly has of a figure."""
    return opened.of(f"JSON.parse(JSON.stringify(document.querySelector('{figure(name, study)}').{what}))")


@pytest.mark.thinned(2)
@pytest.mark.parametrize(("page", "most"), [("all", 29), ("scores", 4)])
@pytest.mark.parametrize(("width", "schemes"), SCREENS)
def test_everything_is_drawn_without_a_word_or_a_request(
    browser: Any, pages: dict[str, Path], width: int, schemes: tuple[str, str], page: str, most: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    with Opened(browser, pages[page], width, schemes[0]) as opened:
        opened.through()
        for scheme in schemes:
            opened.page.emulate_media(color_scheme=scheme)
            assert opened.of(f"{ALL}.length") >= most
            empty = f"{ALL}.filter((one) => !one.data.length || !one.querySelector('.trace, .hm, .points')).length"
            assert opened.of(empty) == 0
            assert opened.of("document.documentElement.scrollWidth") == width
            wide = f"{ALL}.filter((one) => one.querySelector('.main-svg').clientWidth > one.clientWidth + 1).length"
            assert opened.of(wide) == 0
            assert opened.of("[...document.images].every((one) => one.complete && one.naturalWidth === 8)")
            # in the other scheme colours alone are others
            rules = {} if scheme == schemes[0] else {"runOnly": ["color-contrast"]}
            faults = axe.Axe().run(opened.page, options={"resultTypes": ["violations"], **rules}).response["violations"]
            grave = [one for one in faults if one["impact"] in ("serious", "critical")]
            assert [(one["id"], one["nodes"][0]["html"]) for one in grave] == []
        assert opened.troubles == []


def test_a_large_study_opens_with_the_figures_in_sight_alone(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["large"]) as opened:
        opened.page.wait_for_selector(".main-svg")
        opened.page.wait_for_timeout(500)
        drawn, every = (
            opened.of(f"{ALL}.filter((one) => one.querySelector('.main-svg')).length"),
            opened.of(f"{ALL}.length"),
        )
        assert 0 < drawn <= every / 2
        assert opened.troubles == []


@pytest.mark.parametrize("page", ["plane", "numbers"])
def test_every_trace_of_a_figure_is_drawn(browser: Any, pages: dict[str, Path], page: str) -> None:
    with Opened(browser, pages[page]) as opened:
        opened.through()
        told = json.loads(opened.of("document.getElementById('s0-data').textContent"))["figures"]
        for name, spec in told.items():
            drawn = opened.of(f"""document.querySelectorAll('{figure(name)} .scatterlayer .trace').length""")
            assert drawn == len(spec["data"]), name
            assert len(held(opened, "data", name)) == len(spec["data"])


def test_names_are_text_in_figures_and_under_the_mouse(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["evil"]) as opened:
        opened.through()
        text = opened.of("document.body.innerText")
        assert opened.of("document.title") == EVIL
        assert opened.of("document.querySelectorAll('main b, svg a').length") == 0
        notes = " ".join(
            opened.of(
                f"[...document.querySelectorAll('{figure('differences')} .annotation-text')]"
                ".map((one) => one.textContent)"
            )
        )
        for name in NAMES:
            whole = " ".join(name.split())
            assert whole in " ".join(text.split())
            assert whole.replace(" ", "") in notes.replace(" ", "")
        data = held(opened, "data", "test_loss")
        firsts = [k for k, trace in enumerate(data) if trace.get("name", "").endswith("seed 0")]
        for name, k in zip(NAMES, firsts, strict=True):
            opened.of(
                f"Plotly.Fx.hover(document.querySelector('{figure('test_loss')}'), [{{curveNumber: {k}, pointNumber: 3}}])"
            )
            wanted = json.dumps("".join(f"{name}, seed 0".split())[:40])
            hover = f"document.querySelector('{figure('test_loss')} .hoverlayer').textContent"
            opened.until(f"{hover}.replace(/\\s/g, '').includes({wanted})")
        assert opened.troubles == []


def test_the_slider_moves_every_boundary(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["plane"]) as opened:
        opened.through()
        frames = {
            name: spec["frames"]
            for name, spec in json.loads(opened.of("document.getElementById('s0-data').textContent"))["figures"].items()
            if "frames" in spec
        }
        assert len(frames) == 3
        slider = opened.page.locator("input[data-epochs]")
        seen = []
        for key, k in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("End", 6)):
            slider.press(key)
            for name, found in frames.items():
                shown = f"document.querySelector('{figure(name)} image').href.baseVal"
                opened.until(f"{shown} === {json.dumps(found[k]['source'])}")
            seen.append((slider.get_attribute("aria-valuetext"), opened.page.locator(".at-epoch").all_inner_texts()))
        assert seen[1] == ("epoch 20", ["epoch 20"] * 3)
        assert seen[3] == ("epoch 120", ["epoch 120"] * 3)
        assert opened.page.locator("output").inner_text() == "120"
        assert opened.troubles == []


def test_tables_are_sorted_by_mouse_and_by_key(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["plane"]) as opened:
        column = opened.page.locator("table.sortable thead th", has_text="test loss")

        def arms() -> list[str]:
            return opened.page.locator("table.sortable tbody th").all_inner_texts()

        assert arms() == ["adam", "sgd", "rmsprop"]
        column.locator("button").click()
        assert column.get_attribute("aria-sort") == "ascending"
        assert arms() == ["adam", "sgd", "rmsprop"]
        column.locator("button").press("Enter")
        assert column.get_attribute("aria-sort") == "descending"
        assert arms() == ["rmsprop", "sgd", "adam"]
        opened.page.locator("table.sortable thead button", has_text="arm").press("Space")
        assert arms() == ["adam", "rmsprop", "sgd"]
        assert opened.page.locator("th[aria-sort=ascending]").count() == 1


def test_numbers_are_sorted_as_numbers_and_what_is_missing_is_last(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["all"]) as opened:
        table = opened.page.locator("table.sortable", has_text="Every candidate")
        button = table.locator("thead button", has_text="adam")
        for expected in (["41.00", "50.00 (chosen)", "did not end"], ["50.00 (chosen)", "41.00", "did not end"]):
            button.click()
            assert table.locator("tbody td:nth-child(2)").all_inner_texts() == expected
        table.locator("thead button", has_text="lr").click()
        assert table.locator("tbody td:first-child").all_inner_texts() == ["0.01", "0.1", "10.0"]


def test_tables_are_downloaded(browser: Any, pages: dict[str, Path]) -> None:
    study = made(["adam", "sgd", "rmsprop"], seeds=8, pictured=in_the_plane, name="in the plane", margin=0.01)
    with Opened(browser, pages["plane"]) as opened:
        for what, expected in (
            ("results", results_csv(View.of(Findings.of(study)))),
            ("runs", runs_csv(Findings.of(study))),
        ):
            with opened.page.expect_download() as found:
                opened.page.locator(f"button[data-csv={what}]").click()
            assert found.value.suggested_filename == f"in-the-plane-{what}.csv"
            assert found.value.path().read_text() == expected
        assert opened.troubles == []


def test_curves_are_looked_at_in_other_ways(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["plane"]) as opened:
        opened.through()
        button = opened.page.locator("button[data-arm='0']")
        whole = len(held(opened, "data", "test_loss"))
        button.press("Enter")
        assert button.get_attribute("aria-pressed") == "false"
        assert len(held(opened, "data", "test_loss")) == whole - 8 - 3
        assert len(held(opened, "data", "train_accuracy")) == whole - 8 - 3
        button.click()
        assert len(held(opened, "data", "test_loss")) == whole
        opened.page.locator("button[data-toggle=seeds]").click()
        assert len(held(opened, "data", "test_loss")) == whole - 24
        opened.page.locator("button[data-toggle=logy]").click()
        assert held(opened, "layout.yaxis.type", "test_loss") == "log"
        assert held(opened, "layout.yaxis.type", "test_accuracy") == "linear"
        opened.page.locator("button[data-toggle=logx]").click()
        assert held(opened, "layout.xaxis.type", "test_accuracy") == "log"
        opened.page.locator("button[data-toggle=logx]").click()
        opened.page.locator("input[data-range=from]").fill("20")
        opened.page.locator("input[data-range=to]").fill("60")
        opened.page.locator("input[data-range=to]").press("Enter")
        assert held(opened, "_fullLayout.xaxis.range", "train_loss") == [20, 60]
        opened.page.locator("[data-reset]").click()
        low, high = held(opened, "_fullLayout.xaxis.range", "train_loss")
        assert low <= 10
        assert high >= 120
        assert opened.troubles == []


def test_a_drag_zooms_and_a_double_click_goes_back(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["plane"]) as opened:
        place = opened.page.locator(figure("train_loss"))
        place.scroll_into_view_if_needed()
        opened.page.wait_for_selector(figure("train_loss") + " .nsewdrag")
        before = held(opened, "_fullLayout.xaxis.range", "train_loss")
        box = opened.page.locator(figure("train_loss") + " .nsewdrag").first.bounding_box()
        x, y = box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.3
        opened.page.mouse.move(x, y)
        opened.page.mouse.down()
        opened.page.mouse.move(x + box["width"] * 0.3, y + box["height"] * 0.4, steps=5)
        opened.page.mouse.up()
        opened.until(f"document.querySelector('{figure('train_loss')}')._fullLayout.xaxis.range[0] > {before[0]} + 5")
        opened.page.locator("button[data-arm='0']").click()  # what was zoomed stays
        assert held(opened, "_fullLayout.xaxis.range", "train_loss")[0] > before[0] + 5
        whole = f"document.querySelector('{figure('train_loss')}')._fullLayout.xaxis.range[0] <= {before[0]} + 1"
        opened.until(whole, lambda: opened.page.mouse.dblclick(x, y), pause=600)


def test_figures_follow_dark_mode(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["plane"]) as opened:
        opened.through()

        def colours() -> tuple[str, str]:
            return held(opened, "layout.font.color", "test_loss"), held(opened, "layout.font.color", "differences")

        assert colours() == ("#1b1d1f",) * 2
        opened.page.emulate_media(color_scheme="dark")
        opened.until(f"document.querySelector('{figure('differences')}').layout.font.color === '#e9ebed'")
        assert colours() == ("#e9ebed",) * 2


def test_all_is_drawn_and_unfolded_in_print_and_light_on_paper(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["all"], 1440, "dark") as opened:
        assert opened.of("document.querySelectorAll('.main-svg').length") < 40  # most are not drawn yet
        opened.page.emulate_media(media="print", color_scheme="dark")
        opened.until(f"{ALL}.every((one) => one.querySelector('.main-svg'))")
        assert opened.of(f"Math.max(...{ALL}.map((one) => one.querySelector('.main-svg').clientWidth))") <= 680
        assert held(opened, "layout.font.color", "test_loss") == "#1b1d1f"
        assert opened.of("document.querySelectorAll('details:not([open])').length") == 0
        assert opened.page.pdf(format="A4")[:5] == b"%PDF-"
        opened.page.emulate_media(media="screen", color_scheme="dark")
        opened.until(f"document.querySelector('{figure('test_loss')}').layout.font.color === '#e9ebed'")
        assert opened.of("document.querySelectorAll('details:not([open])').length") > 0
        assert opened.troubles == []


def test_a_finger_on_a_figure_scrolls_the_page(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["plane"], 360, has_touch=True, is_mobile=True) as opened:
        opened.through()
        assert held(opened, "_fullLayout.dragmode", "test_loss") is False
        assert held(opened, "_fullLayout.xaxis.fixedrange", "test_loss") is True


def test_names_of_differences_fold_on_a_phone(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["evil"], 360) as opened:
        opened.through()
        folded = held(opened, "layout.height", "differences")
        right = f"""Math.max(...[...document.querySelectorAll('{figure("differences")} .annotation-text')]
            .map((one) => one.getBoundingClientRect().right))"""
        assert opened.of(right) <= 360
        opened.page.set_viewport_size({"width": 1440, "height": 900})
        opened.until(f"document.querySelector('{figure('differences')}').layout.height < {folded}")


def test_without_its_hash_no_script_runs(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    """Were a text taken for markup in spite of all, the browser would still not run it."""
    text = pages["plane"].read_text(encoding="utf-8")
    (tmp_path / "worse.html").write_text(
        text.replace("</h1>", "</h1><script>document.title = 'taken'</script>"), "utf-8"
    )
    with Opened(browser, tmp_path / "worse.html") as opened:
        assert opened.of("document.title") == "in the plane"
        assert "Content Security Policy" in " ".join(opened.troubles)


def test_a_study_of_one_seed_is_drawn_too(browser: Any, tmp_path: Path) -> None:
    alone = made(["adam"], seeds=1, evaluations=1)
    two = replace(made(["adam", "sgd"], seeds=1), name="two")
    path = write_page([Findings.of(alone), Findings.of(two)], tmp_path / "one.html")
    with Opened(browser, path) as opened:
        opened.through()
        assert opened.of("document.querySelectorAll('.plot .scatterlayer .points path').length") >= 4
        assert opened.troubles == []
