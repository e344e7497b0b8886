"""`medvision plan`: write down what will be explained, before anything is."""

import click

from medvision.audit.signing import sign_manifest
from medvision.cli._explained.planning import describe_plan
from medvision.cli._run import open_step, study_command
from medvision.cli._steps import list_trained
from medvision.config.model import Study
from medvision.domain.explanation.plan import PLAN, PLAN_SIGNATURE
from medvision.layout import Layout
from medvision.runtime.files import hash_bytes, write_bytes


@study_command(
    "plan",
    help="Write down which test predictions will be explained, by what rule and seed, by which "
    "methods, and what their checks ask; signed where audit.signing_key is set. `medvision "
    "explain` then explains that and nothing else.",
    example="medvision plan --set explain.images=4",
)
def command(study: Study, layout: Layout) -> None:
    """Write the plan of a study's explanations, and record it."""
    key = study.audit.signing_key
    upstream = ("cohort", "predict", *list_trained(study, layout))
    with open_step("plan", study, upstream=upstream) as step:
        step.seed = study.explain.seed
        content = describe_plan(step)
        write_bytes(step.write(layout.root / PLAN), content)
        if key is not None:
            signature = sign_manifest(content, key.expanduser(), signs=PLAN)
            write_bytes(step.write(layout.root / PLAN_SIGNATURE), signature)
        step.facts["signed"] = key is not None
    click.echo(f"plan sha256 {hash_bytes(content)}")
