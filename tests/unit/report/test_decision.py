"""The decision curve on the page: drawn and told where it exists, of findings left to the file."""

from dataclasses import replace

from reports import make_sources

from medvision.report.facts import build_facts
from medvision.report.figures import draw_figures
from medvision.report.page import build_report


def make_row(arm, n, **changes):
    row = {
        "arm": arm,
        "threshold": f"{0.05 * n:.2f}",
        "net_benefit": f"{0.4 - 0.01 * n}",
        "low": "" if n == 1 else f"{0.3 - 0.01 * n}",
        "high": "" if n == 1 else f"{0.5 - 0.01 * n}",
        "treat_all": f"{0.5 - 0.06 * n}",
        "method": "BCa bootstrap",
    }
    return row | changes


def build(rows):
    sources = make_sources()
    return build_facts(
        replace(sources, tables={**sources.tables, "decision": rows}), title="t", author=None
    )


def test_the_curve_is_drawn_with_its_values_beside_it():
    rows = [make_row(arm, n) for arm in ("transfer", "scratch") for n in range(1, 20)]
    report = build_report(build(rows), views={})
    section = report.html[report.html.index('id="decision"') :]
    assert "decision.png" in report.figures
    assert "0.290 to 0.490" not in section
    assert "0.280 to 0.480" in section
    assert "Acting on all" in section


def test_undefined_points_and_findings_are_left_out():
    rows = [
        make_row("transfer", 1, net_benefit="", treat_all=""),
        make_row("transfer", 2, finding="Effusion"),
    ]
    facts = build(rows)
    assert facts.decision == ()
    assert 'id="decision"' not in build_report(facts, views={}).html


def test_what_one_class_in_test_leaves_undefined_is_a_picture_that_says_so():
    """The workflow publishes these files by name: without them its rule would fail."""
    sources = make_sources()
    facts = build_facts(
        replace(sources, tables={**sources.tables, "decision": [], "roc": []}),
        title="t",
        author=None,
    )
    drawn = draw_figures(facts)
    assert "both classes" in drawn["roc"].alt
    assert "a class is absent" in drawn["decision"].alt
    assert drawn["roc"].png.startswith(b"\x89PNG")
