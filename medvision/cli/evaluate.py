"""`medvision evaluate`: statistics with intervals on held-out subjects."""

import logging

from medvision.cli._evaluated.external import (
    evaluate,
    list_sentences,
    list_warnings,
    read_known,
)
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
        predictions = read_table(step.read(layout.predictions))
        check_real(predictions, where="predict/predictions.tsv")
        known = read_known(lambda path: step.read(layout.root / path))
        result = evaluate(predictions, known, section=study.evaluate)
        for name, (rows, columns) in result.tables.items():
            write_table(step.write(layout.table("evaluate", name)), rows, columns=columns)
        write_json(step.write(layout.metrics), result.facts)
        step.facts["sentences"] = list_sentences(result)
        for text in list_warnings(result):
            _log.warning("%s", text)
