"""Level 2: a picture that does not follow from the raw maps is found, digests made to fit."""

import base64
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from forgeries import refit, swap
from PIL import Image
from recomputing import Audited, copy_bundle, say

from medvision.cli._recompute.pictures import check_pictures
from medvision.cli.main import main
from medvision.io.nifti.read import read_nifti
from medvision.io.nifti.write import write_nifti

FIGURE, PAGE = "report/figures/case-01.png", "report/report.html"
LAYER, GREY = "report/layers/case-01.json", "report/layers/case-01-image.png"

Forgery = Callable[[Audited], object]


@pytest.fixture
def audited(tiny_study: Path, tmp_path: Path) -> Audited:
    return copy_bundle(tiny_study, tmp_path)


def ask(audited: Audited):
    """Make all digests fit, as a careful forger would, and ask level 2."""
    refit(audited.bundle)
    return check_pictures(audited.bundle, level=2)


def paint(png: bytes, *, mode: str) -> bytes:
    """Paint a patch of a picture over."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert(mode)).copy()
    pixels[pixels.shape[0] // 3 :][:5, :5] ^= 96
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def paint_file(name: str, *, mode: str) -> Forgery:
    def change(audited: Audited) -> None:
        path = audited.study / name
        path.write_bytes(paint(path.read_bytes(), mode=mode))

    return change


def paint_page(kind: str, *, mode: str) -> Forgery:
    """Paint over the first picture of a kind on the page."""

    def change(audited: Audited) -> None:
        path = audited.study / PAGE
        text = path.read_text()
        found = re.search(rf'class="{kind}"[^>]* src="data:image/png;base64,([^"]+)"', text)
        assert found is not None
        new = base64.b64encode(paint(base64.b64decode(found[1]), mode=mode)).decode()
        path.write_text(text.replace(found[1], new, 1))

    return change


def edit(name: str, **cells: object) -> Forgery:
    return lambda audited: audited.change_json(name, lambda value: value.update(cells))


def remove(name: str) -> Forgery:
    return lambda audited: (audited.study / name).unlink()


def write(name: str, content: bytes) -> Forgery:
    return lambda audited: (audited.study / name).write_bytes(content)


def swap_figures(audited: Audited) -> None:
    swap(audited.study / FIGURE, audited.study / "report/figures/case-02.png")


def change_map(audited: Audited) -> None:
    """Turn the sign of every map of the first case, the pictures left as they are."""
    case = json.loads((audited.study / LAYER).read_text())["image_id"]
    for path in (audited.study / "explain/maps" / case).glob("*.nii.gz"):
        audited.change_map((case, path.name.removesuffix(".nii.gz")), lambda grid: -grid)


def change_label(audited: Audited) -> None:
    rows = audited.change_rows(
        "explain/selection.tsv", lambda _: {"predicted": "else"}, where=lambda _: True
    )
    assert rows


def add_case(audited: Audited) -> None:
    folder = audited.study / "report/figures"
    shutil.copy(folder / "case-01.png", folder / "case-77.png")


def drop_control(audited: Audited) -> None:
    next((audited.study / "explain/controls").rglob("control_edge.nii.gz")).unlink()


def turn_control(audited: Audited) -> None:
    """Turn the sign of a control's maps, their pictures left as they are."""
    for path in (audited.study / "explain/controls").rglob("control_random.nii.gz"):
        image = read_nifti(path)
        write_nifti(path, -image.array, affine=image.affine, is_placed=image.is_placed)


def drop_article(audited: Audited) -> None:
    path = audited.study / PAGE
    path.write_text(path.read_text().replace('id="case-1"', 'id="shown-1"'))


FORGERIES: dict[str, tuple[Forgery, str]] = {
    "a figure painted over": (paint_file(FIGURE, mode="RGBA"), f"{FIGURE}: pixels that differ"),
    "the figures of two cases exchanged": (swap_figures, f"{FIGURE}: "),
    "the background painted over": (paint_file(GREY, mode="L"), "case 1, image: pixels"),
    "a map on the page painted over": (paint_page("layer map", mode="RGBA"), "pixels that differ"),
    "the image on the page painted over": (paint_page("layer", mode="L"), "case 1, image: pixels"),
    "the maps changed, the pictures kept": (change_map, f"{FIGURE}: pixels that differ"),
    "another prediction in the title": (change_label, f"{FIGURE}: pixels that differ"),
    "a colour bar of another scale": (edit(LAYER, scales={"occlusion": 9.0}), "scales"),
    "another unit": (edit(LAYER, units="mm"), "units"),
    "another window": (edit(LAYER, window=[0.0, 1.0]), "window"),
    "another slice": (edit(LAYER, key_slice=1, has_mask=True), "case-01"),
    "the layers of a case removed": (remove(LAYER), "case-01.json: file must be in the bundle"),
    "a background removed": (remove(GREY), "must be in the bundle"),
    "a figure removed": (remove(FIGURE), "must be in the bundle"),
    "a figure of no case added": (add_case, "picture must be of an explained case"),
    "a control's map removed": (drop_control, "must be in the bundle"),
    "a control's map changed": (turn_control, "control_random: pixels that differ"),
    "a case hidden on the page": (drop_article, "pictures must be on the page, got none"),
    "a figure that is none": (write(FIGURE, b"\x89PNG but not"), f"{FIGURE}: content"),
    "a background that is none": (write(GREY, b""), "content must be complete and readable"),
    "layers that are no object": (write(LAYER, b"[]"), "content must be complete and readable"),
}


def test_an_honest_bundle_passes_to_the_pixel(audited: Audited) -> None:
    check = ask(audited)
    assert (check.status, check.findings) == ("PASS", ())
    assert "to the pixel" in check.note


@pytest.mark.parametrize("name", FORGERIES)
def test_a_picture_that_does_not_follow_is_found_at_level_2(name: str, audited: Audited) -> None:
    forge, text = FORGERIES[name]
    forge(audited)
    check = ask(audited)
    assert check.status == "FAIL"
    assert text in say(check)


def test_each_control_stands_below_the_maps_with_what_it_passed(tiny_study: Path) -> None:
    page = (tiny_study / PAGE).read_text()
    n_maps = len(list((tiny_study / "explain/controls").rglob("*.nii.gz")))
    assert page.count(", a control, over the same slice") == n_maps == 2 * (2 + 2 * 3)


def test_of_other_versions_a_patch_is_found_and_a_shade_is_not(audited: Audited) -> None:
    for path in (audited.study / "report/layers").glob("*.json"):
        audited.change_json(
            path.relative_to(audited.study), lambda held: held["versions"].update(freetype="1.0")
        )
    check = ask(audited)
    assert check.status == "PASS"
    assert "with room for another version" in check.note
    path = audited.study / FIGURE
    pixels = np.asarray(Image.open(path).convert("RGBA")).copy()
    pixels[: len(pixels) // 3, : pixels.shape[1] // 3, :3] ^= 96
    Image.fromarray(pixels).save(path)
    assert ask(audited).status == "FAIL"


def test_verify_asks_level_2_unless_told_otherwise(tiny_study: Path) -> None:
    bundle = str(tiny_study / "audit/bundle")
    asked = CliRunner().invoke(main, ["audit", "verify", bundle], terminal_width=300)
    assert asked.exit_code == 0
    assert "drawn again" in asked.output.replace("\n", " ")
    assert check_pictures(Path(bundle), level=1).status == "NOT CHECKED"
