"""The generators of synthetic images: what each learnt from, drew and came to."""

from dataclasses import dataclass, field

from medvision.report.added import AddedFacts, build_added
from medvision.report.gates import GateRow, build_gates, describe_gates
from medvision.report.sources import JsonObject, Sources, parse_number
from medvision.report.words import say_count

_STAGE = "synthesise/"


@dataclass(frozen=True)
class GeneratorRow:
    """One fold's generator.

    Args:
        fold: Number of the training.
        n_images: Train images that it learnt from.
        n_subjects: Their subjects.
        drawn: Class and images drawn, in words.
        generator_loss: Mean over the last kept steps, in nats.
        discriminator_loss: Likewise; 1.39 where it cannot tell real from drawn.
    """

    fold: int
    n_images: int
    n_subjects: int
    drawn: str
    generator_loss: float | None
    discriminator_loss: float | None


@dataclass(frozen=True)
class GeneratorSheet:
    """A picture of samples.

    Args:
        name: Of the picture among all that the page shows.
        fold: Of the generator.
        n_steps: Steps after which it was drawn.
        caption: What it shows.
    """

    name: str
    fold: int
    n_steps: int
    caption: str


@dataclass(frozen=True)
class GeneratorFacts:
    """All generators, the verdicts on their images, and what was trained on."""

    rows: tuple[GeneratorRow, ...] = ()
    sheets: tuple[GeneratorSheet, ...] = ()
    n_steps: int = 0
    gates: tuple[GateRow, ...] = ()
    gates_words: str = ""
    added: AddedFacts = field(default_factory=AddedFacts)


def build_generators(sources: Sources) -> GeneratorFacts:
    """Gather what the generators' records and histories say.

    Args:
        sources: Records of the steps `synthesise/fold-<f>` and `gate/fold-<f>`, and the tables
            `generator-<f>` and `gate-<f>` of each.

    Returns:
        A row for each fold, and pictures of the first fold's samples over the training.
    """
    records = [r for r in sources.records if str(r.get("step", "")).startswith(_STAGE)]
    if not records:
        return GeneratorFacts(added=build_added(sources))
    rows = tuple(_build_row(sources, record) for record in records)
    n_steps = sources.setting("synthesise", "steps")
    fold = rows[0].fold
    gates = build_gates(sources)
    return GeneratorFacts(
        rows=rows,
        sheets=tuple(
            GeneratorSheet(f"generator-{fold}-{n}", fold, n, _say_sheet(sources, fold, n))
            for n in list_shown(_list_sheet_steps(records[0]))
        ),
        n_steps=n_steps if isinstance(n_steps, int) else 0,
        gates=gates,
        gates_words=describe_gates(gates),
        added=build_added(sources),
    )


def list_shown(steps: list[int]) -> list[int]:
    """Return the first, the middle and the last of the steps with a picture.

    Args:
        steps: Rising.
    """
    return sorted({steps[n] for n in (0, len(steps) // 2, -1)}) if steps else []


def _list_sheet_steps(record: JsonObject) -> list[int]:
    """Return the steps after which samples were drawn, by the names of the pictures."""
    writes = record.get("writes")
    names = writes if isinstance(writes, dict) else {}
    found = [name.rpartition("/step-")[2] for name in names if "/grids/step-" in name]
    return sorted(int(name.removesuffix(".png")) for name in found)


def _build_row(sources: Sources, record: JsonObject) -> GeneratorRow:
    """Say of one fold's record and history what the page shows."""
    fold = int(str(record["step"]).rpartition("-")[2])
    held = record.get("facts")
    facts = held if isinstance(held, dict) else {}
    drawn = facts.get("n_synthetic")
    counts = drawn if isinstance(drawn, dict) else {}
    history = sources.table(f"generator-{fold}")
    last = history[-1] if history else {}
    return GeneratorRow(
        fold=fold,
        n_images=int(str(facts.get("n_learnt_from", 0))),
        n_subjects=int(str(facts.get("n_subjects", 0))),
        drawn=", ".join(f"{name} {count}" for name, count in counts.items()),
        generator_loss=parse_number(last.get("generator_loss")),
        discriminator_loss=parse_number(last.get("discriminator_loss")),
    )


def _say_sheet(sources: Sources, fold: int, n_steps: int) -> str:
    """Say what a picture shows."""
    summary = sources.document("cohort_summary").get("classes")
    classes = [str(name) for name in summary] if isinstance(summary, list) else []
    rows = f" Rows, from the top: {', '.join(classes)}." if classes else ""
    return f"Fold {fold} after {say_count(n_steps, 'step')}.{rows}"
