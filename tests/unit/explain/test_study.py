"""The whole wing on a planted detector: accepted where it should be, controls and frauds not."""

import json
from collections import Counter

import numpy as np
import pytest
from explain_nets import SIDE, Detector
from explain_runs import CLASSES, FLIPPED, SETTINGS, TENSOR_AFFINE, explain, load_image
from torch import nn

from medvision.errors import ExplanationError
from medvision.explain import bench, network
from medvision.explain.case import CaseImage
from medvision.explain.checks import SOURCES
from medvision.explain.methods import METHODS
from medvision.explain.names import EDGE, RANDOM


@pytest.fixture(scope="module")
def planted():
    return explain()


def pick(outcome, **wanted):
    return [row for row in outcome.checks if all(row[k] == v for k, v in wanted.items())]


def test_each_image_proves_the_copy_once_and_a_later_one_ends_the_step(monkeypatch):
    later, first, loaded = iter([0.0, 0.3]), [], []

    def count(*_, **__):
        first.append(0.0)
        return 0.0

    def load(case, *, spatial_dims):
        loaded.append(case.image_id)
        return load_image(case, spatial_dims=spatial_dims)

    monkeypatch.setattr(network, "compute_certificate", count)
    monkeypatch.setattr(bench, "compute_certificate", lambda *_, **__: next(later))
    with pytest.raises(ExplanationError, match=r"got a difference of 0\.3"):
        explain(load=load)
    assert (len(first), len(loaded)) == (1, 3)


def test_a_detector_is_found_to_look_at_the_lesion_in_the_sources_geometry(planted):
    outcome, maps, _ = planted
    for method in SETTINGS["methods"]:
        for check in ("pointing", "relevance_mass", "deletion"):
            positives = {
                row["image_id"]
                for row in outcome.selection
                if row["label"] == row["target"] == "nodule"
            }
            rows = pick(outcome, method=method, check=check)
            verdicts = {row["verdict"] for row in rows if row["image_id"] in positives}
            assert verdicts == {"PASS"}, (method, check)
    grid, affine = maps[next(iter(positives)), "integrated_gradients"]
    assert grid.shape == (SIDE, SIDE, SIDE)
    np.testing.assert_array_equal(affine, TENSOR_AFFINE @ FLIPPED)


def test_a_map_laid_on_the_wrong_side_would_be_found():
    def load_mirrored(case, *, spatial_dims):
        image = load_image(case, spatial_dims=spatial_dims)
        return CaseImage(image.array, TENSOR_AFFINE, TENSOR_AFFINE, image.source_shape, image.mask)

    outcome, _, _ = explain(load=load_mirrored, methods=("integrated_gradients",))
    rate = outcome.summary["methods"]["integrated_gradients"]["checks"]["pointing"]["rate"]
    assert rate < 1


def test_controls_are_held_to_the_same_checks_and_the_random_map_fails(planted):
    outcome, _, _ = planted
    for control in (EDGE, RANDOM):
        checks = {row["check"] for row in pick(outcome, method=control)}
        assert checks == set(SOURCES)
    for check in ("deletion", "insertion", "pointing", "relevance_mass", "rank_accuracy"):
        assert outcome.summary["controls"][RANDOM]["checks"][check]["rate"] <= 0.5


def test_each_image_is_explained_by_the_model_of_the_fold_that_tested_it(planted):
    outcome, _, loaded = planted
    folds = {row["image_id"]: row["fold"] for row in outcome.selection}
    assert all(folds[image_id] == fold for fold, image_id in loaded)
    assert Counter(fold for fold, _ in loaded) == {0: 1, 1: 1}, "each network is loaded once"


def test_every_map_has_every_check_and_every_row_its_account(planted):
    outcome, maps, _ = planted
    assert len(outcome.selection) == SETTINGS["images"]
    for selected in outcome.selection:
        for method in SETTINGS["methods"]:
            rows = pick(outcome, image_id=selected["image_id"], method=method)
            assert [row["check"] for row in rows] == list(SOURCES)
            assert (selected["image_id"], method) in maps
    assert all(row["reason"] and row["source"] for row in outcome.checks)
    for row in outcome.checks:
        points = row["reason"] != "nothing in the map is positive"
        if row["verdict"] in ("PASS", "FAIL") and points:
            assert row["n"] is not None
            assert row["statistic"] is not None
            assert row["threshold"] is not None


def test_wrong_predictions_are_explained_too(planted):
    rules = {row["rule"] for row in planted[0].selection}
    assert {"false_positive", "false_negative"} & rules


def test_the_lesion_of_a_missed_nodule_is_not_looked_for(planted):
    outcome, _, _ = planted
    missed = [
        r["image_id"] for r in outcome.selection if (r["label"], r["target"]) == CLASSES[::-1]
    ]
    assert missed
    for image_id in missed:
        verdicts = {row["verdict"] for row in pick(outcome, image_id=image_id, check="pointing")}
        assert verdicts == {"NOT APPLICABLE"}


def test_the_verdict_on_a_map_is_that_of_all_its_checks(planted):
    outcome, _, _ = planted
    for row in outcome.attributions:
        own = pick(outcome, image_id=row["image_id"], method=row["method"])
        failed = sorted(check["check"] for check in own if check["verdict"] == "FAIL")
        assert (row["verdict"] == "FAIL") == bool(failed)
        if failed:
            assert row["reason"] == f"failed: {', '.join(failed)}"


def test_a_network_with_one_feature_does_not_depend_on_its_top_weights(planted):
    outcome, _, _ = planted
    rows = pick(outcome, method="integrated_gradients", check="weight_randomisation_top")
    judged = [row for row in rows if row["verdict"] != "EMPTY"]
    assert {row["verdict"] for row in judged} == {"FAIL"}
    assert all(row["statistic"] == pytest.approx(1) for row in judged)


def test_the_summary_counts_what_the_table_holds(planted):
    outcome, _, _ = planted
    for method, facts in outcome.summary["methods"].items():
        for check, figures in facts["checks"].items():
            counts = Counter(row["verdict"] for row in pick(outcome, method=method, check=check))
            assert figures["verdicts"] == dict(counts)
            assert figures["n"] == counts["PASS"] + counts["FAIL"] + counts["EMPTY"]
            if figures["n"]:
                assert figures["rate"] == counts["PASS"] / figures["n"]
                assert figures["low"] <= figures["rate"] <= figures["high"]
    gradcam = outcome.summary["methods"]["layer_gradcam"]
    assert gradcam["native_shape"] == [8, 8, 8]
    assert gradcam["cell_mm"] == [4, 4, 4]
    assert gradcam["too_coarse"] is None, "the cubes are 12 mm wide"
    assert outcome.summary["masks"]["n_lesions"] > 0


def test_cells_larger_than_the_lesions_are_said_to_be_too_coarse():
    class Coarse(Detector):
        def __init__(self):
            super().__init__()
            self.cells = nn.AvgPool3d(8)

    outcome, _, _ = explain(Coarse(), methods=("layer_gradcam",))
    note = outcome.summary["methods"]["layer_gradcam"]["too_coarse"]
    assert "smaller than one cell (16 mm" in note


def test_the_record_certifies_the_copy_of_each_network(planted):
    networks = planted[0].facts["networks"]
    assert [network["fold"] for network in networks] == [0, 1]
    assert all(network["certificate"] == 0 for network in networks)
    rewrite = {"module": "act", "was": "works in place", "now": "returns a new tensor"}
    assert all(network["rewrites"] == [rewrite] for network in networks)
    assert all(network["hidden"] == [] for network in networks)


def test_two_runs_are_bit_equal(planted):
    first, again = planted, explain()
    assert first[0] == again[0]
    for key, (grid, _) in first[1].items():
        assert grid.tobytes() == again[1][key][0].tobytes()


def test_a_network_that_says_nothing_gives_empty_maps_that_pass_nothing():
    network = Detector()
    nn.init.zeros_(network.head.weight)
    outcome, maps, _ = explain(network)
    assert {row["verdict"] for row in outcome.attributions} == {"EMPTY"}
    verdicts = {row["verdict"] for row in outcome.checks if row["method"] in SETTINGS["methods"]}
    assert verdicts == {"EMPTY", "NOT APPLICABLE"}
    assert not any(grid.any() for grid, _ in maps.values())
    figures = outcome.summary["methods"]["occlusion"]["checks"]["deletion"]
    assert (figures["n"], figures["rate"]) == (SETTINGS["images"], 0)


def test_images_with_two_dimensions_are_explained_the_same_way():
    outcome, maps, _ = explain(spatial_dims=2)
    assert {grid.shape for grid, _ in maps.values()} == {(SIDE, SIDE, 1)}
    checks = outcome.summary["methods"]["integrated_gradients"]["checks"]
    assert checks["pointing"]["rate"] == 1
    assert checks["deletion"]["n"] == SETTINGS["images"]


def test_a_single_image_has_nothing_to_compare_its_randomised_map_with():
    outcome, _, _ = explain(Detector(threshold=0.0), images=1, methods=("layer_gradcam",))
    rows = pick(outcome, check="weight_randomisation")
    assert {row["verdict"] for row in rows} == {"INCONCLUSIVE"}
    assert len(rows) == 5, "the map, two controls without the network, two of the method"


ALL = tuple(METHODS)


class Curved(Detector):
    """The detector with an activation that DeepLift has no rule for."""

    def __init__(self):
        super().__init__()
        self.act = nn.SiLU()


@pytest.fixture(scope="module")
def curved():
    return explain(Curved(), methods=ALL, images=3, noise_draws=4, shap_draws=64)


def test_every_method_goes_through_every_check_or_is_refused_with_the_reason(curved):
    outcome, maps, _ = curved
    refused = {"deeplift", "guided_backprop", "guided_gradcam"}
    for selected in outcome.selection:
        for method in ALL:
            rows = pick(outcome, image_id=selected["image_id"], method=method)
            assert [row["check"] for row in rows] == list(SOURCES)
            assert ((selected["image_id"], method) in maps) == (method not in refused)
            if method in refused:
                assert {row["verdict"] for row in rows} == {"NOT APPLICABLE"}
                assert all("SiLU" in row["reason"] for row in rows)
            else:
                deletion = next(row for row in rows if row["check"] == "deletion")
                assert deletion["verdict"] in ("PASS", "FAIL", "EMPTY")
    assert {row["method"] for row in outcome.attributions} == set(ALL) - refused


def test_the_summary_says_what_was_refused_of_how_many_images(curved):
    methods = curved[0].summary["methods"]
    (refusal,) = methods["deeplift"]["refused"]
    assert refusal["n_images"] == 3
    assert "SiLU" in refusal["reason"]
    assert methods["saliency"]["refused"] == []
    assert methods["deeplift"]["checks"]["deletion"]["n"] == 0


def test_a_method_refused_for_some_images_is_shown_for_the_others():
    # Of a bright image every gradient passes, so that the guided map is the plain gradient; of
    # the class without the lesion the gradient is negative, and none passes.
    outcome, maps, _ = explain(Detector(), methods=("guided_backprop", "saliency"))
    (refusal,) = outcome.summary["methods"]["guided_backprop"]["refused"]
    shown = [key for key in maps if key[1] == "guided_backprop"]
    assert 0 < refusal["n_images"] < SETTINGS["images"]
    assert len(shown) == SETTINGS["images"] - refusal["n_images"]
    rows = pick(outcome, method="guided_backprop", check="weight_randomisation")
    assert len(rows) == SETTINGS["images"]


def test_the_seeds_of_what_is_drawn_differ_by_image_and_stand_in_the_table(curved):
    rows = [row for row in curved[0].attributions if row["method"] == "smoothgrad"]
    seeds = {json.loads(row["parameters"])["torch_seed"] for row in rows}
    assert len(seeds) == len(rows) == 3


def test_another_class_than_the_predicted_one_is_explained_on_request():
    outcome, maps, _ = explain(methods=("saliency",), target="benign")
    asked, _, _ = explain(methods=("saliency",), target="nodule")
    assert {row["target"] for row in outcome.selection} == {"benign"}
    assert [row["image_id"] for row in outcome.selection] == [
        row["image_id"] for row in asked.selection
    ]
    assert outcome.summary["explained"] == "logit of class benign"
    assert any("logit of benign" in limit for limit in outcome.summary["limits"])
    # The detector's two logits are each other's opposite.
    assert all((grid <= 0).all() for grid, _ in maps.values())


def test_a_class_that_is_not_there_is_refused():
    with pytest.raises(ExplanationError, match=r"explain\.target: must be one of benign, nodule"):
        explain(methods=("saliency",), target="cyst")


def test_where_every_method_is_refused_the_step_still_ends_and_says_so():
    outcome, maps, _ = explain(Curved(), methods=("deeplift",), images=2)
    assert maps == {}
    assert outcome.attributions == []
    assert {row["verdict"] for row in pick(outcome, method="deeplift")} == {"NOT APPLICABLE"}
    assert outcome.summary["methods"]["deeplift"]["refused"][0]["n_images"] == 2


@pytest.mark.parametrize("parts", [2, 3])
def test_shares_put_together_are_the_whole_to_the_last_digit(parts):
    changes = {"stability_images": 2, "cascade_images": 1, "images": 5, "methods": ("smoothgrad",)}
    whole, maps, _ = explain(**changes)
    shared, others, _ = explain(parts=parts, **changes)
    assert shared == whole
    assert maps.keys() == others.keys()
    for key, (grid, _) in maps.items():
        np.testing.assert_array_equal(grid, others[key][0])
