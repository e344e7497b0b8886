"""Nothing but the nodules tells the label: no header field, no mean, no spread."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medvision.phantom.render import render_scan
from medvision.phantom.scan import Scan, draw_scan
from medvision.phantom.scanner import SCANNERS
from medvision.phantom.subject import Subject, draw_chest, draw_subjects

N_SUBJECTS = 320
SIZE = (32, 32, 12)


@cache
def _draw_people() -> tuple[Subject, ...]:
    return draw_subjects(5, subjects=N_SUBJECTS, prevalence=0.5, nifti_fraction=0.2)


@cache
def _draw_scans() -> tuple[Scan, ...]:
    return tuple(draw_scan(5, subject, visit=0, size=SIZE) for subject in _draw_people())


def _get_labels() -> NDArray[np.int64]:
    return np.array([subject.label == "nodule" for subject in _draw_people()], np.int64)


def _describe_header(scan: Scan) -> list[float]:
    """Return all that a header tells, as numbers."""
    subject, grid = scan.subject, scan.grid
    return [
        float(SCANNERS.index(subject.scanner)),
        float(subject.source == "nifti"),
        float(subject.sex == "F"),
        subject.age,
        float(subject.study_date),
        float(subject.birth_date),
        float(sum(map(ord, subject.name))),
        float(int(subject.identifier.removeprefix("PHX-"), 16) % 1000),
        float(int(scan.series_uid.removeprefix("2.25.")) % 1000),
        *grid.shape,
        *grid.affine[:3].ravel(),
    ]


def _describe_intensity(scan: Scan) -> list[float]:
    """Return what a classifier without eyes would look at."""
    hu = scan.hu
    return [
        float(hu.mean()),
        float(hu.std()),
        *np.quantile(hu, [0.02, 0.25, 0.5, 0.75, 0.98]).tolist(),
        float((hu > -600).mean()),
        float(np.abs(np.diff(hu, axis=2)).mean()),
        float(SCANNERS.index(scan.subject.scanner)),
    ]


def _estimate_auc(
    features: NDArray[np.float64], labels: NDArray[np.int64], *, kind: str
) -> tuple[float, float, float]:
    """Return the cross-validated AUC with its 99 % interval (DeLong-free: Hanley and McNeil)."""
    classifiers = {
        "linear": make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=2000)),
        "forest": RandomForestClassifier(60, min_samples_leaf=4, random_state=0),
    }
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(
        classifiers[kind], features, labels, cv=folds, method="predict_proba"
    )[:, 1]
    auc = float(roc_auc_score(labels, scores))
    n_positive, n_negative = int(labels.sum()), int((1 - labels).sum())
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (n_positive - 1) * (first - auc**2)
    variance += (n_negative - 1) * (second - auc**2)
    error = 2.576 * float(np.sqrt(variance / (n_positive * n_negative)))
    return auc, auc - error, auc + error


@pytest.mark.parametrize("kind", ["linear", "forest"])
@pytest.mark.parametrize("describe", [_describe_header, _describe_intensity])
def test_a_classifier_without_eyes_is_at_chance(describe, kind: str) -> None:
    features = np.array([describe(scan) for scan in _draw_scans()])
    auc, low, high = _estimate_auc(features, _get_labels(), kind=kind)
    assert low <= 0.5 <= high, f"AUC {auc:.3f} ({low:.3f} to {high:.3f})"


@pytest.mark.parametrize("describe", [_describe_header, _describe_intensity])
def test_the_same_classifier_finds_a_planted_leak(describe) -> None:
    """The test above can fail: a leak of less than one standard deviation is found."""
    features = np.array([describe(scan) for scan in _draw_scans()])
    labels = _get_labels()
    leaky = features.copy()
    leaky[:, 3] += 0.8 * features[:, 3].std() * labels
    _, low, _ = _estimate_auc(leaky, labels, kind="linear")
    assert low > 0.5


def test_labels_are_dealt_evenly_within_each_scanner_and_format() -> None:
    people = _draw_people()
    for scanner in SCANNERS:
        for source in ("dicom", "nifti"):
            labels = [s.label for s in people if s.scanner == scanner and s.source == source]
            assert abs(labels.count("nodule") - labels.count("normal")) <= 1


@pytest.mark.parametrize("prevalence", [0.25, 0.5, 0.7])
def test_prevalence_is_met(prevalence: float) -> None:
    people = draw_subjects(1, subjects=60, prevalence=prevalence, nifti_fraction=0.2)
    assert sum(s.label == "nodule" for s in people) == round(60 * prevalence)


def test_a_subject_with_and_without_nodules_has_the_same_mean_and_spread() -> None:
    """Paired, so that the subjects' differences do not hide a bias."""
    means, spreads = [], []
    for scan in _draw_scans()[:60]:
        chest = draw_chest(5, scan.subject)
        pair = [
            render_scan(chest.anatomy, chest.contents.list_structures(label=label), grid=scan.grid)
            for label in ("normal", "nodule")
        ]
        means.append(pair[1][0].mean() - pair[0][0].mean())
        spreads.append(pair[1][0].std() - pair[0][0].std())
    population = np.array([(scan.hu.mean(), scan.hu.std()) for scan in _draw_scans()])
    assert abs(np.mean(means)) < 0.05 * population[:, 0].std()
    assert abs(np.mean(spreads)) < 0.05 * population[:, 1].std()


def test_identity_and_chest_do_not_depend_on_the_label() -> None:
    from dataclasses import replace

    subject = _draw_people()[0]
    other = replace(subject, label="normal" if subject.label == "nodule" else "nodule")
    assert draw_chest(5, subject).anatomy == draw_chest(5, other).anatomy
    assert draw_chest(5, subject).contents == draw_chest(5, other).contents
    scans = [draw_scan(5, who, visit=0, size=SIZE) for who in (subject, other)]
    np.testing.assert_array_equal(scans[0].grid.affine, scans[1].grid.affine)
    same = (scans[0].stored == scans[1].stored).mean()
    assert 0.9 < same < 1
