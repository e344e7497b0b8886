"""Every table can be taken along as CSV, by keyboard and without network, and long ones page."""

import csv
import io
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from browser import Page, find_chromium, open_browser
from reports import make_measured, make_sources

from medvision.report.facts import build_facts
from medvision.report.page import build_report
from medvision.report.sources import Sources

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")

VOID = ("br", "img", "line", "circle")
CAPTURE = """(() => {
  const taken = [];
  HTMLAnchorElement.prototype.click = function () { taken.push([this.download, this.href]); };
  for (const bar of document.querySelectorAll(".tools")) bar.lastElementChild.click();
  return taken;
})()"""


@dataclass
class Cell:
    text: list[str] = field(default_factory=list)
    n_rows: int = 1
    is_number: bool = False
    is_drawn: bool = False


class Tables(HTMLParser):
    """The tables of a page's source, cell by cell: the oracle of what is downloaded."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[Cell]]] = []
        self._silent: list[str] = []
        self._cell: Cell | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            names = (held.get("class") or "").split()
            n_rows = int(held.get("rowspan") or 1)
            self._cell = Cell([], n_rows, "num" in names, "data-drawn" in held)
            self.tables[-1][-1].append(self._cell)
        elif tag not in VOID and (self._silent or held.get("aria-hidden") == "true"):
            self._silent.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = None
        elif self._silent and self._silent[-1] == tag:
            self._silent.pop()

    def handle_data(self, data: str) -> None:
        if self._cell is not None and not self._silent:
            self._cell.text.append(data)


def show(cell: Cell) -> str:
    text = " ".join(" ".join(cell.text).split())
    if text == "–":
        return ""
    return text.replace("−", "-") if cell.is_number else text


def spread(rows: list[list[Cell]]) -> list[list[str]]:
    """Return a table as a full rectangle: what spans rows stands in each of them."""
    grid: dict[tuple[int, int], Cell] = {}
    for y, row in enumerate(rows):
        x = 0
        for cell in row:
            while (y, x) in grid:
                x += 1
            grid |= {(y + n, x): cell for n in range(cell.n_rows)}
    drawn = {x for (y, x), cell in grid.items() if y == 0 and cell.is_drawn}
    width = 1 + max(x for _, x in grid)
    return [[show(grid[y, x]) for x in range(width) if x not in drawn] for y in range(len(rows))]


def write_page(folder: Path, sources: Sources) -> Path:
    path = folder / "report.html"
    path.write_text(build_report(build_facts(sources, title="x", author=None), views={}).html)
    return path


def read_csv(text: str) -> list[list[str]]:
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


def press(page: Page, key: str) -> None:
    for kind in ("keyDown", "keyUp"):
        text = "\r" if key == "Enter" and kind == "keyDown" else ""
        page.call(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            code=key,
            text=text,
            windowsVirtualKeyCode=13 if key == "Enter" else 9,
        )


def test_every_table_downloads_as_it_stands_in_the_page(tmp_path: Path) -> None:
    path = write_page(tmp_path, make_sources())
    oracle = Tables()
    oracle.feed(path.read_text())
    with open_browser(CHROMIUM or "", tmp_path / "profile") as page:
        page.open(path)
        taken = page.evaluate(CAPTURE)
    names = [name for name, _ in taken]
    assert len(set(names)) == len(names) == len(oracle.tables) > 8
    held = [read_csv(unquote(href.partition(",")[2])) for _, href in taken]
    assert held == [spread(rows) for rows in oracle.tables]


def test_a_download_by_keyboard_alone_writes_the_file(tmp_path: Path) -> None:
    path = write_page(tmp_path, make_sources(explained=0))
    folder = tmp_path / "taken"
    folder.mkdir()
    with open_browser(CHROMIUM or "", tmp_path / "profile") as page:
        page.open(path)
        page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        label = "document.activeElement.getAttribute('aria-label') ?? ''"
        for _ in range(40):
            press(page, "Tab")
            if page.evaluate(label).startswith("Download CSV"):
                break
        assert page.evaluate(label).startswith("Download CSV: Files refused on reading")
        press(page, "Enter")
        ends = time.monotonic() + 20
        while not list(folder.glob("*.csv")) and time.monotonic() < ends:
            page.evaluate("new Promise((done) => setTimeout(done, 50))")
    (file,) = folder.glob("*.csv")
    assert file.name == "data-1.csv"
    assert read_csv(file.read_text())[:2] == [
        ["Reason", "Code", "Files"],
        ["The slices leave a gap", "missing-slice", "7"],
    ]


def test_a_long_table_pages_on_the_screen_and_downloads_whole(tmp_path: Path) -> None:
    path = write_page(tmp_path, make_measured(n_images=70))
    with open_browser(CHROMIUM or "", tmp_path / "profile") as page:
        page.open(path)
        seen = page.evaluate(
            """(() => {
              const box = document.querySelector("[data-sortable]");
              const rows = () => [...box.querySelectorAll("tbody tr")]
                .filter((row) => row.getClientRects().length > 0).length;
              const [back, next] = box.querySelectorAll(".pager button");
              const place = box.querySelector(".pager output");
              const states = [[rows(), place.textContent, back.disabled, next.disabled]];
              next.click(); next.click();
              states.push([rows(), place.textContent, back.disabled, next.disabled]);
              const search = box.querySelector("input[type=search]");
              search.value = "blur"; search.dispatchEvent(new Event("input"));
              states.push([rows(), place.textContent, back.disabled, next.disabled]);
              search.value = "no such text"; search.dispatchEvent(new Event("input"));
              states.push([rows(), place.textContent, back.disabled, next.disabled]);
              search.value = ""; search.dispatchEvent(new Event("input"));
              return states;
            })()"""
        )
        taken = dict(page.evaluate(CAPTURE))
        page.call("Emulation.setEmulatedMedia", media="print")
        printed = page.evaluate(
            "[...document.querySelectorAll('[data-sortable] tbody tr')]"
            ".filter((row) => row.getClientRects().length > 0).length"
        )
    assert seen == [
        [25, "Rows 1 to 25 of 71", True, False],
        [21, "Rows 51 to 71 of 71", False, True],
        [1, "Rows 1 to 1 of 1", True, True],
        [0, "No rows", True, True],
    ]
    assert len(read_csv(unquote(taken["quality-2.csv"].partition(",")[2]))) == 72
    assert printed == 71


def test_a_page_never_parts_rows_that_share_a_cell(tmp_path: Path) -> None:
    sizes = [4] * 9 + [30] + [1, 2, 3]
    rows = "".join(
        f"<tr>{f'<th rowspan={size}>group {n}</th>' if k == 0 else ''}<td>{n}-{k}</td></tr>"
        for n, size in enumerate(sizes)
        for k in range(size)
    )
    path = write_page(tmp_path, make_sources(explained=0))
    table = f"<table id='planted'><caption>x</caption><tbody>{rows}</tbody></table></main>"
    path.write_text(path.read_text().replace("</main>", table))
    with open_browser(CHROMIUM or "", tmp_path / "profile") as page:
        page.open(path)
        seen = page.evaluate(
            """(() => {
              const table = document.getElementById("planted"), bar = table.nextElementSibling;
              const [back, next] = bar.querySelectorAll(".pager button"), pages = [];
              for (;;) {
                const rows = [...table.rows].filter((row) => row.getClientRects().length > 0);
                pages.push([rows.length, rows[0].cells.length, bar.querySelector("output").value]);
                if (next.disabled) return pages;
                next.click();
              }
            })()"""
        )
    assert seen == [
        [24, 2, "Rows 1 to 24 of 72"],
        [12, 2, "Rows 25 to 36 of 72"],
        [30, 2, "Rows 37 to 66 of 72"],
        [6, 2, "Rows 67 to 72 of 72"],
    ]
