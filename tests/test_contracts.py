"""Config stops at the command line, which passes a section's fields by the same names."""

import importlib
import inspect

import pytest

from medvision.config.model import Study

# Section -> the functions that together take its fields as keyword arguments.
TAKERS = {
    "phantom": ("medvision.phantom.cohort:generate_cohort",),
    "pacs": (
        "medvision.io.pacs.remote:Remote",
        "medvision.io.pacs.provider:Door",
        "medvision.io.pacs.cohort:read_cohort",
        "medvision.io.pacs.retry:Policy",
        "medvision.io.pacs.pull:pull_cohort",
        "medvision.io.pacs.claim:claim_archive",
    ),
    "fetch": ("medvision.io.bucket.client:open_bucket",),
    "publish": ("medvision.io.bucket.client:open_bucket",),
    "ingest": (
        "medvision.io.ingest.settings:IngestSettings",
        "medvision.io.ingest.workshop:ConversionSettings",
    ),
    "cohort": (
        "medvision.domain.splits.folds:build_folds",
        "medvision.domain.splits.leakage:find_leakage",
        "medvision.domain.splits.external:mark_external",
        "medvision.domain.cohort:match_labels",
    ),
    "quality": ("medvision.domain.quality.findings:find_findings",),
    "preprocess": (
        "medvision.preprocess.plan:build_plan",
        "medvision.preprocess.early:plan_early",
        "medvision.preprocess.recipe:Recipe",
        "medvision.preprocess.store:Workshop",
    ),
    "pretrain": (
        "medvision.learn.pretrain:pretrain_backbone",
        "medvision.learn.selfsup:pretrain_unlabelled",
        "medvision.augment.views:draw_view",
        "medvision.phantom.source_task:generate_source_images",
    ),
    "augment": ("medvision.augment.batch:draw_parameters",),
    "tune": ("medvision.learn.search:Search",),
    "synthesise": ("medvision.synthesis.settings:GanSettings",),
    "gate": ("medvision.domain.synthesis.sample:Rules", "medvision.explain.work:Plan"),
    "train": ("medvision.learn.settings:TrainSettings",),
    "predict": ("medvision.augment.fixed_views:list_views",),
    "evaluate": ("medvision.domain.resampling.settings:Settings",),
    "explain": ("medvision.explain.study:draw_brief",),
    "scorecard": ("medvision.domain.scorecard.subsets:choose_subsets",),
    "control": (),
    "ablation": (),
    "shortcuts": (),
    "report": ("medvision.report.facts:build_facts", "medvision.report.viewer:ViewerRoom"),
    "audit": ("medvision.audit.seal:seal_bundle",),
}
# Fields that the command line itself obeys, or hands over under the name of what they count.
BY_THE_COMMAND = {
    "pacs": {"protocol", "accept_incomplete"},
    "fetch": {"source"},
    "publish": {"target"},
    "ingest": {"accept", "shards", "bids", "reidentification", "blank_regions"},
    "preprocess": {"shards"},
    "pretrain": {"images", "subjects"},
    "cohort": {"near_duplicates", "similarity", "workers"},
    "tune": {"objective", "workers"},
    "synthesise": {"generator", "ratio", "minimum_subjects", "use", "seed"},
    "gate": {"extractor", "repeats", "neighbours", "explained", "real_networks"},
    "train": {"mlflow", "seeds", "compare_scratch", "keep_checkpoints", "record_changes"},
    "scorecard": {"sources", "policies", "seeds", "folds", "budget", "seed"},
    "predict": {
        *("ensemble", "temperature", "temperature_subjects"),
        *("novelty", "novelty_neighbours", "novelty_images", "novelty_alarm"),
    },
    "explain": {"influence", "influence_images", "shards"},
    "control": {"trainings", "seed"},
    "ablation": {"run", "shares", "seeds", "folds", "gate", "seed"},
    "shortcuts": {"probes", "columns", "border"},
}


def names_of(target: str) -> set[str]:
    module, _, function = target.partition(":")
    return set(inspect.signature(getattr(importlib.import_module(module), function)).parameters)


@pytest.mark.parametrize("section", TAKERS)
def test_a_sections_fields_are_parameters_of_what_obeys_them(section: str) -> None:
    fields = set(type(getattr(Study(), section)).model_fields) - BY_THE_COMMAND.get(section, set())
    taken = set().union(*(names_of(target) for target in TAKERS[section]))
    assert fields - taken == set()


def test_every_section_of_a_step_is_held_to_a_function() -> None:
    by_hand = {"data", "output", "model", "compute", "cluster"}
    assert set(Study.model_fields) - by_hand == set(TAKERS)
