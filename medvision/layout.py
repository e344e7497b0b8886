"""Where each artefact of a study lies: pure path functions over one output folder."""

from dataclasses import dataclass
from pathlib import Path

STEPS = (
    "phantom",
    "ingest",
    "cohort",
    "preprocess",
    "pretrain",
    "train",
    "predict",
    "evaluate",
    "explain",
    "report",
    "audit",
)


@dataclass(frozen=True)
class Layout:
    """Paths of one study; every path is below `root` and nothing here touches the disk."""

    root: Path

    def step(self, name: str) -> Path:
        """Return the folder of one step."""
        return self.root / name

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
        return self.root / "phantom" / "labels.csv"

    @property
    def phantom_key(self) -> Path:
        return self.root / "phantom" / "pseudonym.key"

    @property
    def pseudonym_key(self) -> Path:
        """The default secret of the pseudonyms: mode 0600, never part of a bundle."""
        return self.root / "secret" / "pseudonym.key"

    @property
    def manifest(self) -> Path:
        return self.root / "ingest" / "manifest.tsv"

    @property
    def rejects(self) -> Path:
        return self.root / "ingest" / "rejects.tsv"

    @property
    def sources(self) -> Path:
        """One row per input file: what became of it."""
        return self.root / "ingest" / "sources.tsv"

    @property
    def images(self) -> Path:
        return self.root / "ingest" / "images"

    def image(self, image_id: str) -> Path:
        return self.images / f"{image_id}.nii.gz"

    @property
    def cohort(self) -> Path:
        return self.root / "cohort" / "cohort.tsv"

    @property
    def folds(self) -> Path:
        return self.root / "cohort" / "folds.tsv"

    @property
    def balance(self) -> Path:
        return self.root / "cohort" / "balance.tsv"

    @property
    def leakage(self) -> Path:
        return self.root / "cohort" / "leakage.tsv"

    @property
    def unmatched(self) -> Path:
        return self.root / "cohort" / "unmatched.tsv"

    @property
    def cohort_summary(self) -> Path:
        """Class names, fold count, counts for the flow diagram."""
        return self.root / "cohort" / "summary.json"

    def mask(self, image_id: str) -> Path:
        return self.root / "cohort" / "masks" / f"{image_id}.nii.gz"

    @property
    def arrays(self) -> Path:
        """Preprocessed images, one memory-mapped array (N, C, I, J[, K]) float32."""
        return self.root / "preprocess" / "arrays.npy"

    @property
    def array_index(self) -> Path:
        """One row per array: image, source and array geometry."""
        return self.root / "preprocess" / "index.tsv"

    @property
    def array_meta(self) -> Path:
        return self.root / "preprocess" / "meta.json"

    @property
    def preprocess_rejects(self) -> Path:
        return self.root / "preprocess" / "rejects.tsv"

    @property
    def pretrained(self) -> Path:
        return self.root / "pretrain" / "model.safetensors"

    def fold(self, arm: str, fold: int) -> Path:
        return self.root / "train" / arm / f"fold-{fold}"

    def fold_step(self, arm: str, fold: int) -> str:
        """Return the step name under which one fold's training is recorded."""
        return f"train/{arm}/fold-{fold}"

    def seed(self, arm: str, fold: int, *, seed: int) -> Path:
        return self.fold(arm, fold) / f"seed-{seed}"

    def model(self, arm: str, fold: int, *, seed: int) -> Path:
        return self.seed(arm, fold, seed=seed) / "model.safetensors"

    def history(self, arm: str, fold: int, *, seed: int) -> Path:
        return self.seed(arm, fold, seed=seed) / "history.tsv"

    @property
    def predictions(self) -> Path:
        return self.root / "predict" / "predictions.tsv"

    @property
    def metrics(self) -> Path:
        return self.root / "evaluate" / "metrics.json"

    @property
    def selection(self) -> Path:
        return self.root / "explain" / "selection.tsv"

    @property
    def attributions(self) -> Path:
        return self.root / "explain" / "attributions.tsv"

    @property
    def checks(self) -> Path:
        return self.root / "explain" / "checks.tsv"

    @property
    def explain_summary(self) -> Path:
        return self.root / "explain" / "summary.json"

    def attribution(self, image_id: str, method: str) -> Path:
        return self.root / "explain" / "maps" / image_id / f"{method}.nii.gz"

    @property
    def report_html(self) -> Path:
        return self.root / "report" / "report.html"

    @property
    def report_json(self) -> Path:
        return self.root / "report" / "report.json"

    @property
    def model_card(self) -> Path:
        return self.root / "report" / "model_card.md"

    @property
    def figures(self) -> Path:
        return self.root / "report" / "figures"

    @property
    def bundle(self) -> Path:
        return self.root / "audit" / "bundle"


def find_workflow() -> Path:
    """Return the Snakefile that ships with this installation.

    Raises:
        FileNotFoundError: Neither a checkout nor an installed wheel holds one.
    """
    package = Path(__file__).parent
    for home in (package.parent, package / "_workflow"):
        snakefile = home / "workflow" / "Snakefile"
        if snakefile.is_file():
            return snakefile
    raise FileNotFoundError("workflow/Snakefile is not part of this installation.")
