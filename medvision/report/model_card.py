"""The model card: the layout of the Hugging Face hub, as sections that become Markdown and JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import yaml

from medvision.domain.record import JsonValue
from medvision.report.card_metadata import build_metadata
from medvision.report.card_results import write_results
from medvision.report.facts import Facts, to_json
from medvision.report.words import say_count, say_within

NEEDED = "[More Information Needed]"
"""What stands where only the authors know, in the words of the hub's own template."""

_NETWORKS = {
    "classification": "Image classifier",
    "multilabel": "Image classifier of several findings",
    "regression": "Network that predicts a value from images",
}

_OUT_OF_SCOPE = (
    "Not for diagnosis, triage, or any decision about a person. Not for images of another "
    "modality, body part or scanner than those of the training data without a test of its own."
)
_RECOMMENDATIONS = (
    "Test the network on your own subjects before you draw on its figures. Rely on an explanation "
    "only where every check of its method passed."
)


@dataclass(frozen=True)
class CardSection:
    """A heading of the card and the Markdown below it, which may be empty.

    Args:
        heading: In the words of the hub's template.
        level: 2 for a part, 3 and 4 below it.
        text: Markdown without headings.
    """

    heading: str
    level: int
    text: str = ""


@dataclass(frozen=True)
class ModelCard:
    """A model card before it is written.

    Args:
        title: Title of the study.
        research_use: The warning that stands on top.
        metadata: What the hub reads: tags, library, and the results under `model-index`.
        sections: In the order of the hub's template.
    """

    title: str
    research_use: str
    metadata: dict[str, JsonValue]
    sections: tuple[CardSection, ...]

    @property
    def front_matter(self) -> str:
        """Return the metadata as YAML."""
        return yaml.safe_dump(self.metadata, sort_keys=False, allow_unicode=True, width=100)


def build_model_card(facts: Facts) -> ModelCard:
    """Write the model card of a study.

    Args:
        facts: All facts of the report.

    Returns:
        The card; what no fact tells stands as `NEEDED`, never as a guess.

    Source:
        The layout of huggingface_hub's modelcard_template.md; Mitchell M et al. 2019,
        doi:10.1145/3287560.3287596.
    """
    return ModelCard(
        title=facts.title,
        research_use=facts.research_use,
        metadata=build_metadata(facts),
        sections=(
            *_write_details(facts),
            *_write_uses(facts),
            *_write_training(facts),
            *_write_evaluation(facts),
            *_write_technical(facts),
            *_write_end(facts),
        ),
    )


def model_card_to_json(card: ModelCard) -> JsonValue:
    """Return the card as JSON: title, warning, metadata, and sections in their order."""
    return to_json(asdict(card))


def _write_details(facts: Facts) -> tuple[CardSection, ...]:
    """Say what the model is and who made it."""
    model = _read_settings(facts, "model")
    weights = model.get("weights", NEEDED)
    started = "none: trained from random weights" if weights == "none" else weights
    told = [" ".join(facts.summary)] if facts.summary else []
    lines = {
        "Developed by": facts.author or NEEDED,
        "Funded by": NEEDED,
        "Model type": f"{_NETWORKS[facts.cohort.task]}, {model.get('backbone', NEEDED)}",
        "License": NEEDED,
        "Finetuned from model": started,
    }
    return (
        CardSection("Model Details", 2),
        CardSection("Model Description", 3, "\n\n".join([*told, _list_lines(lines)])),
        CardSection("Model Sources", 3, _list_lines({"Repository": NEEDED, "Paper": NEEDED})),
    )


def _write_uses(facts: Facts) -> tuple[CardSection, ...]:
    """Say what the model is for, and what it cannot do."""
    return (
        CardSection("Uses", 2),
        CardSection(
            "Direct Use",
            3,
            f"Research on how {_say_network(facts)} works and how its explanations can be checked.",
        ),
        CardSection("Out-of-Scope Use", 3, _OUT_OF_SCOPE),
        CardSection("Bias, Risks, and Limitations", 2, _list_items(facts.limits)),
        CardSection("Recommendations", 3, _RECOMMENDATIONS),
        CardSection(
            "How to Get Started with the Model",
            2,
            f"The study is run again by:\n\n```\n{facts.provenance.command}\n```"
            if facts.provenance.command
            else NEEDED,
        ),
    )


def _say_network(facts: Facts) -> str:
    """Name the network within a sentence."""
    words = say_within(_NETWORKS[facts.cohort.task])
    return f"an {words}" if words.startswith("image") else f"a {words}"


def _write_training(facts: Facts) -> tuple[CardSection, ...]:
    """Say on what and how the model was trained."""
    return (
        CardSection("Training Details", 2),
        CardSection("Training Data", 3, _describe_data(facts)),
        CardSection("Training Procedure", 3, _find_paragraphs(facts, "Splitting")),
        CardSection("Preprocessing", 4, _find_paragraphs(facts, "Preprocessing")),
        CardSection(
            "Training Hyperparameters", 4, _find_paragraphs(facts, "Training", "Hyper-parameters")
        ),
    )


def _describe_data(facts: Facts) -> str:
    """Say what the cohort is, in counts."""
    cohort = facts.cohort
    positive = f"; positive is {cohort.positive}" if cohort.is_binary else ""
    counts = (
        f"{say_count(cohort.n_images, 'image')} of {say_count(cohort.n_subjects, 'subject')}; "
        f"{say_count(cohort.n_refused, 'file')} refused."
    )
    synthetic = " The cohort is synthetic." if facts.is_phantom else ""
    if cohort.task == "regression":
        return f"Predicted value: {cohort.value}. {counts}{synthetic}"
    what = "Findings, several per image" if cohort.task == "multilabel" else "Classes"
    added = f" {facts.generators.added.words}" if facts.generators.added.words else ""
    return f"{what}: {', '.join(cohort.classes) or NEEDED}{positive}. {counts}{synthetic}{added}"


def _write_evaluation(facts: Facts) -> tuple[CardSection, ...]:
    """Give the figures on held-out subjects and what the explanations are worth."""
    variables = dict.fromkeys(row.variable for row in facts.cohort.folds.subgroups)
    return (
        CardSection("Evaluation", 2),
        CardSection("Testing Data, Factors & Metrics", 3),
        CardSection(
            "Testing Data",
            4,
            _describe_tested(facts),
        ),
        CardSection("Factors", 4, ", ".join(variables) or NEEDED),
        CardSection("Metrics", 4, _find_paragraphs(facts, "Statistics")),
        CardSection("Results", 3, write_results(facts, needed=NEEDED)),
        CardSection("Model Examination", 2, _write_examination(facts)),
    )


def _describe_tested(facts: Facts) -> str:
    """Say on whom the figures are."""
    if facts.external is None:
        return "Held-out subjects of the same cohort; no external cohort was tested."
    return (
        f"Held-out subjects of the same cohort, and an external cohort, {facts.external.size}, on "
        "which nothing was fitted."
    )


def _write_examination(facts: Facts) -> str:
    """Say which explanations may be trusted."""
    lines = [
        f"{row.words}: every check passed in {row.every_check.passed} of {row.every_check.n} "
        f"images. {row.verdict_words}."
        for row in facts.explanation.matrix
        if not row.is_control
    ]
    if not lines:
        return "No prediction was explained."
    return f"{_find_paragraphs(facts, 'Explanations')}\n\n{_list_items(lines)}"


def _write_technical(facts: Facts) -> tuple[CardSection, ...]:
    """Name the network, the hardware and the software."""
    software = [f"{name} {version}" for name, version in facts.provenance.software.items()]
    return (
        CardSection("Environmental Impact", 2, f"Hours used and carbon emitted: {NEEDED}"),
        CardSection("Technical Specifications", 2),
        CardSection("Model Architecture and Objective", 3, _find_paragraphs(facts, "Network")),
        CardSection("Compute Infrastructure", 3),
        CardSection("Hardware", 4, ", ".join(facts.provenance.devices) or NEEDED),
        CardSection("Software", 4, ", ".join(software) or NEEDED),
    )


def _write_end(facts: Facts) -> tuple[CardSection, ...]:
    """Cite, and say who answers for the card."""
    cited = facts.methods.citations
    references = [f"{n}. {text}" for n, text in enumerate(cited, start=1)] or [NEEDED]
    return (
        CardSection("Citation", 2, NEEDED),
        CardSection(
            "More Information", 2, "\n".join(["References of the methods:", "", *references])
        )
        if references
        else CardSection("More Information", 2, NEEDED),
        CardSection("Model Card Authors", 2, facts.author or NEEDED),
        CardSection("Model Card Contact", 2, NEEDED),
    )


def _read_settings(facts: Facts, section: str) -> Mapping[str, str]:
    """Return a section of the configuration as text."""
    held = facts.provenance.settings.get(section)
    return {name: str(value) for name, value in held.items()} if isinstance(held, dict) else {}


def _find_paragraphs(facts: Facts, *headings: str) -> str:
    """Return paragraphs of the methods."""
    found = [text for heading, text in facts.methods.paragraphs if heading in headings]
    return "\n\n".join(found) or NEEDED


def _list_lines(lines: Mapping[str, str]) -> str:
    return "\n".join(f"- **{name}:** {text}" for name, text in lines.items())


def _list_items(items: list[str] | tuple[str, ...]) -> str:
    return "\n".join(f"- {item}" for item in items)
