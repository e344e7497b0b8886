"""Stability: what is held against what, with known answers and planted faults."""

from itertools import product
from statistics import mean

import numpy as np
import pytest
import torch
from explain_nets import Linear, Tiny, make_lesion_image, make_settings
from explain_runs import SETTINGS, TENSOR_AFFINE, explain
from torch import nn

from medvision.domain.arms import name_ensemble
from medvision.domain.attribution import Attribution, compute_similarity
from medvision.domain.explanation.map_statistics import compute_rank_correlation
from medvision.explain import sight
from medvision.explain.case import Case, CaseImage
from medvision.explain.consistency_summary import compute_mean
from medvision.explain.controls import compute_edge_map
from medvision.explain.likeness import EMPTY_MAP, measure_likeness
from medvision.explain.names import EDGE, RANDOM
from medvision.explain.one import Plan
from medvision.explain.steadiness import CHANGED, compare_with_noisy
from medvision.explain.visits import Bounds, plan_visits

BOUNDS = Bounds(stability_images=2, stability_networks=1, stability_noise=0.01, cascade_images=1)


def make_case(n, *, fold=0, seed=0):
    name = f"image-{n:02d}"
    return Case(
        name, f"subject-{n:02d}", "transfer", fold, seed, "nodule", "nodule", "nodule", "drawn"
    )


def make_row(fold, seed, *, image="image-00", split="test", arm="transfer"):
    return {
        "arm": arm,
        "fold": str(fold),
        "seed": str(seed),
        "image_id": image,
        "split": split,
    }


def test_an_image_is_shown_to_other_seeds_of_its_fold_and_the_folds_that_follow():
    rows = [make_row(fold, seed, split="validation") for fold in range(4) for seed in (0, 1)]
    rows += [make_row(9, 0, arm="scratch")]
    visits = plan_visits([make_case(0, fold=2)], rows, bounds=Bounds(1, 2, 0.01, 0))
    found = {(visit.kind, visit.case.fold, visit.case.seed) for visit in visits}
    assert found == {
        ("own", 2, 0),
        ("other_seed", 2, 1),
        ("other_fold", 3, 0),
        ("other_fold", 0, 0),
    }


def test_the_mean_over_seeds_is_no_network_to_be_shown_an_image():
    rows = [make_row(0, seed) for seed in (0, 1)] + [
        make_row(0, "all", arm=name_ensemble("transfer"))
    ]
    visits = plan_visits([make_case(0)], rows, bounds=Bounds(1, 2, 0.01, 0))
    assert {(v.kind, v.case.seed) for v in visits} == {("own", 0), ("other_seed", 1)}


def test_a_network_that_predicted_no_image_of_the_subject_was_trained_on_it():
    rows = [make_row(0, 0), make_row(1, 0, split="validation"), make_row(2, 0, image="other")]
    visits = plan_visits([make_case(0)], rows, bounds=Bounds(1, 9, 0.01, 0))
    assert {v.case.fold: v.split for v in visits} == {0: "test", 1: "validation", 2: "train"}


def test_networks_that_never_saw_the_subject_come_first():
    rows = [make_row(0, 0), make_row(1, 0, image="other"), make_row(2, 0, split="validation")]
    rows += [make_row(4, 0), make_row(3, 0, image="other")]
    visits = plan_visits([make_case(0)], rows, bounds=Bounds(1, 2, 0.01, 0))
    others = [v for v in visits if v.kind == "other_fold"]
    assert {(v.case.fold, v.split) for v in others} == {(4, "test"), (1, "train")}


def test_the_first_images_of_the_selection_are_taken_as_many_as_the_bounds_say():
    rows = [make_row(fold, 0, image=f"image-{n:02d}") for fold in (0, 1) for n in range(5)]
    cases = [make_case(n) for n in range(5)]
    visits = plan_visits(cases, rows, bounds=Bounds(2, 1, 0.01, 3))
    assert sorted(v.place for v in visits if v.kind == "own") == [0, 1, 2]
    assert sorted(v.place for v in visits if v.kind == "other_fold") == [0, 1]
    assert plan_visits(cases, rows, bounds=Bounds(0, 1, 0.01, 0)) == []


def pick(rows, **wanted):
    return [row for row in rows if all(row[k] == v for k, v in wanted.items())]


@pytest.fixture(scope="module")
def planted():
    return explain(
        methods=("saliency", "smoothgrad", "occlusion"),
        stability_images=4,
        stability_networks=2,
        cascade_images=2,
    )


def test_the_table_has_every_comparison_for_the_bounded_images_and_no_more(planted):
    rows, selection = planted[0].stability, [r["image_id"] for r in planted[0].selection]
    for comparison, per_image, images in (
        ("input_noise", 2 * (3 + 1), selection[:4]),
        ("reseed", 1, selection[:4]),
        ("other_fold", 3, selection[:4]),
        ("agreement", 3, selection),
    ):
        held = [r for r in pick(rows, comparison=comparison) if r["against"] not in (EDGE, RANDOM)]
        assert len(held) == per_image * len(images), comparison
        assert {row["image_id"] for row in held} == set(images)
    assert pick(rows, comparison="other_seed") == [], "there is one seed"
    assert {row["method"] for row in pick(rows, comparison="reseed")} == {"smoothgrad"}
    cascade = planted[0].cascade
    assert {row["image_id"] for row in cascade} == set(selection[:2])
    assert {row["stage"] for row in cascade} == {0, 1, 2}, "head and convolution"


def test_the_same_network_in_every_fold_gives_the_same_map(planted):
    rows = pick(planted[0].stability, comparison="other_fold")
    measured = [row for row in rows if row["ssim"] is not None]
    assert measured
    assert all(row["ssim"] == pytest.approx(1) for row in measured)
    assert all(row["rank_correlation"] == pytest.approx(1) for row in measured)
    assert {row["split"] for row in rows} == {"train"}


def test_the_summary_is_the_mean_of_the_tables_rows(planted):
    outcome = planted[0]
    held = outcome.summary["consistency"]
    for method, comparisons in held["stability"].items():
        for comparison, figures in comparisons.items():
            rows = pick(outcome.stability, method=method, comparison=comparison)
            assert figures["n_maps"] == len(rows)
            by_subject = {}
            for row in rows:
                if row["ssim"] is not None:
                    by_subject.setdefault(row["subject"], []).append(row["ssim"])
            assert figures["ssim"]["n_subjects"] == len(by_subject)
            if by_subject:
                expected = mean(mean(values) for values in by_subject.values())
                assert figures["ssim"]["mean"] == pytest.approx(expected)
    for pair in held["agreement"]:
        rows = pick(outcome.stability, method=pair["methods"][0], against=pair["methods"][1])
        is_control = pair["methods"][1] in (EDGE, RANDOM)
        assert pair["n_maps"] == len(rows) == (4 if is_control else SETTINGS["images"])
    for method in held["cascade"].values():
        assert [point["stage"] for point in method["curve"]] == [0, 1, 2]
        assert method["entropy_rises"]["n"] <= method["n_images"] == 2


def test_with_bounds_of_zero_nothing_is_looked_at_again():
    outcome, _, loaded = explain(methods=("saliency",))
    assert (outcome.cascade, outcome.stability) == ([], [])
    assert len(loaded) == 2
    held = outcome.summary["consistency"]
    assert (held["cascade"], held["agreement"]) == ({}, [])
    assert held["stability"] == {}


def test_two_runs_are_equal(planted):
    again = explain(
        methods=("saliency", "smoothgrad", "occlusion"),
        stability_images=4,
        stability_networks=2,
        cascade_images=2,
    )
    assert again[0].stability == planted[0].stability
    assert again[0].cascade == planted[0].cascade
    assert again[0].summary == planted[0].summary


def test_a_map_of_the_images_edges_is_as_alike_to_the_edge_map_as_can_be(monkeypatch):
    def show_edges(network, image, *, method, target, **_):
        case_image = CaseImage(image[0].numpy(), TENSOR_AFFINE, TENSOR_AFFINE, image.shape[2:])
        return Attribution(compute_edge_map(case_image), method, target, None, {}, 0.0, 1.0)

    monkeypatch.setattr("medvision.explain.work.attribute", show_edges)
    outcome, _, _ = explain(methods=("saliency",), images=3, stability_images=3)
    for row in pick(outcome.stability, comparison="agreement", against=EDGE):
        assert (row["ssim"], row["rank_correlation"]) == (pytest.approx(1), pytest.approx(1))
    for row in pick(outcome.stability, comparison="agreement", against=RANDOM):
        assert abs(row["rank_correlation"]) < 0.3


class Wild(nn.Module):
    """A network whose gradient flips with the least change of a voxel, and its logit does not."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2000.0))
        self.cells = nn.Identity()

    def forward(self, x):
        score = 5 + 1e-3 * torch.sin(self.cells(x) * self.scale).flatten(1).sum(1)
        return torch.stack([-score, score], dim=1)


class Straight(nn.Module):
    """A network whose gradient is the same everywhere in image space."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(4)
        self.weight = nn.Parameter(1e-3 * torch.randn(1, 16, 16, 16, generator=generator))
        self.cells = nn.Identity()

    def forward(self, x):
        score = 5 + (self.cells(x) * self.weight).flatten(1).sum(1)
        return torch.stack([-score, score], dim=1)


def test_a_network_whose_gradient_follows_the_noise_is_found_unstable_and_a_straight_one_stable():
    means = {}
    for network in (Wild(), Straight()):
        outcome, _, _ = explain(
            network, methods=("saliency",), images=3, stability_images=3, cascade_images=0
        )
        rows = pick(outcome.stability, comparison="input_noise", method="saliency")
        assert len(rows) == 6
        means[type(network)] = np.mean([row["rank_correlation"] for row in rows])
    assert abs(means[Wild]) < 0.1
    assert means[Straight] == pytest.approx(1)


def test_noise_that_changes_the_prediction_is_told_and_not_measured():
    network = Linear(1e3 * torch.randn(1, 16, 16, 16, generator=torch.Generator().manual_seed(1)))
    network.cells = nn.Identity()
    outcome, _, _ = explain(
        network, methods=("saliency",), images=6, stability_images=6, stability_noise=0.9
    )
    rows = pick(outcome.stability, comparison="input_noise", method="saliency")
    changed = [row for row in rows if row["reason"] == CHANGED]
    assert 0 < len(changed) < len(rows)
    assert all(row["ssim"] is None and row["rank_correlation"] is None for row in changed)
    figures = outcome.summary["consistency"]["stability"]["saliency"]["input_noise"]
    assert figures["missing"] == {CHANGED: len(changed)}


class Answers(nn.Module):
    """Logits that are set for the image as it is, and for any other."""

    def __init__(self, before, after):
        super().__init__()
        self.table = torch.tensor([before, after], dtype=torch.float32)

    def forward(self, x):
        changed = (x.flatten(1).count_nonzero(1) > 1).long()
        return self.table[changed] + 0 * x.flatten(1).sum(1, keepdim=True)


@pytest.mark.parametrize(
    ("task", "before", "after", "is_kept"),
    [
        ("classification", [0, 1], [0.4, 0.6], True),
        ("classification", [0, 1], [0.6, 0.4], False),
        ("multilabel", [3, 1], [-3, 0.1], True),
        ("multilabel", [3, 1], [3, -0.1], False),
        ("regression", [9, 1], [9, 1.05], True),
        ("regression", [9, 1], [9, 1.2], False),
    ],
)
def test_each_task_says_when_a_prediction_is_kept(task, before, after, is_kept):
    image = torch.zeros(1, 1, 4, 4, 4)
    image[0, 0, 0, 0, 0] = 1
    room = sight.Room(Answers(before, after), "", ("benign", "nodule"), {"saliency": "a test"})
    plan = Plan(("saliency",), make_settings(), 1, 10, 4)
    grids = {"saliency": np.ones((4, 4, 4), dtype=np.float32)}
    seen = sight.Sight(make_case(0), image, room, plan)
    network = seen.room.network
    assert network(image).tolist() == [before]
    rows = compare_with_noisy(seen, grids, noise=0.5, task=task)
    assert {row.reason for row in rows} == {CHANGED if not is_kept else "refused: a test"}


def test_another_training_gives_another_map(monkeypatch):
    # The first network is asked for once per fold; those of the second pass are other trainings.
    def open_other(case, *, hands, plan):
        network = Tiny(seed=10 + case.fold).eval()
        network.requires_grad_(requires_grad=False)
        network.act = nn.ReLU()
        return sight.Room(network, "second", ("benign", "nodule"), {})

    monkeypatch.setattr("medvision.explain.consistency.open_room", open_other)
    outcome, _, _ = explain(methods=("saliency",), stability_images=3, cascade_images=0)
    rows = pick(outcome.stability, comparison="other_fold")
    measured = [row for row in rows if row["ssim"] is not None]
    assert measured
    assert all(row["ssim"] < 0.9 for row in measured)


def test_agreement_is_that_of_the_maps_shown():
    maps = [make_lesion_image(n)[0][0] for n in (1, 3)]
    found = measure_likeness(maps[0], maps[1])
    assert found == (compute_similarity(*maps), compute_rank_correlation(*maps), "")
    assert measure_likeness(maps[0], np.zeros_like(maps[0])) == (None, None, EMPTY_MAP)
    assert measure_likeness(maps[0], "refused: no ReLU") == (None, None, "refused: no ReLU")
    assert measure_likeness(maps[0], maps[1][:8])[2] == "the two maps lie on different grids"
    flat = np.full_like(maps[0], 2)
    assert measure_likeness(maps[0], flat)[1:] == (
        None,
        "a map of one value has no order of voxels",
    )


def test_the_interval_of_three_subjects_is_that_of_all_their_resamples():
    values = [("a", 1.0), ("b", 4.0), ("c", 10.0), ("c", 20.0)]
    means = [1.0, 4.0, 15.0]
    # Of three subjects two are drawn, as draw_weights does.
    all_means = sorted((x + y) / 2 for x, y in product(means, means))
    found = compute_mean(values, seed=1)
    assert found.mean == pytest.approx(np.mean(means))
    assert (found.low, found.high) == pytest.approx((all_means[0], all_means[-1]))
    assert found.n_subjects == 3


def test_one_subject_has_no_interval_and_none_no_mean():
    assert compute_mean([("a", 2.0), ("a", 4.0)], seed=1).mean == 3
    assert compute_mean([("a", 2.0)], seed=1).low is None
    assert compute_mean([], seed=1).n_subjects == 0
