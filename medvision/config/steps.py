"""Which sections of the configuration each step obeys."""

STEP_SECTIONS: dict[str, tuple[str, ...]] = {
    "phantom": ("phantom",),
    "pull": ("pacs",),
    "ingest": ("data", "ingest"),
    "measure": ("ingest",),
    "cohort": ("data", "cohort", "quality"),
    "preprocess": ("data", "preprocess"),
    "pretrain": ("model", "pretrain", "preprocess", "compute"),
    "tune": ("model", "augment", "train", "tune", "compute"),
    "synthesise": ("synthesise", "compute"),
    "gate": ("model", "augment", "train", "tune", "gate", "explain", "compute"),
    "train": ("model", "augment", "train", "tune", "synthesise", "compute"),
    "predict": ("model", "augment", "train", "predict", "compute"),
    "evaluate": ("evaluate",),
    "plan": ("explain",),
    "explain": ("explain", "compute"),
    "scorecard": ("model", "augment", "train", "scorecard", "compute"),
    "compare": ("scorecard", "evaluate"),
    "control": ("model", "augment", "train", "tune", "predict", "control", "compute"),
    "shortcuts": ("shortcuts", "control", "evaluate"),
    "ablate": ("model", "augment", "train", "synthesise", "gate", "ablation", "compute"),
    "ablation": ("ablation", "evaluate"),
    "report": ("report",),
    "audit": ("audit",),
}
"""The sections that each step obeys; a change in another section does not concern it."""
