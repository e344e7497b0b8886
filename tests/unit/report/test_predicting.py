"""Seeds, views, ensembles and temperatures on the page: as the tables have them, and no more."""

from dataclasses import replace

import pytest
from reports import make_sources

from medvision.report.facts import build_facts
from medvision.report.page import build_report
from medvision.report.plots import build_plots
from medvision.report.sources import Sources

SEEDS = {"transfer": (0.90, 0.94, 0.89), "scratch": (0.80, 0.88, 0.86)}


def make_spread(n_seeds: int, arms=("transfer", "scratch")) -> list[dict[str, str]]:
    rows = []
    for arm in arms:
        values = SEEDS[arm][:n_seeds]
        mean = sum(values) / n_seeds
        sd = (sum((v - mean) ** 2 for v in values) / max(1, n_seeds - 1)) ** 0.5
        rows.append(
            {
                "arm": arm,
                "metric": "auc",
                "n_seeds": str(n_seeds),
                "mean": str(mean),
                "sd": str(sd) if n_seeds > 1 else "",
                **{f"seed_{n}": str(value) for n, value in enumerate(values)},
            }
        )
    return rows


def make_study(*, n_seeds: int = 3, **predict) -> Sources:
    sources = make_sources()
    tables = {**sources.tables, "seeds": make_spread(n_seeds)}
    if predict.get("ensemble") == "seeds":
        pooled = [{**row, "arm": f"{row['arm']}-ensemble"} for row in tables["metrics"]]
        tables["metrics"] = [*tables["metrics"], *pooled]
        tables["comparison"] = [
            *tables["comparison"],
            {**tables["comparison"][0], "arm_a": "transfer-ensemble", "arm_b": "transfer"},
        ]
    if predict.get("temperature") == "fit":
        tables["temperatures"] = [
            {
                "arm": "transfer",
                "fold": "0",
                "seed": "all",
                "temperature": "1.4321",
                "nll_before": "0.5",
                "nll_after": "0.45",
                "n_images": "9",
                "rule": "least validation loss",
            }
        ]
    settings = {**sources.settings, "augment": {"flip_axes": [0]}}
    settings["predict"] = {"shift_voxels": 2, "zoom": 0.05, **predict}
    settings["train"] = {**settings["train"], "seeds": list(range(n_seeds))}
    return replace(sources, tables=tables, settings=settings)


def build(sources: Sources):
    facts = build_facts(sources, title="Study", author=None)
    return facts, build_report(facts, views={}).html


def test_the_page_shows_each_seed_and_their_mean_and_deviation() -> None:
    facts, html = build(make_study())
    assert "0.910 ± 0.026" in html
    assert all(f">{value:.3f}<" in html for values in SEEDS.values() for value in values)
    said = " ".join(facts.summary)
    assert (
        "Over 3 seeds, none of them chosen, the AUC was 0.91\u00a0±\u00a00.03 with transfer" in said
    )
    assert "0.85\u00a0±\u00a00.04 from scratch (mean ± standard deviation)" in said
    assert "0.91\u00a0±\u00a00.03" in facts.summary_lines[0]
    assert "means over the 3 seeds, none of them chosen" in html


def test_one_seed_has_no_deviation_and_the_page_says_what_that_means() -> None:
    facts, html = build(make_study(n_seeds=1))
    assert "±" not in html
    assert "One seed was trained" in html
    assert "One seed was trained" in facts.summary_lines[0]


def test_without_the_table_nothing_is_said_of_seeds() -> None:
    facts, html = build(make_sources())
    assert "From seed to seed" not in html
    assert "seed was trained" not in " ".join(facts.summary)


def test_methods_say_only_what_was_done_to_the_logits() -> None:
    plain, _ = build(make_study(views=[], ensemble="off", temperature="off"))
    assert "Prediction" not in dict(plain.methods.paragraphs)
    facts, _ = build(
        make_study(views=["flip", "shift", "zoom"], ensemble="seeds", temperature="fit")
    )
    text = dict(facts.methods.paragraphs)["Prediction"]
    assert "flips along i, shifts by 2 voxels either way along i and j and zooms by 5%" in text
    assert "validation images alone" in text
    cited = " ".join(facts.methods.citations)
    assert all(name in cited for name in ("Krizhevsky", "Lakshminarayanan", "Guo C"))


def test_an_ensemble_is_told_apart_and_is_never_the_headline() -> None:
    facts, html = build(make_study(ensemble="seeds"))
    assert facts.performance.main[0].arm == "transfer"
    assert "Do the networks of all seeds do better together?" in html
    assert "Ensemble with transfer learning" in html
    assert any("not the ensemble" in limit for limit in facts.limits)
    assert facts.performance.comparisons[-1].verdict.endswith(
        (
            "the ensemble did better than its single networks.",
            "the ensemble did not demonstrably help here.",
        )
    )
    alone = replace(
        make_study(ensemble="seeds"),
        tables={
            **make_study(ensemble="seeds").tables,
            "comparison": make_study(ensemble="seeds").tables["comparison"][-1:],
        },
    )
    said = " ".join(build(alone)[0].summary)
    assert "between the ensemble and its single networks was" in said


def test_temperatures_are_shown_with_the_number_that_they_were_fitted_on() -> None:
    facts, html = build(make_study(temperature="fit"))
    assert all(text in html for text in ("1.43", "least validation loss", "0.450"))
    assert any("as few as 9 validation images" in limit for limit in facts.limits)


@pytest.mark.parametrize("views", [[], ["zoom"]])
def test_explanations_say_that_they_are_of_the_image_itself_where_views_were_averaged(views):
    facts, _ = build(make_study(views=views))
    assert any("on the image itself" in limit for limit in facts.limits) == bool(views)


def scale(*, n_scaled: int = 1, finding: str | None = None) -> Sources:
    """A study whose temperature made the log loss less, and did nothing else that shows."""
    sources, rows = make_study(temperature="fit"), []
    figures = {
        "log_loss": ((0.61, 0.44), (-0.31, -0.05)),
        "calibration_slope": ((0.35, 1.1), (0.2, 1.3)),
        "calibration_intercept": ((0.1, 0.4), (0.1, 0.5)),
        "brier": ((0.2, 0.19), (-0.03, 0.01)),
        "ece": ((0.11, None), (None, None)),
    }
    for metric, ((before, after), (low, high)) in figures.items():
        ends = {"before_low": before - 0.05, "before_high": before + 0.05}
        ends |= {"after_low": 0.01, "after_high": 0.02, "change_low": low, "change_high": high}
        change = None if after is None else after - before
        right = 1.0 if metric == "calibration_slope" else 0.0
        far = None if after is None else abs(after - right) - abs(before - right)
        reach = (None, None) if far is None else (far - 0.05, far + 0.05)
        ends |= dict(zip(("distance_low", "distance_high"), reach, strict=True))
        row = {"before": before, "after": after, "change": change, "distance_change": far, **ends}
        counts = {"n_images": 36, "n_subjects": 36, "n_scaled": n_scaled, "n_networks": 3}
        place = {"arm": "transfer", "metric": metric, "method": "as <it> was"}
        place |= {} if finding is None else {"finding": finding}
        rows.append({k: "" if v is None else str(v) for k, v in {**place, **row, **counts}.items()})
    bins = [{**row, "predicted": "0.987"} for row in sources.tables["calibration"][:1]]
    tables = {**sources.tables, "scaling": rows, "calibration_before": bins}
    return replace(sources, tables=tables)


def test_calibration_before_and_after_the_temperature_stands_on_the_page() -> None:
    facts, html = build(scale())
    assert "Before and after the temperature" in html
    assert all(text in html for text in ("0.610", "0.440", "\u22120.310 to \u22120.050"))
    assert "as &lt;it&gt; was" in html
    told = {row.metric: row.verdict for row in facts.scaling}
    assert told == {
        "Log loss": "Better",
        "Calibration slope": "Better",
        "Calibration intercept": "Worse",
        "Brier score": "Includes zero",
        "Expected calibration error": "Cannot be judged",
    }


def test_a_slope_that_may_be_as_far_beyond_is_called_neither_better_nor_worse() -> None:
    """The planted fault: a change that is surely above 0, from 0.93 to 1.05."""
    sources = scale()
    rows = [
        row
        | {"before": "0.93", "after": "1.05", "change": "0.12", "change_low": "0.1"}
        | {"change_high": "0.14", "distance_change": "-0.02"}
        | {"distance_low": "-0.12", "distance_high": "0.12"}
        for row in sources.tables["scaling"]
        if row["metric"] == "calibration_slope"
    ]
    facts, html = build(replace(sources, tables={**sources.tables, "scaling": rows}))
    assert [row.verdict for row in facts.scaling] == ["Not shown to be nearer or farther"]
    assert "\u22120.120 to +0.120" in html


def test_the_curve_before_is_drawn_dotted_beside_the_one_after() -> None:
    facts, html = build(scale())
    (before,) = [arm.calibration_before for arm in facts.performance.arms if arm.arm == "transfer"]
    assert [held.predicted for held in before] == [0.987]
    plot = build_plots(facts)["calibration"]
    names = {series["name"]: series["dotted"] for series in plot["series"]}
    assert names["Transfer learning"] is False
    assert names["Transfer learning, before the temperature"] is True
    assert "Dotted, the same images before the temperature" in html
    assert "Calibration with counts: transfer learning before the temperature" in html


def test_a_curve_that_no_temperature_moved_is_drawn_once() -> None:
    facts, html = build(scale(n_scaled=0))
    assert all(not arm.calibration_before for arm in facts.performance.arms)
    assert "Dotted, the same images" not in html


def test_without_a_temperature_the_page_has_no_before() -> None:
    assert "Before and after the temperature" not in build(make_study())[1]


def test_of_findings_the_table_names_each() -> None:
    assert '<th scope="row">Mass &amp; more</th>' in build(scale(finding="Mass & more"))[1]
