"""The charts: intervals, ROC, calibration, training curves; others have files of their own."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from medvision.report.canvas import Draw, Picture, draw_picture, draw_row
from medvision.report.facts import Facts
from medvision.report.figure_ablation import draw_ablation
from medvision.report.figure_abstention import draw_risk_coverage
from medvision.report.figure_calibration import draw_calibration
from medvision.report.figure_cascade import draw_cascade
from medvision.report.figure_decision import draw_decision
from medvision.report.figure_flow import draw_flow
from medvision.report.figure_transfer import draw_transfer
from medvision.report.metric import Metric
from medvision.report.performance import ArmFacts, HistoryPoints
from medvision.report.target_figures import (
    SUBJECTS,
    TITLE,
    Cohort,
    draw_agreement,
    draw_finding_calibration,
    draw_finding_curves,
    draw_findings,
    draw_scatter,
    name_figure,
)
from medvision.report.theme import INK, MUTED, choose_colour
from medvision.report.words import ARMS, RESEARCH_USE, say, say_count, say_number

_SQUARE_IN = (3.5, 3.3)
_LOSSES = (("train_loss", "Training", ":", 0.9), ("validation_loss", "Validation", "-", 1.3))
"""Column of the history, its name in the legend, and how its line is drawn."""


def draw_figures(facts: Facts) -> dict[str, Picture]:
    """Draw every chart that the facts allow.

    Args:
        facts: Facts of the report.

    Returns:
        Name to picture: `flow`, `performance`, `roc`, `calibration`, `decision`,
        `risk_coverage`, `findings`, `scatter`, `bland_altman`, `training`,
        `training-<arm>`, `transfer`, `similarity`, `ablation` and `cascade`, as far as their
        facts exist. Names that are fixed are files that the workflow publishes.
    """
    performance = facts.performance
    digits = performance.digits if performance.task == "regression" else 2
    figures = [
        draw_flow(facts.cohort.steps),
        draw_performance(performance.main, performance.chance, digits=digits),
    ]
    if performance.findings:
        figures.append(draw_finding_curves(performance.findings))
        figures.append(draw_finding_calibration(performance.findings))
        figures.append(draw_findings(performance.findings))
    if performance.values:
        name = str(facts.cohort.value)
        figures += [
            draw_scatter(performance.values, name),
            draw_agreement(performance.values, name),
        ]
    if any(arm.roc for arm in performance.arms):
        figures.append(draw_roc(performance.arms, performance.main))
    if any(arm.calibration for arm in performance.arms):
        is_many = len(facts.cohort.classes) > 2
        event = "right predictions" if is_many else "positives"
        figures.append(draw_calibration(performance.arms, event))
    if facts.decision:
        figures.append(draw_decision(facts.decision))
    figures += _draw_undefined(facts)
    if facts.abstention.curves:
        figures.append(draw_risk_coverage(facts.abstention.curves))
    figures += _draw_external(facts)
    figures += draw_training(performance.histories)
    figures += draw_transfer(facts.transfer) + draw_ablation(facts.ablation)
    is_asked = bool(facts.explanation.cases and facts.consistency.n_to_follow)
    figures += draw_cascade(facts.consistency.curves, is_asked=is_asked)
    return {figure.name: figure for figure in figures}


def _draw_undefined(facts: Facts) -> list[Picture]:
    """Draw in words what the workflow publishes and these test images do not define."""
    arms, found = facts.performance.arms, []
    if arms and not any(arm.roc for arm in arms):
        found.append(("roc", "No ROC curve: no fold has test images of both classes"))
    if arms and facts.cohort.is_binary and not facts.decision:
        found.append(("decision", "No decision curve: a class is absent from the test images"))

    def write(words: str) -> Draw:
        def draw(axes: Axes) -> None:
            axes.set_axis_off()
            axes.text(0.5, 0.5, words, ha="center", va="center", color=MUTED)

        return draw

    return [
        draw_picture(name, write(words), size_in=(5.2, 1.2), alt=words, caption=RESEARCH_USE)
        for name, words in found
    ]


def _draw_external(facts: Facts) -> list[Picture]:
    """Draw the curves of the external cohort, beside those of the internal one."""
    if facts.external is None:
        return []
    held, figures = facts.external.performance, []
    if any(arm.roc for arm in held.arms):
        figures.append(draw_roc(held.arms, held.main, cohort="external"))
    if any(arm.calibration for arm in held.arms):
        event = "right predictions" if len(facts.cohort.classes) > 2 else "positives"
        figures.append(draw_calibration(held.arms, event, cohort="external"))
    if facts.external.decision:
        figures.append(draw_decision(facts.external.decision, cohort="external"))
    if held.values:
        figures.append(draw_scatter(held.values, str(facts.cohort.value), cohort="external"))
    return figures


def draw_performance(
    metrics: Sequence[Metric], chance: float | None, *, digits: int = 2
) -> Picture:
    """Draw the main metric of each arm as a point with its interval."""
    rows = list(reversed(metrics))
    height_in = 0.7 + 0.5 * max(len(rows), 2)

    def draw(axes: Axes) -> None:
        for y, metric in enumerate(rows):
            colour = choose_colour(metric.arm, position=len(rows) - 1 - y)
            low, high = metric.low, metric.high
            if low is not None and high is not None:
                axes.plot([low, high], [y, y], color=colour, linewidth=2.4, alpha=0.55)
            if metric.value is not None:
                axes.plot([metric.value], [y], "o", color=colour, markersize=6)
                axes.annotate(
                    "{}  ({} to {})".format(
                        *(say_number(value, digits=digits) for value in (metric.value, low, high))
                    ),
                    (metric.value, y),
                    (0, 7),
                    textcoords="offset points",
                    ha="center",
                )
        if chance is not None:
            axes.axvline(chance, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
        axes.set_yticks(range(len(rows)), [say(metric.arm, ARMS) for metric in rows])
        axes.set_ylim(-0.6, max(len(rows), 1) - 0.2)
        axes.set_xlabel(rows[0].words if rows else "")
        axes.spines["left"].set_visible(b=False)
        axes.tick_params(axis="y", length=0, labelcolor=INK)

    alt = "; ".join(f"{say(m.arm, ARMS)} {say_number(m.value, digits=digits)}" for m in metrics)
    return draw_picture(
        "performance",
        draw,
        size_in=(5.2, height_in),
        alt=alt or "Not computed",
        caption=RESEARCH_USE,
    )


def draw_roc(
    arms: Sequence[ArmFacts], metrics: Sequence[Metric], *, cohort: Cohort = "internal"
) -> Picture:
    """Draw the ROC curve of each arm, averaged over folds and over more than two classes."""
    values = {metric.arm: metric for metric in metrics if metric.metric in ("auc", "auc_macro")}

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
        for n, arm in enumerate(arms):
            held = values.get(arm.arm)
            label = f"{arm.words}, {say_number(held.value)}" if held else arm.words
            x, y = zip(*arm.roc, strict=True) if arm.roc else ((), ())
            colour = choose_colour(arm.arm, position=n)
            axes.plot(x, y, color=colour, linewidth=1.8, label=label, drawstyle="steps-post")
        axes.set_xlabel("1 − specificity")
        axes.set_ylabel("Sensitivity")
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.01)
        axes.set_aspect("equal")
        axes.grid(visible=True)
        axes.legend(loc="lower right")
        if cohort == "external":
            axes.set_title(TITLE)

    alt = f"Receiver operating characteristic on {SUBJECTS[cohort]}. " + "; ".join(
        f"{arm.words}: AUC {say_number(values[arm.arm].value)}" for arm in arms if arm.arm in values
    )
    name = name_figure("roc", cohort)
    return draw_picture(name, draw, size_in=_SQUARE_IN, alt=alt, caption=RESEARCH_USE)


def draw_training(histories: Sequence[HistoryPoints]) -> list[Picture]:
    """Draw the losses of every fold and seed, one chart per arm on a common scale."""
    arms = list(dict.fromkeys(held.arm for held in histories))
    if not arms:
        return []
    top = max((value for held in histories for value in _list_losses(held)), default=1.0)
    charts: list[Draw] = [
        _make_training([held for held in histories if held.arm == arm], top=top, position=n)
        for n, arm in enumerate(arms)
    ]
    alts = [
        f"{say(arm, ARMS)}: training and validation loss by epoch, "
        f"{say_count(sum(held.arm == arm for held in histories), 'model')}."
        for arm in arms
    ]
    single = [
        draw_picture(f"training-{arm}", chart, size_in=(3.5, 2.5), alt=alt)
        for arm, chart, alt in zip(arms, charts, alts, strict=True)
    ]
    row = draw_row("training", charts, size_in=(3.5, 2.7), alt=" ".join(alts), caption=RESEARCH_USE)
    return [*single, row]


def _list_losses(held: HistoryPoints) -> list[float]:
    """Return all losses of a model."""
    return [v for name, *_ in _LOSSES for v in held.columns.get(name, ()) if v is not None]


def _make_training(histories: Sequence[HistoryPoints], *, top: float, position: int) -> Draw:
    """Return the drawing of one arm's losses."""

    def draw(axes: Axes) -> None:
        colour = choose_colour(histories[0].arm, position=position)
        for n, held in enumerate(histories):
            for name, words, line, width in _LOSSES:
                values = held.columns.get(name, ())
                label = words if n == 0 else None
                epochs = range(1, len(values) + 1)
                heights = [float("nan") if value is None else value for value in values]
                axes.plot(epochs, heights, line, color=colour, lw=width, alpha=0.8, label=label)
        axes.set_title(say(histories[0].arm, ARMS))
        axes.set_xlabel("Epoch")
        axes.set_ylabel("Loss")
        axes.set_ylim(0, 1.05 * top)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True, axis="y")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2)

    return draw
