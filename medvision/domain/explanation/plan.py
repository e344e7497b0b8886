"""The plan of the explanations: the names by which those who write and those who check it agree."""

PLAN = "plan/plan.json"
"""Path below the output folder."""

PLAN_SIGNATURE = "plan/signature.json"

FORMAT = "medvision-plan/1"

KEYS = (
    *("format", "intended_use", "medvision", "explained", "selection", "cases", "methods"),
    *("checks", "settings", "predictions", "classes", "models"),
)
"""What a plan says, and nothing else."""

CASE_KEYS = (
    *("image_id", "subject", "fold", "seed", "arm"),
    *("label", "predicted", "target", "rule"),
)
"""What a plan, and the table of the selection, say of each case."""
