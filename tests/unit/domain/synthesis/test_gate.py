"""The gate opens for an honest generator, and each planted one is refused by its own criterion."""

from dataclasses import replace

import numpy as np
import pytest

from medvision.domain.synthesis.criterion import close_gate
from medvision.domain.synthesis.gate import judge_generator
from medvision.domain.synthesis.quality import judge_quality
from medvision.domain.synthesis.sample import Sample, Space
from medvision.errors import DataError
from tests.synthetic_generators import (
    CLASSES,
    RULES,
    build_agreement,
    build_pictures,
    build_space,
    collapse,
    copy_train,
    draw_cohort,
    read_features,
    swap_labels,
)


class Study:
    """Train and validation subjects, a classifier of real images, and an honest generator."""

    def __init__(self, n_axes, *, n_train, n_validation):
        self.train = draw_cohort(1, n_subjects=n_train, n_axes=n_axes)
        self.validation = draw_cohort(2, n_subjects=n_validation, n_axes=n_axes)
        self.honest = draw_cohort(3, n_subjects=n_train, n_axes=n_axes)
        # Of more subjects than the generator has, so that it is surely better than chance.
        n_taught, self.n_features, penalty = {2: (200, 96, 0.3), 3: (400, 384, 0.03)}[n_axes]
        taught = draw_cohort(4, n_subjects=n_taught, n_axes=n_axes)
        features = read_features(taught, seed=9, n_features=self.n_features)
        self.mean, self.scale = features.mean(axis=0), features.std(axis=0) + 1e-9
        held = (features - self.mean) / self.scale
        ridge = held.T @ held + penalty * len(held) * np.eye(held.shape[1])
        self.weights = np.linalg.solve(ridge, held.T @ (2.0 * taught.labels - 1))

    def predict(self, cohort):
        features = read_features(cohort, seed=9, n_features=self.n_features)
        return ((features - self.mean) / self.scale @ self.weights > 0).astype(np.intp)

    def judge(self, made):
        return judge_generator(
            (build_space(self.train, self.validation, made),),
            build_pictures(self.train, self.validation, made),
            agreement=build_agreement(self.validation, made, predict=self.predict),
            classes=CLASSES,
            rules=RULES,
        )


@pytest.fixture(scope="module", params=[2, 3])
def study(request):
    sizes = {2: (40, 40), 3: (24, 24)}[request.param]
    return Study(request.param, n_train=sizes[0], n_validation=sizes[1])


def name_refused(verdict):
    return {own.criterion for own in verdict.criteria if own.verdict == "refused"}


def test_an_honest_generator_passes_every_criterion(study):
    verdict = study.judge(study.honest)
    assert verdict.is_open, verdict.reason
    assert verdict.reason.startswith("all ")


@pytest.mark.parametrize("alteration", ["none", "flip", "shift", "noise"])
def test_a_generator_that_copies_is_refused_for_memorisation(study, alteration):
    n = len(study.train.images)
    verdict = study.judge(copy_train(study.train, n=n, alteration=alteration))
    assert not verdict.is_open
    assert {"memorisation", "membership"} <= name_refused(verdict)
    assert len(verdict.refused) == n
    if alteration == "none":
        assert name_refused(verdict) == {"memorisation", "membership"}


def test_some_copies_among_honest_images_are_refused_one_by_one(study):
    copied = copy_train(study.train, n=2, alteration="flip")
    images = study.honest.images.copy()
    images[[4, 7]] = copied.images
    made = replace(study.honest, images=images)
    refused = {own.image: own.reason for own in study.judge(made).refused}
    assert {4, 7} <= set(refused)
    assert "near copy in pixels" in refused[4]


def test_a_collapsed_generator_is_refused_for_its_diversity(study):
    verdict = study.judge(collapse(study.honest))
    assert not verdict.is_open
    assert "diversity" in name_refused(verdict)
    assert not {"memorisation", "membership"} & name_refused(verdict)


def test_a_generator_trained_on_the_wrong_class_is_refused_for_fidelity(study):
    verdict = study.judge(swap_labels(study.honest))
    assert not verdict.is_open
    assert "fidelity" in name_refused(verdict)
    assert not {"memorisation", "membership", "quality"} & name_refused(verdict)


def test_a_network_that_knows_the_train_images_is_held_against_validation_images():
    rng = np.random.default_rng(1)

    def sample(n, *, known):
        labels = np.arange(n) % 2
        features = rng.normal(size=(n, 4))
        features[:, 0] += known * (2 * labels - 1) * 3
        return Sample(features, labels, np.arange(n))

    held = [sample(60, known=1.0), sample(60, known=0.4), sample(60, known=0.4)]
    for is_trained, wanted in ((True, "passed"), (False, "refused")):
        space = Space("any", "none", is_trained, *held)
        found = {own.statistic: own for own in judge_quality(space, classes=CLASSES, rules=RULES)}
        assert found["KID"].verdict == wanted


def test_a_gate_that_cannot_look_does_not_open():
    train, made = (draw_cohort(seed, n_subjects=8) for seed in (1, 3))
    lone = draw_cohort(2, n_subjects=1)
    verdict = judge_generator(
        (build_space(train, lone, made),),
        build_pictures(train, lone, made),
        agreement=build_agreement(lone, made, predict=lambda own: own.labels),
        classes=CLASSES,
        rules=RULES,
    )
    assert not verdict.is_open
    assert "undecided" in verdict.reason


def test_nothing_asked_opens_nothing():
    assert not close_gate([], []).is_open


def test_features_that_are_no_numbers_are_refused():
    cohort = draw_cohort(1, n_subjects=4)
    space = build_space(cohort, cohort, cohort)
    broken = replace(space, synthetic=replace(space.synthetic, features=np.full((4, 48), np.nan)))
    with pytest.raises(DataError, match="finite"):
        judge_generator(
            (broken,),
            build_pictures(cohort, cohort, cohort),
            agreement=build_agreement(cohort, cohort, predict=lambda own: own.labels),
            classes=CLASSES,
            rules=RULES,
        )
