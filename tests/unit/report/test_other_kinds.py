"""Studies unlike the phantom cohort, 2D or of many classes, are described as what they are."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from reports import CLASSES, make_grids, make_sources

from medvision.report.case import build_case_view
from medvision.report.facts import Facts, build_facts
from medvision.report.figures import draw_figures
from medvision.report.page import build_report
from medvision.report.sources import Row, Sources

THIRD = "cyst"


def make_flat(**changes: Mapping[str, object]) -> Sources:
    """Return a study of single images."""
    sources = make_sources()
    settings = {name: {**held, **changes.get(name, {})} for name, held in sources.settings.items()}
    documents = {**sources.documents, "array_meta": {"spatial_dims": 2}}
    return replace(sources, documents=documents, settings=settings)


def make_three_classes() -> Sources:
    """Return a study of three classes, without a positive one."""
    sources = make_sources(arms=("scratch",))
    names = [*CLASSES, THIRD]
    cells: list[Row] = [
        {"arm": "scratch", "label": a, "predicted": b, "n": "3"} for a in names for b in names
    ]
    metrics = [
        {**row, "metric": "auc_macro" if row["metric"] == "auc" else row["metric"]}
        for row in sources.table("metrics")
    ]
    tables = {**sources.tables, "confusion": cells, "metrics": metrics, "thresholds": []}
    return replace(
        sources,
        tables=tables,
        documents={**sources.documents, "cohort_summary": {"classes": names, "positive": None}},
    )


def build(sources: Sources) -> Facts:
    return build_facts(sources, title="x", author=None)


def read_paragraph(facts: Facts, heading: str) -> str:
    return dict(facts.methods.paragraphs)[heading]


def render(sources: Sources, *, shape: tuple[int, int, int] = (48, 48, 1)) -> str:
    facts = build(sources)
    views = {
        case.image_id: build_case_view(case.image_id, make_grids(n, shape=shape, masked=False))
        for n, case in enumerate(facts.explanation.cases)
    }
    return build_report(facts, views=views).html


def test_methods_of_single_images_name_no_step_of_volumes() -> None:
    text = read_paragraph(build(make_flat()), "Preprocessing")
    assert "orientation" not in text.lower()
    assert "mm" not in text
    assert "64 × 64 pixels" in text
    assert "64 × 64 × 24" not in text


def test_methods_of_volumes_name_their_steps_alone() -> None:
    text = read_paragraph(build(make_sources()), "Preprocessing")
    assert "RAS" in text
    assert "64 × 64 × 24 voxels" in text
    assert "apply to volumes only" not in text


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({"dtype": "float32", "largest_rounding": 0.0}, "(float32), every value exactly as"),
        ({"dtype": "float16", "largest_rounding": 0.000244140625}, "by more than 0.00024 in"),
        ({"dtype": "int16", "largest_rounding": 1.5e-05}, "16-bit integers with a scale and an"),
    ],
)
def test_methods_say_how_arrays_were_stored_and_what_it_cost(meta, said) -> None:
    sources = make_sources()
    documents = {**sources.documents, "array_meta": {"spatial_dims": 3, **meta}}
    text = read_paragraph(build(replace(sources, documents=documents)), "Preprocessing")
    assert said in text
    silent = read_paragraph(build(sources), "Preprocessing")
    assert silent.endswith(".")
    assert "stored" not in silent


def test_a_published_split_is_said_to_be_given() -> None:
    sources = make_flat(cohort={"folds": 1})
    folds = [row for row in sources.table("folds") if row["fold"] == "0"]
    given = replace(sources, tables={**sources.tables, "folds": folds})
    text = read_paragraph(build(given), "Splitting")
    assert "as the labels give it" in text


def test_a_single_image_has_no_empty_caption() -> None:
    page = render(make_flat())
    assert '<p class="note">Image.</p>' not in page
    assert "Slices are seen" not in page
    assert "Images are smoothed for display" in page


def test_a_single_image_without_geometry_says_that_its_sides_are_unknown() -> None:
    grids = replace(make_grids(0, shape=(48, 48, 1), masked=False), has_geometry=False)
    facts = build(make_flat())
    views = {
        case.image_id: build_case_view(case.image_id, grids) for case in facts.explanation.cases
    }
    page = build_report(facts, views=views).html
    assert "does not say which side is the subject's left" in page


def test_the_cases_say_how_a_class_was_predicted() -> None:
    page = render(make_sources(), shape=(24, 24, 6))
    assert "Here the class of the larger probability counts as predicted" in page
    assert "thresholds" in page.partition("Here the class of the larger")[2][:200]
    assert "Here the class of the larger probability" not in render(make_three_classes())


def test_curves_of_many_classes_say_what_they_are() -> None:
    page = render(make_three_classes())
    assert "each class against the others" in page
    assert "probability of the predicted class" in page
    pictures = draw_figures(build(make_three_classes()))
    assert "Observed share of positives" not in pictures["calibration"].svg
    assert "0.85" in pictures["roc"].alt


def test_curves_of_folds_are_called_averaged_and_not_pooled() -> None:
    page = render(make_sources(), shape=(24, 24, 6))
    assert "averaged over folds" in page
    assert "folds pooled" not in page


@pytest.mark.parametrize(("n", "words"), [(1, "1 model."), (3, "3 models.")])
def test_models_are_counted_in_words(n: int, words: str) -> None:
    sources = make_sources(arms=("scratch",))
    pictures = draw_figures(build(replace(sources, histories=sources.histories[:n])))
    assert pictures["training-scratch"].alt.endswith(f" {words}")


def test_a_mean_over_classes_reads_as_a_sentence() -> None:
    summary = " ".join(build(make_three_classes()).summary)
    assert "The AUC, mean over classes, was 0.85" in summary


def test_no_threshold_is_claimed_where_there_are_many_classes() -> None:
    facts = build(make_three_classes())
    text = read_paragraph(facts, "Statistics")
    assert "threshold" not in text.lower()
    assert "most probable class" in text
    assert not any("hreshold" in limit for limit in facts.limits)
    assert "threshold" in read_paragraph(build(make_sources()), "Statistics")


def test_a_single_network_is_not_said_to_be_compared() -> None:
    alone = " ".join(build(make_sources(arms=("scratch",))).limits)
    assert "between networks" not in alone
    assert "between networks" in " ".join(build(make_sources()).limits)
