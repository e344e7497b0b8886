"""Where each artefact of a study lies: pure path functions over one output folder."""

from dataclasses import dataclass
from pathlib import Path

STEPS = (
    *("phantom", "pull", "fetch", "ingest", "measure", "cohort", "preprocess", "pretrain"),
    *("tune", "synthesise", "gate", "train", "predict", "evaluate", "plan", "explain", "scorecard"),
    *("compare", "control", "shortcuts", "ablate", "ablation", "report", "audit", "publish"),
)


@dataclass(frozen=True)
class Layout:
    """Paths of one study; every path is below `root` and nothing here touches the disk."""

    root: Path
    image_suffix: str = ".nii.gz"  # Of ingested images; .nii where they are not compressed.

    def step(self, name: str) -> Path:
        """Return the folder of one step."""
        return self.root / name

    def table(self, step: str, name: str) -> Path:
        """Return one of a step's tables; `name` has no suffix."""
        return self.step(step) / f"{name}.tsv"

    def record(self, name: str) -> Path:
        """Return a step's record; `name` may be a path such as `train/transfer/fold-0`."""
        return self.root / name / "record.json"

    @property
    def archive(self) -> Path:
        """The phantom cohort's raw archive, as a hospital would hand it over."""
        return self.root / "phantom" / "archive"

    @property
    def archive_listing(self) -> Path:
        """Name and digest of each file of the phantom's archive."""
        return self.root / "phantom" / "archive.tsv"

    @property
    def phantom_labels(self) -> Path:
        """The phantom's table of labels, as a user would write it."""
        return self.root / "phantom" / "labels.csv"

    @property
    def phantom_key(self) -> Path:
        """The phantom's published secret of the pseudonyms."""
        return self.root / "phantom" / "pseudonym.key"

    @property
    def pulled_listing(self) -> Path:
        """Name and digest of each file that was received from a PACS."""
        return self.root / "pull" / "archive.tsv"

    @property
    def pseudonym_key(self) -> Path:
        """The default secret of the pseudonyms: mode 0600, never part of a bundle."""
        return self.root / "secret" / "pseudonym.key"

    @property
    def reidentification(self) -> Path:
        """The table that undoes the pseudonyms, where it is asked for: mode 0600."""
        return self.root / "secret" / "reidentification.tsv"

    @property
    def manifest(self) -> Path:
        """One row per ingested image."""
        return self.root / "ingest" / "manifest.tsv"

    @property
    def rejects(self) -> Path:
        """One row per file that was refused, with its reason."""
        return self.root / "ingest" / "rejects.tsv"

    @property
    def sources(self) -> Path:
        """One row per input file: what became of it."""
        return self.root / "ingest" / "sources.tsv"

    @property
    def ingest_index(self) -> Path:
        """What is known of each input file, kept between runs; tells no name without the key."""
        return self.root / "ingest" / "index.sqlite"

    @property
    def ingest_shards(self) -> Path:
        """Folder of what came of each series, kept between runs, one file per shard."""
        return self.root / "ingest" / "shards"

    def ingest_shard(self, name: str) -> Path:
        """Return the mark that a shard such as `3-of-16`, or the `index`, is done."""
        return self.ingest_shards / f"{name}.json"

    @property
    def ingest_spool(self) -> Path:
        """Folder of what is unpacked while archives are read; gone when they are."""
        return self.root / "ingest" / ".spool"

    @property
    def images(self) -> Path:
        """Folder of the ingested images."""
        return self.root / "ingest" / "images"

    def image(self, image_id: str) -> Path:
        """Return one ingested image."""
        return self.images / f"{image_id}{self.image_suffix}"

    def sidecar(self, image_id: str) -> Path:
        """Return what is known of one ingested image, as JSON beside it."""
        return self.images / f"{image_id}.json"

    @property
    def thumbnails(self) -> Path:
        """A small array of every image, by which images are compared."""
        return self.root / "measure" / "thumbnails.npz"

    @property
    def pictures(self) -> Path:
        """A small picture of every image, to look at."""
        return self.root / "measure" / "pictures.npz"

    @property
    def cohort(self) -> Path:
        """One row per labelled image."""
        return self.root / "cohort" / "cohort.tsv"

    @property
    def folds(self) -> Path:
        """One row per image and fold: its split."""
        return self.root / "cohort" / "folds.tsv"

    @property
    def balance(self) -> Path:
        """Images and subjects by fold, split and class."""
        return self.root / "cohort" / "balance.tsv"

    @property
    def leakage(self) -> Path:
        """Pairs of images through which a split could leak."""
        return self.root / "cohort" / "leakage.tsv"

    def look_alikes(self, dims: str) -> Path:
        """Return what is kept of the search for altered copies; `dims` is 2d or 3d."""
        return self.root / "cohort" / f"kept-look-alikes-{dims}.json"

    @property
    def unmatched(self) -> Path:
        """Labels, images and masks that could not be joined."""
        return self.root / "cohort" / "unmatched.tsv"

    @property
    def cohort_summary(self) -> Path:
        """Class names, fold count, counts for the flow diagram."""
        return self.root / "cohort" / "summary.json"

    @property
    def masks(self) -> Path:
        """Folder of the masks, each on its image's own grid."""
        return self.root / "cohort" / "masks"

    def mask(self, image_id: str) -> Path:
        """Return one image's mask."""
        return self.masks / f"{image_id}.nii.gz"

    def array_shard(self, name: str) -> Path:
        """Return the arrays of a shard such as `2-of-4`, memory-mapped (n, C, I, J[, K])."""
        return self.root / "preprocess" / f"arrays-{name}.npy"

    def array_shards(self, n_shards: int) -> tuple[Path, ...]:
        """Return the preprocessed images of all shards, in order."""
        return tuple(self.array_shard(f"{k}-of-{n_shards}") for k in range(1, n_shards + 1))

    def array_folder(self, name: str) -> Path:
        """Return what preprocessing keeps for itself: `journal`, `kept`, `preview` or `shards`."""
        return self.root / "preprocess" / name

    @property
    def array_index(self) -> Path:
        """One row per array: image, source and array geometry."""
        return self.root / "preprocess" / "index.tsv"

    @property
    def array_meta(self) -> Path:
        """Shape, dimensions and the steps of the pipeline."""
        return self.root / "preprocess" / "meta.json"

    @property
    def preprocess_rejects(self) -> Path:
        """One row per image that could not be preprocessed."""
        return self.root / "preprocess" / "rejects.tsv"

    @property
    def pretrained(self) -> Path:
        """The source task's weights."""
        return self.root / "pretrain" / "model.safetensors"

    @property
    def pretrain_history(self) -> Path:
        """The source task's training, one row per epoch."""
        return self.root / "pretrain" / "history.tsv"

    @property
    def pretrain_summary(self) -> Path:
        """The source task's training in a few numbers."""
        return self.root / "pretrain" / "summary.json"

    def tune_step(self, arm: str, part: int) -> str:
        """Return the step name under which the search of one tested part is recorded."""
        return f"tune/{arm}/part-{part}"

    def fold(self, arm: str, fold: int) -> Path:
        """Return the folder of one fold's trainings."""
        return self.root / "train" / arm / f"fold-{fold}"

    def fold_step(self, arm: str, fold: int, *, stage: str = "train") -> str:
        """Return the step name under which one fold's training (or scorecard) is recorded."""
        return f"{stage}/{arm}/fold-{fold}"

    def seed(self, arm: str, fold: int, *, seed: int) -> Path:
        """Return the folder of one training."""
        return self.fold(arm, fold) / f"seed-{seed}"

    def model(self, arm: str, fold: int, *, seed: int) -> Path:
        """Return the weights of one training's best epoch."""
        return self.seed(arm, fold, seed=seed) / "model.safetensors"

    def history(self, arm: str, fold: int, *, seed: int) -> Path:
        """Return one training's table of epochs."""
        return self.seed(arm, fold, seed=seed) / "history.tsv"

    @property
    def predictions(self) -> Path:
        """One row per image, arm, fold and seed."""
        return self.root / "predict" / "predictions.tsv"

    @property
    def metrics(self) -> Path:
        """All statistics, nested; an audit computes them again."""
        return self.root / "evaluate" / "metrics.json"

    @property
    def selection(self) -> Path:
        """One row per explained image."""
        return self.root / "explain" / "selection.tsv"

    @property
    def attributions(self) -> Path:
        """One row per attribution map."""
        return self.root / "explain" / "attributions.tsv"

    @property
    def checks(self) -> Path:
        """One row per check of a map."""
        return self.root / "explain" / "checks.tsv"

    @property
    def explain_summary(self) -> Path:
        """Pass rates by method and check, grids and limits."""
        return self.root / "explain" / "summary.json"

    @property
    def maps(self) -> Path:
        """Folder of the attribution maps."""
        return self.root / "explain" / "maps"

    def attribution(self, image_id: str, method: str) -> Path:
        """Return one method's map of one image."""
        return self.maps / image_id / f"{method}.nii.gz"

    def explain_step(self, number: int | str, total: int | str) -> str:
        """Return the step name under which a share of the explanations is recorded."""
        return f"explain/shard-{number}-of-{total}"

    @property
    def report_html(self) -> Path:
        """The page people read."""
        return self.root / "report" / "report.html"

    @property
    def report_json(self) -> Path:
        """The same facts for machines."""
        return self.root / "report" / "report.json"

    @property
    def model_card(self) -> Path:
        """The model card, Markdown."""
        return self.root / "report" / "model_card.md"

    @property
    def figures(self) -> Path:
        """Folder of the report's figures, PNG."""
        return self.root / "report" / "figures"

    @property
    def bundle(self) -> Path:
        """The sealed bundle that an auditor is given."""
        return self.root / "audit" / "bundle"
