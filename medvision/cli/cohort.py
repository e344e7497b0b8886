"""`medvision cohort`: labels joined, leakage found, subjects split into folds."""

import logging
from collections import Counter
from collections.abc import Sequence

from medvision.cli._cohort.headers import write_headers
from medvision.cli._cohort.labels import match_images, read_cohort_labels
from medvision.cli._cohort.leakage import find_near_pairs, write_leakage
from medvision.cli._cohort.masks import write_masks
from medvision.cli._cohort.quality import judge_quality
from medvision.cli._cohort.summary import Parts, find_mixed, summarise_cohort
from medvision.cli._cohort.tables import write_cohort, write_folds, write_unmatched
from medvision.cli._inputs import choose_classes
from medvision.cli._refusals import check_refusals
from medvision.cli._run import open_step, study_command
from medvision.config.model import Study
from medvision.domain.cohort import count_unmatched
from medvision.domain.labels.candidates import Unmatched
from medvision.domain.labels.rows import EXTERNAL
from medvision.domain.splits.external import add_external, check_external, part_cohort
from medvision.domain.splits.folds import build_folds
from medvision.domain.splits.leakage import (
    LeakagePair,
    check_group_sizes,
    check_leakage,
    find_leakage,
    join_groups,
)
from medvision.domain.splits.mixed import say_mixed
from medvision.layout import Layout
from medvision.runtime.files import write_json

_OF_FOLDS = (
    *("folds", "validation_fraction", "seed", "stratify_by", "held_out", "inner_folds", "repeats"),
)
"""Settings of the section that say how subjects are dealt."""

_log = logging.getLogger(__name__)


@study_command(
    "cohort",
    help="Join labels with images, find leakage, split subjects into folds.",
    example="medvision cohort --config config/config.yaml --set cohort.folds=5",
)
def command(study: Study, layout: Layout) -> None:
    """Build the cohort and its folds."""
    made = ("phantom",) if study.data.kind == "phantom" else ()
    upstream = ("ingest", "measure", *made)
    with open_step("cohort", study, upstream=upstream) as step:
        check_refusals(study, layout)
        step.seed = study.cohort.seed
        labels = read_cohort_labels(step)
        matching = match_images(step, labels)
        judged = judge_quality(step, matching.images)
        internal, external = part_cohort(judged.images)
        classes = choose_classes(study.data, [image.label for image in internal])
        is_asked = any(row.split == EXTERNAL for row in labels)
        check_external(external, classes, is_asked=is_asked)
        pairs = find_leakage(
            judged.images,
            on_leakage=study.cohort.on_leakage,
            near=find_near_pairs(step, judged.images),
        )
        # Written before anything is refused, so that the message can point at it.
        write_leakage(step, pairs)
        write_unmatched(step, matching.unmatched)
        check_leakage(pairs)
        settings = {name: getattr(study.cohort, name) for name in _OF_FOLDS}
        images = join_groups(judged.images, pairs)
        internal, external = part_cohort(images)
        check_group_sizes(internal, folds=study.cohort.folds)
        folds = add_external(build_folds(internal, **settings, classes=classes), external)
        masks = write_masks(step, images)
        unmatched = [*matching.unmatched, *masks.refused]
        write_unmatched(step, unmatched)
        write_cohort(step, images, masks=masks.digests)
        write_folds(step, folds, images=images, classes=classes)
        write_headers(step, folds)
        summary = summarise_cohort(
            Parts(len(labels), classes, pairs, images, folds, unmatched, masks.alignments),
            on_leakage=study.cohort.on_leakage,
        )
        summary["quality"] = judged.summarise()
        write_json(step.write(layout.cohort_summary), summary)
        _report(unmatched, pairs, mixed=say_mixed(find_mixed(internal)))


def _report(unmatched: Sequence[Unmatched], pairs: Sequence[LeakagePair], *, mixed: str) -> None:
    """Log what a user should look at, by count alone."""
    if mixed:
        _log.warning("%s", mixed)
    for kind, n in count_unmatched(unmatched).items():
        _log.warning("%d %s: see cohort/unmatched.tsv.", n, kind)
    for action, n in sorted(Counter(pair.action for pair in pairs).items()):
        _log.warning("%d pairs of images could leak, %s: see cohort/leakage.tsv.", n, action)
