"""Claims on the volumes of the page that only a browser can judge."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from browser import FLAGS, GRAPHICS, Page, find_chromium, open_browser
from PIL import Image
from reports import make_grids, make_sources

from medvision.report.case import build_case_view
from medvision.report.facts import build_facts
from medvision.report.page import build_report
from medvision.report.viewer import ViewerRoom, read_library

CHROMIUM, LIBRARY = find_chromium(), read_library()
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")
needs_library = pytest.mark.skipif(LIBRARY is None, reason="ipyniivue is not installed here")
pytestmark = [needs_browser, needs_library]

READY = "document.querySelector('#volume-{}').dataset.ready || ''"
TOLD = "document.querySelector('#volume-1 output').textContent"


def write_page(path: Path, *, change: Callable[[str], str] = str) -> Path:
    facts = build_facts(make_sources(explained=2), title="A study", author=None)
    room, views = ViewerRoom(24, library=LIBRARY), {}
    for n, case in enumerate(facts.explanation.cases):
        view = build_case_view(case.image_id, make_grids(n))
        views[case.image_id] = view
        room.add(case.image_id, make_grids(n), window=view.facts.window)
    path.write_text(change(build_report(facts, views=views, viewer=room.close()).html))
    return path


def wait(page: Page, expression: str) -> str:
    for _ in range(150):
        if found := page.evaluate(expression):
            return found
        page.evaluate("new Promise((done) => setTimeout(done, 200))")
    raise AssertionError(f"never: {expression}")


def picture(page: Page, selector: str) -> np.ndarray:
    """Return what is seen of an element, (Y, X, 3) uint8."""
    page.evaluate(
        f"document.querySelector('{selector}').scrollIntoView("
        "{ block: 'center', behavior: 'instant' })"
    )
    page.evaluate("new Promise((done) => setTimeout(done, 700))")
    box = page.evaluate(
        f"(() => {{ const r = document.querySelector('{selector} canvas').getBoundingClientRect();"
        " return [r.left, r.top, r.width, r.height]; })()"
    )
    shot = page.call("Page.captureScreenshot", format="png")["data"]
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(shot))).convert("RGB"))
    left, top, width, height = (round(number) for number in box)
    return seen[top : top + height, left : left + width].astype(int)


def count_coloured(seen: np.ndarray) -> tuple[int, int]:
    """Return how many pixels are rather orange, and rather blue."""
    red, blue = seen[..., 0], seen[..., 2]
    return int((red > blue + 60).sum()), int((blue > red + 60).sum())


def list_errors(page: Page) -> list[str]:
    """Return errors of the console and requests that leave the file."""
    found = []
    for event in page.events:
        held = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                found.append(str(held)[:500])
            case "Log.entryAdded" if held["entry"]["level"] == "error":
                found.append(str(held)[:500])
            case "Runtime.consoleAPICalled" if held["type"] in ("error", "assert"):
                found.append(str(held)[:500])
            case "Network.requestWillBeSent":
                url = held["request"]["url"]
                found += [] if url.startswith(("file:", "data:", "blob:")) else [url]
    return found


@pytest.mark.parametrize("width", [1280, 390], ids=["desk", "phone"])
def test_a_volume_opens_offline_with_both_signs_and_another_takes_its_place(
    tmp_path: Path, width: int
) -> None:
    path = write_page(tmp_path / "report.html")
    with open_browser(CHROMIUM or "", tmp_path / "profile", flags=GRAPHICS) as page:
        page.open(path, width=width)
        if not page.evaluate("Boolean(document.createElement('canvas').getContext('webgl2'))"):
            pytest.skip("this Chromium has no WebGL, not even by software")
        page.evaluate("document.querySelector('[data-open-volume=volume-1]').click()")
        assert wait(page, READY.format(1)) == "integrated_gradients"
        seen = picture(page, "#volume-1")
        orange, blue = count_coloured(seen)
        assert min(orange, blue) > 50
        assert len(np.unique(seen.reshape(-1, 3), axis=0)) > 100
        page.evaluate(
            "(() => { const s = document.querySelector('#volume-1 select'); s.value = '';"
            " s.dispatchEvent(new Event('change')); })()"
        )
        assert wait(page, READY.format(1)) == "image"
        assert count_coloured(picture(page, "#volume-1"))[1] == 0
        page.evaluate("document.querySelector('[data-open-volume=volume-2]').click()")
        wait(page, READY.format(2))
        assert page.evaluate("document.querySelector('#volume-1').hidden")
        assert min(count_coloured(picture(page, "#volume-2"))) > 50
        assert page.evaluate("document.querySelectorAll('.volume canvas').length") == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert list_errors(page) == []


def test_a_page_with_volumes_may_ask_for_nothing_and_run_no_webassembly(tmp_path: Path) -> None:
    path = write_page(tmp_path / "report.html")
    module = "new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))"
    with open_browser(CHROMIUM or "", tmp_path / "profile", flags=GRAPHICS) as page:
        page.open(path)
        for address in ("data:text/plain,a", "blob:null/a", "https://example.org/"):
            asked = f"fetch('{address}').then(() => 'sent', () => 'refused')"
            assert page.evaluate(asked) == "refused"
        refused = [held for held in list_errors(page) if "Content Security Policy" in held]
        assert len(refused) >= 3
        tried = f"(() => {{ try {{ {module}; return 'run'; }} catch (e) {{ return e.name; }} }})()"
        assert page.evaluate(tried) == "CompileError"


def test_without_webgl_the_page_says_so_and_keeps_its_pictures(tmp_path: Path) -> None:
    path = write_page(tmp_path / "report.html")
    flags = (*FLAGS, "--disable-3d-apis")
    with open_browser(CHROMIUM or "", tmp_path / "profile", flags=flags) as page:
        page.open(path)
        page.evaluate("document.querySelector('[data-open-volume=volume-1]').click()")
        assert "no WebGL" in wait(page, TOLD)
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")


def test_a_damaged_volume_is_told_and_not_shown(tmp_path: Path) -> None:
    mark = 'id="case-1-volume-image">'
    path = write_page(
        tmp_path / "report.html", change=lambda html: html.replace(mark, f"{mark}AAAA", 1)
    )
    with open_browser(CHROMIUM or "", tmp_path / "profile", flags=GRAPHICS) as page:
        page.open(path)
        if not page.evaluate("Boolean(document.createElement('canvas').getContext('webgl2'))"):
            pytest.skip("this Chromium has no WebGL, not even by software")
        page.evaluate("document.querySelector('[data-open-volume=volume-1]').click()")
        wait(page, f"{TOLD}.includes('cannot be shown') ? 'told' : ''")
        assert page.evaluate(READY.format(1)) == ""
