"""Level 3 of an audit: do the maps follow from source pixels and weights, and which do not?"""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recomputing import ALL, Audited, copy_bundle, find, say
from scipy.ndimage import gaussian_filter

from medvision.cli._recompute.attributions import check_attributions
from medvision.cli._recompute.request import draw_pairs
from medvision.domain.explanation.recomputed import compute_relative_distance
from medvision.explain.again import attribute_again, return_to_source


@pytest.fixture
def audited(tiny_study: Path, tmp_path: Path) -> Audited:
    torch.set_num_threads(1)
    return copy_bundle(tiny_study, tmp_path)


def first_pair(audited: Audited, method: str):
    return next(pair for pair in audited.open().rows if pair[1] == method)


def make_map(audited: Audited, pair, *, target=None, **settings):
    """The map of another class or of other settings, as a forger would make it."""
    scene = audited.open()
    case, plan = scene.cases[pair[0]], scene.plan
    case = replace(case, target=target) if target else case
    plan = replace(plan, settings=replace(plan.settings, **settings))
    image, desk = scene.load_image(case), scene.open_desk(case)
    found = attribute_again(case, image, desk=desk, method=pair[1], plan=plan, precise=False)
    return return_to_source(found.grid, image)


def test_an_honest_bundle_comes_out_the_same_to_the_bit(audited):
    checks = check_attributions(audited.open())
    assert [(check.name, check.status) for check in checks] == [
        ("arrays", "PASS"),
        ("maps", "PASS"),
    ]
    assert "6 maps of 2 images drawn by seed 0: 6 bit-equal" in find(checks, "maps").note


def test_the_stored_arrays_are_not_looked_at(audited, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(audited.results / "ingest/images", images)
    checks = check_attributions(audited.open(sources=images))
    assert find(checks, "maps").status == "PASS"


def test_one_weight_moved_by_a_hundredth_is_found_where_cosine_sees_nothing(audited):
    pair = first_pair(audited, "integrated_gradients")
    held = audited.open().read_map(pair).astype(np.float64)
    audited.change_weight(audited.open().cases[pair[0]], 1.01)
    audited.silence_machine()
    moved = make_map(audited, pair).astype(np.float64)
    cosine = (held * moved).sum() / np.linalg.norm(held) / np.linalg.norm(moved)
    assert cosine > 0.999999
    assert compute_relative_distance(held, moved) > 2e-4
    check = find(check_attributions(audited.open()), "maps")
    assert check.status == "FAIL"
    assert f"{pair[0]}/integrated_gradients.nii.gz: map must be the one computed again" in say(
        check
    )
    assert "state_hash must be" in say(check)


def test_the_map_of_another_class_is_found(audited):
    pair = first_pair(audited, "layer_gradcam")
    scene = audited.open()
    classes = scene.open_desk(scene.cases[pair[0]]).trained.classes
    other = next(name for name in classes if name != scene.cases[pair[0]].target)
    forged = make_map(audited, pair, target=other)
    audited.change_map(pair, lambda _: forged)
    assert "another map" in say(find(check_attributions(audited.open()), "maps"))


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_the_map_of_another_baseline_is_found(audited, method):
    pair = first_pair(audited, method)
    forged = make_map(audited, pair, baseline=0.0)
    audited.change_map(pair, lambda _: forged)
    assert "another map" in say(find(check_attributions(audited.open()), "maps"))


@pytest.mark.parametrize("is_known", [True, False])
def test_a_map_scaled_by_a_thousandth_is_found(audited, is_known):
    if not is_known:
        audited.silence_machine()
    pair = first_pair(audited, "occlusion")
    audited.change_map(pair, lambda grid: grid * np.float32(1.001))
    check = find(check_attributions(audited.open()), "maps")
    assert "another map, relative L2 distance 0.001" in say(check)
    assert "from float64" in say(check)


def test_the_last_digits_may_differ_on_another_machine_and_not_on_the_same(audited):
    pair = first_pair(audited, "occlusion")
    audited.change_map(pair, lambda grid: grid * np.float32(1.00001))
    same = find(check_attributions(audited.open()), "maps")
    assert "bit-equal: processor, threads and software are those of the record" in say(same)
    audited.silence_machine()
    other = find(check_attributions(audited.open()), "maps")
    assert other.status == "PASS"
    assert "1 within tolerance" in other.note


def test_edited_parameters_and_figures_of_a_map_are_found(audited):
    def where(row):
        return row["method"] == "integrated_gradients"

    def edit(row):
        text = row["parameters"].replace('"internal_batch_size": 8', '"internal_batch_size": 4')
        return {"parameters": text, "output_difference": "5.5"}

    assert audited.change_rows("explain/attributions.tsv", edit, where=where)
    text = say(find(check_attributions(audited.open()), "maps"))
    assert "parameters.internal_batch_size must be 8" in text
    assert "output_difference must be" in text


def test_an_edited_digest_of_a_baseline_is_found_where_bits_must_be_equal(audited):
    def edit(text):
        audited.change_rows(
            "explain/attributions.tsv", lambda _: {"baseline_digest": text}, where=drawn
        )
        return say(find(check_attributions(audited.open()), "maps"))

    def drawn(row):
        return row["method"] == "occlusion"

    assert "baseline_digest must be" in edit("0" * 64)
    audited.silence_machine()
    assert edit("0" * 64) == ""
    assert "baseline_digest must be" in edit("")


def test_a_digest_is_of_the_baseline_and_of_methods_that_have_one(audited):
    rows = audited.open().rows
    told = {pair[1]: row["baseline_digest"] for pair, row in rows.items()}
    assert told["layer_gradcam"] == ""
    assert told["integrated_gradients"] == told["occlusion"] != ""
    scene = audited.open()
    for pair, row in rows.items():
        if row["baseline_digest"]:
            image = scene.load_image(scene.cases[pair[0]]).array.astype(np.float64)
            sd = (0, *scene.section.blur_voxels)[: image.ndim]
            blurred = gaussian_filter(image, sd, mode="nearest").astype("<f4")
            assert hashlib.sha256(blurred.tobytes()).hexdigest() == row["baseline_digest"]


def test_a_map_on_another_grid_is_found(audited):
    pair = first_pair(audited, "occlusion")
    audited.change_map(pair, lambda grid: grid[:-1])
    text = say(find(check_attributions(audited.open()), "maps"))
    assert "must lie on its source image's grid" in text


def test_a_map_with_a_shifted_affine_is_found(audited):
    pair = first_pair(audited, "occlusion")
    audited.change_map(pair, lambda grid: grid, shift_mm=0.5)
    assert "must lie on its source image's grid" in say(
        find(check_attributions(audited.open()), "maps")
    )


def test_edited_settings_of_preprocessing_do_not_go_unseen(audited):
    def widen(value):
        value["parameters"]["preprocess"]["window"] = [-1000.0, 400.0]

    audited.change_json("preprocess/record.json", widen)
    checks = check_attributions(audited.open())
    assert "arrays not bit-equal" in find(checks, "arrays").note
    assert find(checks, "maps").status == "FAIL"


def test_without_a_folder_of_images_it_says_what_to_give(audited):
    checks = check_attributions(audited.open(sources=None))
    assert {check.status for check in checks} == {"NOT CHECKED"}
    assert "add --study DIR" in find(checks, "arrays").note


def test_a_missing_image_is_named_and_the_others_are_checked(audited, tmp_path):
    images = Path(shutil.copytree(audited.results / "ingest/images", tmp_path / "images"))
    gone = draw_pairs(audited.request())[0][0]
    (images / f"{gone}.nii.gz").unlink()
    checks = check_attributions(audited.open(sources=images))
    assert find(checks, "arrays").status == "NOT CHECKED"
    assert f"ingest/images/{gone}.nii.gz is not in images: put it there" in (
        find(checks, "arrays").note
    )
    assert "3 bit-equal" in find(checks, "maps").note


def test_another_image_under_the_same_name_is_found(audited, tmp_path):
    images = Path(shutil.copytree(audited.results / "ingest/images", tmp_path / "images"))
    one, other = {pair[0] for pair in draw_pairs(audited.request())}
    shutil.copy(images / f"{other}.nii.gz", images / f"{one}.nii.gz")
    check = find(check_attributions(audited.open(sources=images)), "arrays")
    assert check.status == "FAIL"
    assert f"{one}.nii.gz: sha256 must be" in say(check)


def test_code_is_never_run_not_of_plugins_and_not_of_weights(audited, tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")

    def plug(value):
        value["parameters"]["preprocess"]["plugins"] = ["evil:run"]

    audited.change_json("preprocess/record.json", plug)
    checks = check_attributions(audited.open())
    assert {check.status for check in checks} == {"NOT CHECKED"}
    assert "plug-in evil:run, and code is never run" in find(checks, "arrays").note


def test_a_pickle_in_the_place_of_weights_is_refused_unread(audited):
    case = next(iter(audited.open().cases.values()))
    path = audited.study / f"train/{case.arm}/fold-{case.fold}/seed-0/model.safetensors"
    torch.save({"w": torch.zeros(1)}, path)
    assert "whole safetensors file" in say(find(check_attributions(audited.open()), "maps"))


def test_another_version_of_torch_is_told_with_what_to_install(audited):
    def age(value):
        value["software"]["torch"] = "1.0.0"

    audited.change_json("explain/record.json", age)
    note = find(check_attributions(audited.open()), "maps").note
    assert "made with torch 1.0.0 (here" in note
    assert "install these versions" in note


def test_the_auditors_seed_alone_decides_which_maps_are_drawn(audited):
    draws = {seed: draw_pairs(audited.request(sample=2, seed=seed)) for seed in range(20)}
    assert all(len(set(pairs)) == 2 for pairs in draws.values())
    assert draws[3] == draw_pairs(audited.request(sample=2, seed=3))
    assert len({tuple(pairs) for pairs in draws.values()}) > 5
    assert len(draw_pairs(audited.request(sample=ALL))) == 6
