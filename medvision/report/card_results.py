"""The figures of a model card, as Markdown tables."""

from medvision.report.facts import Facts
from medvision.report.words import ARMS, say, say_number


def write_results(facts: Facts, *, needed: str) -> str:
    """Return the tables of figures with intervals and counts, of the external cohort apart.

    Args:
        facts: All facts of the report.
        needed: What stands where there is no figure.
    """
    if not facts.performance.metrics:
        return needed
    performance = facts.performance
    areas = [arm.auc for finding in performance.findings for arm in finding.arms]
    rows = [
        [
            metric.words,
            say(metric.arm, ARMS),
            say_number(metric.value, digits=digits),
            f"{say_number(metric.low, digits=digits)} to {say_number(metric.high, digits=digits)}",
            _count(metric.n_images),
            _count(metric.n_subjects),
        ]
        for metric in (*performance.metrics, *(area for area in areas if area))
        for digits in [performance.digits if metric.has_unit else 3]
    ]
    head = ["Figure", "Network", "Value", "Interval", "Images", "Subjects"]
    lines = [head, ["---", "---", "---:", "---:", "---:", "---:"], *rows]
    table = "\n".join(f"| {' | '.join(_escape(cell) for cell in line)} |" for line in lines)
    level = f"Intervals are at {100 * facts.performance.confidence:g}%.\n\n{table}"
    return level + _write_external_results(facts)


def _write_external_results(facts: Facts) -> str:
    """Return the table of the same figures on the external cohort; nothing where there is none."""
    if facts.external is None:
        return ""
    head = ["Figure", "Network", "External", "Interval", "Subjects", "Internal minus external"]
    lines = [head, ["---", "---", "---:", "---:", "---:", "---:"]]
    for row in (*facts.external.rows, *facts.external.finding_rows):
        digits = facts.performance.digits if row.has_unit else 3
        low, high = (
            say_number(value, digits=digits) for value in (row.external.low, row.external.high)
        )
        lines.append(
            [
                row.words,
                say(row.arm, ARMS),
                say_number(row.external.value, digits=digits),
                f"{low} to {high}",
                _count(row.external.n_subjects),
                say_number(row.difference, digits=digits, signed=True),
            ]
        )
    table = "\n".join(f"| {' | '.join(_escape(cell) for cell in line)} |" for line in lines)
    return f"\n\nOn the external cohort:\n\n{table}"


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|")


def _count(n: int | None) -> str:
    return "–" if n is None else str(n)
