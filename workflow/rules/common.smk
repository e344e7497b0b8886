# The only Python of the workflow: the checked configuration, and what depends on it.
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

from snakemake.utils import validate

from medvision import __version__
from medvision.config.ablation import is_ablated
from medvision.config.bucket import (
    BUCKET_CREDENTIALS,
    SECRETS,
    TRACKING_CREDENTIALS,
)
from medvision.config.control import CONTROLLED_FOLD
from medvision.config.division import number_jobs
from medvision.config.model import ConfigError, build_study
from medvision.config.pacs import CREDENTIALS
from medvision.config.parts import select_config
from medvision.config.requests import list_asked
from medvision.config.shortcuts import is_audited
from medvision.config.site import read_site
from medvision.config.task import PERFORMANCE_FIGURES
from medvision.config.yaml_text import parse_yaml
from medvision.layout import Layout
from medvision.runtime.lead import tell_of_run
from medvision.runtime.workflow import find_workflow


def stop(error):
    """End in words, without Snakemake's own traceback."""
    print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
    sys.exit(error.exit_code)


def check_config(values):
    """The checked study and site; a wrong key ends here."""
    # Snakemake takes the last of two keys; another workflow's own file is its own affair.
    is_module = getattr(workflow.modifier, "parent_modifier", None) is not None
    own = () if is_module else map(Path, workflow.configfiles)
    try:
        for path in own:
            # JSON is YAML, too.
            parse_yaml(path.read_text(encoding="utf-8"), where=f"{path.name}: file")
        checked = build_study(values)
        return checked, read_site(checked.cluster.site)
    except ConfigError as error:
        stop(error)


def is_fetched_as(path, fetched):
    """Whether a file of a repository is one that is installed, as Snakemake fetched it."""
    held = workflow.sourcecache
    # Its last line may have lost its end on the way.
    return (
        held.exists(fetched)
        and held.open(fetched).read().rstrip() == path.read_text().rstrip()
    )


def find_rules():
    """The folder of these rules; where they come from a repository, of the installed ones.

    These must be the same: the bundle would else hold rules that never ran.
    """
    here = workflow.current_basedir
    if Path(str(here)).is_dir():
        return Path(str(here)).parent
    folder = find_workflow().parent
    for path in [folder / "Snakefile", *sorted(folder.glob("rules/*.smk"))]:
        if not is_fetched_as(path, here.join(f"../{path.relative_to(folder)}")):
            message = f"module: {path.name} must be that of the installed medvision {__version__}, got another."
            hint = "take the tag of the version that is installed, or install that of the tag."
            stop(ConfigError(message, hint))
    return folder


def find_image():
    """The image in which rules run, where --software-deployment-method asks for containers."""
    methods = {
        str(one).lower() for one in workflow.deployment_settings.deployment_method
    }
    if not any("apptainer" in name for name in methods):
        return None
    image = os.environ.get("MEDVISION_CONTAINER", "")
    if not image or ("://" not in image and not Path(image).exists()):
        message = (
            f"MEDVISION_CONTAINER: variable must name the image, got {image or 'none'}."
        )
        hint = "export MEDVISION_CONTAINER=/shared/medvision.sif, where every node sees it."
        stop(ConfigError(message, hint))
    return image


study, site = check_config(config)
# What the models made of it: on the command line Snakemake hands nested values over as text.
validate(
    study.model_dump(mode="json"), schema="../../config/schema.json", set_default=False
)

layout = Layout(study.output.path, image_suffix=study.ingest.image_suffix)
FOLDS = list(range(study.cohort.n_fits))
ARMS = list(study.arms)
SEEDS = list(study.train.seeds)
STARTS = {arm.name: arm for arm in study.scorecard.arms}
# Cores, memory, minutes, GPU and partition of each rule's jobs.
asked = list_asked(study, site)


WORKFLOW = find_rules()

# Where workflow/envs/medvision.yaml finds the project.
os.environ.setdefault("MEDVISION_HOME", str(WORKFLOW.parent))

# Snakemake writes under the study's umask too. Jobs are told by a variable, no parameter: a change
# of who may read computes nothing again.
os.umask(int(study.output.umask, 8))
# Not by index: the linter takes that for a variable that the user must set.
os.environ.update(MEDVISION_UMASK=study.output.umask)
# Snakemake made this folder, with the log in it, before it read this file.
if Path(".snakemake").is_dir() and Path(".snakemake").stat().st_uid == os.getuid():
    Path(".snakemake").chmod(0o777 & ~int(study.output.umask, 8))
# Open for as long as this process lives: nobody takes its lock away. Its jobs say nothing.
told = tell_of_run(Path()) if workflow.is_main_process else None

# What each step that speaks to a server may read: a PACS, a bucket, MLflow.
CREDENTIALS_OF = {
    "pull": CREDENTIALS,
    "fetch": BUCKET_CREDENTIALS,
    "publish": BUCKET_CREDENTIALS,
    "train": TRACKING_CREDENTIALS if study.train.is_shown_by_server else (),
}

# No other step is for them, and a scheduler hands the environment to all jobs: `hand_over` gives
# them back where jobs run beside this process, and there every command is started without those that
# are not its own.
credentials = {name: os.environ.pop(name) for name in SECRETS if name in os.environ}


def start_without(*kept):
    """The start of a command whose environment holds no credentials but those that are named."""
    return "env " + " ".join(f"-u {name}" for name in SECRETS if name not in kept)


# Without an activated environment `medvision` is found beside the running Python.
shell.prefix(
    f'PATH="$PATH:{Path(sys.executable).parent}"; '
    # Snakemake itself takes one pair of each braces away.
    f'pacs_medvision() {{{{ {start_without(*CREDENTIALS)} medvision "$@"; }}}}; '
    f'bucket_medvision() {{{{ {start_without(*BUCKET_CREDENTIALS)} medvision "$@"; }}}}; '
    f'tracked_medvision() {{{{ {start_without(*CREDENTIALS_OF["train"])} medvision "$@"; }}}}; '
    f'medvision() {{{{ {start_without()} medvision "$@"; }}}}; '
)


container: find_image()


wildcard_constraints:
    arm="transfer|scratch",
    start=r"[\w.-]+",
    share=r"[\d.e-]+",
    control="permuted|image-level",
    fold=r"\d+",
    part=r"\d+",
    worker=r"\d+",
    shard=r"\d+",
    shards=r"\d+",


def performance_figures():
    """The figures that show how well the task was done."""
    names = PERFORMANCE_FIGURES[study.data.task]
    # Of how many classes the labels are is known beforehand where one of two is named.
    has_two = study.data.kind == "phantom" or study.data.positive is not None
    if study.data.task == "classification" and has_two:
        names = (*names, "decision")
    return [figure(name, "Performance") for name in names]


def subgroup_table():
    """The figures of subgroups, where there are some."""
    if not study.evaluate.subgroups:
        return []
    return report(
        layout.table("evaluate", "subgroups"),
        caption="../report/subgroups.rst",
        category="Performance",
        labels=name_result("Subgroups and their gaps"),
    )


def explanation_figures():
    """The first explained case, and the cascade where one was followed."""
    cascade = (
        [figure("cascade", "Explanations")] if study.explain.cascade_images else []
    )
    return [figure("case", "Explanations", file="case-01.png"), *cascade]


def transfer_figures():
    """The figures of the scorecard, where there is one."""
    names = ("transfer", "similarity") if study.scorecard.sources else ()
    return [figure(name, "Transfer") for name in names]


def workflow_sources():
    """The files that the audit takes along: a rule that changed is sealed anew."""
    return [WORKFLOW / "Snakefile", *sorted(WORKFLOW.glob("rules/*.smk"))]


def ablation_figures():
    """The figure of the ablation, where there is one."""
    return [figure("ablation", "Synthetic images")] if is_ablated(study) else []


def plan_files():
    """The plan, and its signature where there is a key."""
    names = (
        ("plan.json", "signature.json") if study.audit.signing_key else ("plan.json",)
    )
    return [layout.step("plan") / name for name in names]


def config_of(step):
    """The part of the user's configuration that a step stands on, as JSON.

    A change in it reruns the step and what follows; a change elsewhere does not.
    """
    part = select_config(config, study, step)
    return json.dumps(part, sort_keys=True, default=str)


def log_of(name):
    """The log of a job, below the output folder."""
    return layout.root / "logs" / f"{name}.log"


def benchmark_of(name):
    """Seconds and peak memory of a job, below the output folder."""
    return layout.root / "benchmarks" / f"{name}.tsv"


def fold_models(arm, fold):
    """The models of one fold, one per seed."""
    return [layout.model(arm, fold, seed=seed) for seed in SEEDS]


def all_folds(path):
    """A path function of (arm, fold), for every arm and fold."""
    return [path(arm, fold) for arm in ARMS for fold in FOLDS]


def predicted_file(name, arm="{arm}", fold="{fold}"):
    """A file of what the networks of one arm and fold predict."""
    return layout.step(layout.fold_step(arm, fold, stage="predict")) / name


def search_file(name, arm="{arm}", part="{part}"):
    """A file of the search of one arm and tested part."""
    return layout.step(layout.tune_step(arm, part)) / name


def search_marks(wildcards):
    """The marks of the jobs that share a search, where several do."""
    return [
        search_file(f"workers/{n}.json", wildcards.arm, wildcards.part)
        for n in number_jobs(study.tune.workers)
    ]


def chosen_values(wildcards):
    """What the search of a training's part chose, where there is a search."""
    part = int(wildcards.fold) // study.cohort.fits_per_part
    names = ("best.json", "record.json") if study.tune.trials else ()
    return [search_file(name, wildcards.arm, part) for name in names]


def synthetic_file(name, fold="{fold}"):
    """A file of the generator of one fold."""
    return layout.step(f"synthesise/fold-{fold}") / name


def synthesised():
    """The records of the generators, where the configuration asks for some."""
    folds = FOLDS if study.synthesise.is_on else ()
    return [synthetic_file("record.json", fold) for fold in folds]


def gate_file(name, fold="{fold}"):
    """A file of the verdict on the synthetic images of one fold."""
    return layout.step(f"gate/fold-{fold}") / name


def gate_start(wildcards):
    """What the network of a gate starts from: weights, and what a search chose."""
    wanted = SimpleNamespace(arm=ARMS[0], fold=wildcards.fold)
    return [*starting_weights(wanted), *chosen_values(wanted)]


def accepted_images(wildcards):
    """What a training takes of its fold's synthetic images, where the study uses them."""
    if not study.synthesise.is_taken:
        return []
    drawn = ("images.npy", "images.tsv", "images.json", "record.json")
    judged = ("images.tsv", "gate.json", "record.json")
    return [
        *(synthetic_file(name, wildcards.fold) for name in drawn),
        *(gate_file(name, wildcards.fold) for name in judged),
    ]


def gates():
    """The records of the gates, where the configuration draws images."""
    folds = FOLDS if study.synthesise.is_on else ()
    return [gate_file("record.json", fold) for fold in folds]


def ablation_file(name, share="{share}", fold="{fold}"):
    """A file of the ablation's trainings on one share of one fold."""
    return layout.step(layout.fold_step(f"share-{share}", fold, stage="ablate")) / name


def ablation_trainings():
    """What the trainings of the ablation write, of every share and fold."""
    tables = ["predictions", "trainings", "subsets", "gates"]
    names = [*(f"{table}.tsv" for table in tables), "record.json"]
    return [
        ablation_file(name, f"{share:g}", fold)
        for share in study.ablation.shares
        for fold in study.ablation.list_folds(len(FOLDS))
        for name in names
    ]


def ablation():
    """The ablation, where the study draws images and asks for one."""
    names = ("ablation.json", "record.json") if is_ablated(study) else ()
    return [layout.step("ablation") / name for name in names]


def ablation_start(wildcards):
    """The source task's weights, where the study's main network starts from them."""
    return starting_weights(SimpleNamespace(arm=ARMS[0], fold=wildcards.fold))


def starting_weights(wildcards):
    """The source task's weights, where the arm starts from them."""
    needed = wildcards.arm == "transfer" and study.model.weights == "pretrain"
    return [layout.pretrained, layout.record("pretrain")] if needed else []


def scorecard_file(name, start="{start}", fold="{fold}"):
    """A file of the scorecard's trainings of one start on one fold."""
    return layout.step(layout.fold_step(start, fold, stage="scorecard")) / name


def scorecard_weights(wildcards):
    """The source task's weights, where a start of the scorecard is made of them."""
    needed = (
        wildcards.start != "scratch" and STARTS[wildcards.start].weights == "pretrain"
    )
    return [layout.pretrained, layout.record("pretrain")] if needed else []


def scorecard_trainings():
    """What the trainings of the scorecard write, of every start and fold."""
    folds = study.scorecard.list_folds(len(FOLDS))
    names = ("predictions.tsv", "record.json")
    return [
        scorecard_file(name, start, fold)
        for start in STARTS
        for fold in folds
        for name in names
    ]


def comparison():
    """The scorecard, where the configuration asks for one."""
    names = ("scorecard.json", "record.json") if STARTS else ()
    return [layout.step("compare") / name for name in names]


def control_file(name, control="{control}"):
    """A file of a control of the shortcut audit, on the fold on which controls are trained."""
    return (
        layout.step(layout.fold_step(control, CONTROLLED_FOLD, stage="control")) / name
    )


def control_start():
    """What the study's main network on that fold starts from: weights, and what a search chose."""
    wanted = SimpleNamespace(arm=ARMS[0], fold=CONTROLLED_FOLD)
    return [*starting_weights(wanted), *chosen_values(wanted)]


def controls():
    """What the controls write that are asked for."""
    names = ("predictions.tsv", "summary.json", "record.json")
    return [
        control_file(n, control) for control in study.control.trainings for n in names
    ]


def shortcut_audit():
    """The shortcut audit, where the configuration asks for one."""
    is_asked = is_audited(study.shortcuts, study.control)
    names = ("shortcuts.json", "record.json") if is_asked else ()
    return [layout.step("shortcuts") / name for name in names]


def labels_file():
    """The table of labels: the user's, or the phantom cohort's."""
    return layout.phantom_labels if study.data.kind == "phantom" else study.data.labels


def raw_archive():
    """The record of what made or fetched the raw images; a user's folder is a source."""
    if study.pacs.protocol != "none":
        return [layout.record("pull")]
    if study.fetch.source:
        return [layout.record("fetch")]
    return [layout.record("phantom")] if study.data.kind == "phantom" else []


def ingest_marks():
    """The parts among which ingestion is divided, where it is."""
    total = study.ingest.shards
    return [
        layout.ingest_shard(f"{number}-of-{total}") for number in number_jobs(total)
    ]


def measure_marks():
    """The parts among which measuring is divided, as ingestion is."""
    total = study.ingest.shards
    folder = layout.step("measure") / "shards"
    return [folder / f"{number}-of-{total}.json" for number in number_jobs(total)]


def preprocess_marks():
    """The parts among which preprocessing is divided, where it is."""
    total = study.preprocess.shards
    return [
        layout.array_folder("shards") / f"{number}-of-{total}.json"
        for number in number_jobs(total)
    ]


def explained_file(name, number="{shard}", total="{shards}"):
    """A file of a share of the explanations."""
    return layout.step(layout.explain_step(number, total)) / name


def explained_shares():
    """What the shares write among which explaining is divided, where it is."""
    total = study.explain.shards
    names = ("cases.npz", "record.json")
    return [
        explained_file(name, number, total)
        for number in number_jobs(total)
        for name in names
    ]


def plugin_files():
    """The user's plug-ins in the working folder: a module's file, all files of a package."""
    tops = {
        name.partition(":")[0].partition(".")[0] for name in study.preprocess.plugins
    }
    modules = {Path(f"{top}.py") for top in tops if Path(f"{top}.py").is_file()}
    return sorted(modules.union(*(Path(top).rglob("*.py") for top in tops)))


BY_HAND = {
    "pull": "run `medvision pull` by itself first; the workflow then goes on from what it wrote.",
    "fetch": "run `medvision fetch` by itself first, or keep them in ~/.aws, where the job finds them.",
    "publish": "leave publish.target out and run `medvision publish` in the end, or keep them in ~/.aws, where the job finds them.",
    "train": "keep them in ~/.mlflow/credentials, where the job finds them.",
}


def credentials_of(step):
    """The variables that a step is given, as far as they are set."""
    return {
        name: credentials[name] for name in CREDENTIALS_OF[step] if name in credentials
    }


def refuse_queued(step, state):
    """Stop where a step's job would be queued without the credentials that are set."""
    message = f"{', '.join(credentials_of(step))}: variables must be unset where jobs are queued and step {step} is {state}, got values."
    hint = BY_HAND[step]
    if state == "due again":
        hint += f" Where it is still called due, say that it is done: medvision cluster run --touch {layout.record(step)}"
    stop(ConfigError(message, hint))


def hand_over(step):
    """Give a step its credentials back, or stop where its job would be queued without them."""
    held = credentials_of(step)
    if workflow.local_exec:
        os.environ.update(held)
    elif held and step != "train" and not layout.record(step).exists():
        refuse_queued(step, "not done")


def check_queued():
    """Stop before any job where a step that is due would be queued without its credentials.

    Which steps are due is known once the jobs are planned, so for this there is no earlier place.
    """
    if not workflow.local_exec:
        due = {job.rule.name for job in workflow.dag.needrun_jobs()}
        for step in due.intersection(filter(credentials_of, BY_HAND)):
            refuse_queued(step, "due again" if step in ("pull", "fetch") else "due")


def asked_studies(wildcards):
    """The table of what is pulled, where there is one.

    Asked for once it is known who runs the jobs: a queued pull would lack the credentials.
    """
    hand_over("pull")
    return [study.pacs.studies] if study.pacs.studies else []


def access_of(step):
    """No input of a step that speaks to a server, but its credentials."""

    def find(wildcards):
        hand_over(step)
        return []

    return find


def published():
    """The record of the bundle's publication, where one is asked for."""
    return [layout.record("publish")] if study.publish.target else []


FIGURES = {
    "performance": "The main figure of each network",
    "roc": "Receiver operating characteristic",
    "calibration": "Calibration",
    "risk_coverage": "Error by share kept",
    "decision": "Decision curve",
    "findings": "AUC of each finding",
    "scatter": "Predicted against true values",
    "bland_altman": "Errors, and limits of agreement",
    "training": "Losses by epoch",
    "flow": "From files to images",
    "case": "One explained image",
    "cascade": "Maps as the weights are made random",
    "transfer": "AUC by train subjects",
    "similarity": "What training moved",
    "ablation": "AUC without and with synthetic images",
}


def name_result(words):
    """What Snakemake's report calls a file, in place of where it lies on this machine."""
    return {"Result": words}


def figure(name, category, file=None):
    """A figure of the report, with its caption for Snakemake's own report."""
    return report(
        layout.figures / (file or f"{name}.png"),
        caption=f"../report/{name}.rst",
        category=category,
        labels=name_result(FIGURES[name]),
    )


def tell_state():
    """Say at the end of a run what is done, what failed and where its log lies."""
    whole = json.dumps(config, sort_keys=True, default=str)
    shell("medvision status --ended --config {whole:q} || true")
