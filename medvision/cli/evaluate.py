"""`medvision evaluate`: statistics with intervals on held-out subjects."""

import logging

from medvision.cli._cohort.summary import read_classes
from medvision.cli._evaluated.external import evaluate, list_sentences, list_warnings
from medvision.cli._run import open_step, study_command
from medvision.config.model import Study
from medvision.domain.synthesis.synthetic import check_real
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json

_log = logging.getLogger(__name__)


@study_command(
    "evaluate",
    help="Compute statistics with intervals on held-out subjects, thresholds fixed on validation; "
    "those of an external cohort apart.",
    example="medvision evaluate --config config/config.yaml --set evaluate.n_resamples=5000",
)
def command(study: Study, layout: Layout) -> None:
    """Evaluate every arm and compare them."""
    with open_step("evaluate", study, upstream=("cohort", "predict")) as step:
        step.seed = study.evaluate.seed
        cohort = {row["image_id"]: row for row in read_table(step.read(layout.cohort))}
        predictions = read_table(step.read(layout.predictions))
        check_real(predictions, where="predict/predictions.tsv")
        result = evaluate(
            predictions,
            {name: row["group"] for name, row in cohort.items()},
            classes=read_classes(step.read(layout.cohort_summary)),
            section=study.evaluate,
            variables=cohort,
            temperatures=read_table(step.read(layout.table("predict", "temperatures"))),
        )
        for name, (rows, columns) in result.tables.items():
            write_table(step.write(layout.table("evaluate", name)), rows, columns=columns)
        write_json(step.write(layout.metrics), result.facts)
        step.facts["sentences"] = list_sentences(result)
        for text in list_warnings(result):
            _log.warning("%s", text)
