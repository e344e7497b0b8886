"""Probes of the shortcut audit: what they are shown, how they learn, what is said of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from predicted import SETTINGS
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score, roc_auc_score

from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.figures import compute_areas
from medvision.domain.prediction import number_clusters
from medvision.domain.shortcut.answers import Answer, ask_probe, list_targets
from medvision.domain.shortcut.arms import (
    build_class_arm,
    build_finding_arm,
    build_value_rounds,
    name_finding,
)
from medvision.domain.shortcut.encode import MOST_NAMES, Probe, encode_probe
from medvision.domain.shortcut.judge import NETWORK, ask_classes, ask_values, judge_probes
from medvision.domain.shortcut.null import (
    compute_null,
    compute_permuted_areas,
    draw_permutations,
)
from medvision.domain.shortcut.ridge import STRENGTHS, fit_lines, fit_probe
from medvision.domain.split import Assignment

TWO = Classes(("no", "yes"), "yes")
THREE = Classes(("a", "b", "c"), None)


def make_folds(labels, *, n_parts=4, n_repeats=1):
    """Each part is tested once a repeat, the next one validates, the others train."""
    names = [f"sub-{n:03d}" for n in range(len(labels))]
    return [
        Assignment(
            fold=repeat * n_parts + part,
            repeat=repeat,
            part=repeat * n_parts + part,
            inner=0,
            image_id=f"{name}_img",
            subject=name,
            label=label,
            split={0: "test", 1: "validation"}.get((n // (repeat + 1) - part) % n_parts, "train"),
        )
        for repeat in range(n_repeats)
        for part in range(n_parts)
        for n, (name, label) in enumerate(zip(names, labels, strict=True))
    ]


def show(cells, name="scanner"):
    return Probe(name, {"fact": list(cells)}, np.empty((len(cells), 0)))


def ask(probe, labels, classes=TWO, **folds):
    ids = [f"sub-{n:03d}_img" for n in range(len(labels))]
    return ask_probe(probe, ids, make_folds(labels, **folds), classes=classes)


def judge(probes, labels, *, classes=TWO, noise=1.0):
    """Judge probes beside a network that is right but for noise."""
    rng = np.random.default_rng(0)
    answers = {probe.name: ask(probe, labels, classes) for probe in probes}
    first = next(iter(answers.values()))
    network = [
        Answer(NETWORK, each.place, tuple(row + noise * rng.normal(size=len(row))))
        for each, row in zip(
            first, list_targets([a.place.label for a in first], classes), strict=True
        )
    ]
    arms = {name: build_class_arm(held, {}, classes=classes) for name, held in answers.items()}
    arms = {NETWORK: build_class_arm(network, {}, classes=classes), **arms}
    asked = ask_classes(arms, target="", settings=SETTINGS)
    return {item.probe: item for item in judge_probes([asked], confidence=0.95)}


def draw_labels(n_images, seed=0, names=("no", "yes")):
    return np.random.default_rng(seed).choice(names, n_images).tolist()


def test_a_scanner_tied_to_the_label_is_found_and_one_that_is_not_tied_is_not() -> None:
    labels = draw_labels(80)
    rng = np.random.default_rng(1)
    tied = ["A" if (label == "yes") != (rng.random() < 0.1) else "B" for label in labels]
    loose = rng.choice(["A", "B"], len(labels)).tolist()
    found = judge([show(tied, "tied"), show(loose, "loose")], labels)
    assert found["tied"].verdict == "found"
    assert found["tied"].figure.value > 0.8
    assert found["loose"].verdict == "none"
    assert found["loose"].figure.low < 0.5 < found["loose"].figure.high


def test_a_fact_that_is_the_label_itself_is_found_although_no_resample_differs() -> None:
    labels = draw_labels(60)
    item = judge([show(labels)], labels)["scanner"]
    assert (item.figure.value, item.verdict) == (1.0, "found")
    assert item.p < 1e-4
    assert item.figure.low > 0.5


def test_a_size_that_tells_by_being_in_the_middle_is_found() -> None:
    labels = draw_labels(80)
    rng = np.random.default_rng(2)
    sizes = ["512" if label == "yes" else str(rng.choice([256, 1024])) for label in labels]
    assert judge([show(sizes, "size")], labels)["size"].verdict == "found"


def test_one_of_three_scanners_for_each_of_three_classes_is_found() -> None:
    labels = draw_labels(90, names=("a", "b", "c"))
    rng = np.random.default_rng(3)
    tied = [label if rng.random() < 0.7 else str(rng.choice(["a", "b", "c"])) for label in labels]
    item = judge([show(tied)], labels, classes=THREE)["scanner"]
    assert (item.figure.metric, item.verdict) == ("auc_macro", "found")


def test_the_network_is_held_against_each_probe_on_the_same_subjects() -> None:
    labels = draw_labels(80)
    rng = np.random.default_rng(1)
    tied = ["A" if (label == "yes") != (rng.random() < 0.2) else "B" for label in labels]
    better = judge([show(tied)], labels, noise=0.1)["scanner"].gain
    assert (better.arm_a, better.arm_b) == (NETWORK, "scanner")
    assert better.low > 0
    worse = judge([show(labels)], labels, noise=5.0)["scanner"].gain
    assert worse.high < 0


def test_a_fact_that_tells_of_train_subjects_only_is_not_found() -> None:
    labels = draw_labels(80)
    names = [f"site-{n}" for n in range(80)]
    item = judge([show(names)], labels)["scanner"]
    assert (item.figure.value, item.verdict) == (0.5, "none")


def test_more_looks_ask_for_a_stronger_sign() -> None:
    labels = draw_labels(60, seed=5)
    rng = np.random.default_rng(7)
    weak = ["A" if (label == "yes") != (rng.random() < 0.33) else "B" for label in labels]
    alone = judge([show(weak, "weak")], labels)["weak"]
    many = [show(rng.choice(["A", "B"], 60).tolist(), f"loose-{n}") for n in range(30)]
    among = judge([show(weak, "weak"), *many], labels)["weak"]
    assert among.figure.value == alone.figure.value
    assert (alone.verdict, among.verdict) == ("found", "hint")


def test_answers_are_of_test_images_by_lines_of_the_same_fold_s_train_images() -> None:
    labels = draw_labels(40)
    numbers = np.random.default_rng(3).normal(size=(40, 3))
    answers = ask(Probe("p", {}, numbers), labels)
    folds = make_folds(labels)
    assert len(answers) == 40
    for fold in range(4):
        own = [item for item in folds if item.fold == fold]
        rows = {s: [n for n, i in enumerate(own) if i.split == s] for s in ("train", "validation")}
        truth = np.array([label == "yes" for label in labels], dtype=float)
        x = numbers[rows["train"]]
        shown = (numbers - x.mean(0)) / x.std(0)
        fits = [
            Ridge(alpha=s * len(x)).fit(shown[rows["train"]], truth[rows["train"]])
            for s in STRENGTHS
        ]
        errors = [
            np.mean((f.predict(shown[rows["validation"]]) - truth[rows["validation"]]) ** 2)
            for f in fits
        ]
        best = fits[int(np.argmin(errors))]
        for answer in answers:
            if answer.place.fold == fold:
                row = int(answer.place.subject[4:])
                assert own[row].split == "test"
                assert answer.scores[1] == pytest.approx(best.predict(shown[[row]])[0])


@given(
    st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(0, 15), st.sampled_from(STRENGTHS)
)
def test_lines_are_those_of_scikit_learn(seed, n, p, strength) -> None:
    rng = np.random.default_rng(seed)
    features, values = rng.normal(size=(n, p)), rng.normal(size=n)
    line = fit_lines(features, values)[STRENGTHS.index(strength)]
    if p == 0:
        assert line.level == pytest.approx(values.mean())
        return
    held = Ridge(alpha=strength * n, solver="svd").fit(features, values)
    assert line.predict(features) == pytest.approx(held.predict(features), abs=1e-8)


def test_auc_and_r2_are_those_of_scikit_learn() -> None:
    labels = draw_labels(50)
    answers = ask(Probe("p", {}, np.random.default_rng(3).normal(size=(50, 2))), labels, n_parts=3)
    arm = build_class_arm(answers, {}, classes=TWO)
    asked = ask_classes({"p": arm}, target="", settings=SETTINGS)
    wins = [
        (roc_auc_score(truth, scores), truth.sum() * (~truth).sum())
        for fold in range(3)
        for scores in [np.array([a.scores[1] for a in answers if a.place.fold == fold])]
        for truth in [np.array([a.place.label == "yes" for a in answers if a.place.fold == fold])]
    ]
    expected = sum(area * n for area, n in wins) / sum(n for _, n in wins)
    assert asked.estimates["p"].value == pytest.approx(expected)
    values = np.random.default_rng(4).normal(size=50)
    told = ask(
        Probe("p", {}, values[:, np.newaxis] + 0.5 * np.random.default_rng(5).normal(size=(50, 1))),
        [f"{v:.17g}" for v in values],
        Classes(("age",), None, task="regression"),
    )
    rounds = build_value_rounds(told)
    asked = ask_values({"p": rounds}, groups={}, metric="r2", settings=SETTINGS)
    truth = [float(a.place.label) for a in told]
    assert asked.estimates["p"].value == pytest.approx(r2_score(truth, [a.scores[0] for a in told]))
    assert judge_probes([asked], confidence=0.95)[0].verdict == "found"


def test_a_finding_is_judged_on_the_images_of_which_it_is_known() -> None:
    findings = Classes(("Effusion", "Nodule"), None, task="multilabel")
    rng = np.random.default_rng(0)
    there = rng.random((60, 2)) < 0.5
    labels = [
        "|".join([n for n, own in zip(findings.names, row, strict=True) if own]) or "No Finding"
        for row in there
    ]
    labels[:6] = ["Effusion|Nodule?"] * 6
    answers = ask(show(np.where(there[:, 0], "A", "B").tolist()), labels, findings)
    own = build_finding_arm(answers, {}, classes=findings, name="Nodule")
    assert len(own.labels) == 54
    tied = build_finding_arm(answers, {}, classes=findings, name="Effusion")
    asked = [
        ask_classes({"scanner": arm}, target=name, settings=SETTINGS)
        for name, arm in (("Effusion", tied), ("Nodule", own))
    ]
    verdicts = {item.target: item.verdict for item in judge_probes(asked, confidence=0.95)}
    assert verdicts == {"Effusion": "found", "Nodule": "none"}
    assert name_finding("Nodule").positive == "Nodule"


def test_images_of_one_group_are_resampled_as_one() -> None:
    labels = draw_labels(40)
    answers = ask(show(labels), labels)
    groups = {a.place.image_id: f"pair-{int(a.place.subject[4:]) // 2}" for a in answers}
    arm = build_class_arm(answers, groups, classes=TWO)
    assert len(np.unique(arm.clusters)) == 20
    assert len(np.unique(number_clusters(["a"], ["s"], groups={}))) == 1


def test_repeats_of_the_folds_are_rounds_and_add_no_images() -> None:
    labels = draw_labels(48)
    answers = ask(show(labels), labels, n_repeats=2)
    arm = build_class_arm(answers, {}, classes=TWO)
    assert (len(arm.rounds), len(arm.labels)) == (2, 48)


def test_numbers_are_standard_over_the_train_images_and_few_values_are_names_too() -> None:
    train = np.arange(20) < 10
    cells = [str(n % 3) for n in range(20)]
    features = encode_probe(show(cells), train)
    assert features.shape == (20, 4)
    assert features[train].mean(axis=0) == pytest.approx(0)
    assert features[train].std(axis=0) == pytest.approx(1)
    many = encode_probe(show([str(n) for n in range(40)]), np.arange(40) <= MOST_NAMES)
    assert many.shape == (40, 1)


def test_what_is_not_known_is_the_mean_and_a_feature_of_its_own() -> None:
    train = np.ones(6, dtype=bool)
    features = encode_probe(show(["1", "2", "3", "4", "", "n/a"]), train)
    assert features.shape == (6, 2)
    assert features[4:, 1] == pytest.approx(0)
    assert features[4, 0] > 0 > features[0, 0]


def test_what_varies_in_test_images_alone_is_no_feature() -> None:
    train = np.arange(8) < 4
    assert encode_probe(show(["A"] * 4 + ["B"] * 4), train).shape == (8, 0)


def test_a_probe_without_features_tells_the_share_of_the_class() -> None:
    values = np.array([1.0, 0.0, 1.0, 1.0, np.nan])
    train, validation = np.arange(5) < 4, np.arange(5) == 4
    line = fit_probe(np.empty((5, 0)), values, train=train, validation=validation)
    assert line.predict(np.empty((1, 0))) == pytest.approx(0.75)
    none = fit_probe(np.zeros((5, 1)), np.full(5, np.nan), train=train, validation=validation)
    assert none.predict(np.zeros((1, 1))) == pytest.approx(0)


def test_a_probe_knows_how_many_unlike_views_it_has() -> None:
    assert show(["A", "A", "B"]).n_values == 2
    picture = Probe("border", {}, np.array([[1.0, np.nan], [1.0, np.nan], [2.0, 0.0]]))
    assert picture.n_values == 2


def test_permuted_areas_are_those_of_the_slow_way() -> None:
    for classes, names in ((TWO, ("no", "yes")), (THREE, ("a", "b", "c"))):
        labels = draw_labels(40, names=names)
        facts = np.random.default_rng(1).choice(["A", "B", "C"], 40).tolist()
        arm = build_class_arm(ask(show(facts), labels, classes), {}, classes=classes)
        rows = np.array([np.random.default_rng(n).permutation(40) for n in range(5)])
        metric = "auc" if classes is TWO else "auc_macro"
        slow = []
        for row in rows:
            rounds = tuple(replace(each, labels=each.labels[row]) for each in arm.rounds)
            found = compute_areas(replace(arm, rounds=rounds), np.ones((1, 40)))
            slow.append(found[metric][0])
        assert compute_permuted_areas(arm, rows) == pytest.approx(np.array(slow), nan_ok=True)


def test_a_figure_that_tells_nothing_has_the_mean_and_deviation_of_mann_and_whitney() -> None:
    n = 60
    ranks = np.random.default_rng(0).normal(size=n).argsort().argsort() + 1.0
    positive = np.arange(n) < 20
    rows = draw_permutations(np.arange(n), folds=np.zeros(n, dtype=np.intp), seed=0)
    areas = ((positive[rows] * ranks).sum(axis=1) - 20 * 21 / 2) / (20 * 40)
    null, expected = compute_null(areas), np.sqrt((n + 1) / (12 * 20 * 40))
    assert null.mean == pytest.approx(0.5, abs=4 * expected / np.sqrt(200))
    assert null.deviation == pytest.approx(expected, rel=0.2)
    assert null.compute_p(0.5) > 0.7
    assert null.compute_p(0.5 + 3 * expected) < 0.01
    assert compute_null(np.full(3, np.nan)).compute_p(0.1) == 0.0
    assert compute_null(np.zeros(3)).compute_p(0.0) == 1.0


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_labels_are_permuted_within_folds_and_of_one_subject_to_one(seed, n_images) -> None:
    rng = np.random.default_rng(seed)
    clusters = rng.integers(0, 8, n_images)
    folds = clusters % 3
    rows = draw_permutations(clusters, folds=folds, seed=1)
    assert (folds[rows] == folds).all()
    for cluster in np.unique(clusters):
        given = clusters[rows[:, clusters == cluster]]
        assert (given == given[:, :1]).all()
    for row in rows[:5]:
        donors = {int(c): int(clusters[row[clusters == c]][0]) for c in np.unique(clusters)}
        assert sorted(donors.values()) == sorted(donors)


def test_permutations_differ_and_each_is_as_likely() -> None:
    clusters = np.arange(4)
    rows = draw_permutations(clusters, folds=np.zeros(4, dtype=np.intp), seed=3)
    counts = np.array([(rows[:, 0] == n).sum() for n in range(4)])
    assert (np.abs(counts - 50) < 4 * np.sqrt(200 * 0.25 * 0.75)).all()
