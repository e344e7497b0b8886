"""The words of the page: codes, metrics, methods, checks and verdicts in plain English."""

import re

from medvision.domain import intended_use

RESEARCH_USE = intended_use.RESEARCH_USE

ARMS = {
    "transfer": "Transfer learning",
    "scratch": "From scratch",
    "transfer-ensemble": "Ensemble with transfer learning",
    "scratch-ensemble": "Ensemble from scratch",
}

METRICS = {
    "auc": "AUC",
    "auc_macro": "AUC, mean over classes",
    "auc_micro": "AUC, all classes pooled",
    "average_precision": "Average precision",
    "average_precision_macro": "Average precision, mean over classes",
    "balanced_accuracy": "Balanced accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "specificity_macro": "Specificity, mean over classes",
    "ppv": "Positive predictive value",
    "npv": "Negative predictive value",
    "f1": "F1",
    "f1_macro": "F1, mean over classes",
    "mcc": "Matthews correlation",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "ece": "Expected calibration error",
    "calibration_slope": "Calibration slope",
    "calibration_intercept": "Calibration intercept",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "r2": "R²",
    "pearson_r": "Pearson correlation",
    "bias": "Bias",
    "loa_low": "Lower limit of agreement",
    "loa_high": "Upper limit of agreement",
}

FINDINGS_METRICS = {
    "auc_macro": "AUC, mean over findings",
    "balanced_accuracy": "Balanced accuracy, mean over findings",
    "sensitivity_macro": "Sensitivity, mean over findings",
    "specificity_macro": "Specificity, mean over findings",
    "brier": "Brier score, mean over findings",
    "average_precision_macro": "Average precision, mean over findings",
    "f1_macro": "F1, mean over findings",
    "log_loss": "Log loss, mean over findings",
}
"""Metrics of task multilabel that mean over its findings."""

METHODS = {
    "integrated_gradients": "Integrated gradients",
    "layer_gradcam": "Grad-CAM",
    "occlusion": "Occlusion",
    "saliency": "Saliency",
    "smoothgrad": "SmoothGrad",
    "input_x_gradient": "Input times gradient",
    "gradient_shap": "GradientSHAP",
    "deeplift": "DeepLIFT",
    "guided_backprop": "Guided backpropagation",
    "guided_gradcam": "Guided Grad-CAM",
    "kernel_shap": "KernelSHAP",
    "control_edge": "Edge map",
    "control_random": "Random map",
}
METHODS |= {
    f"control_{kind}.{method}": f"{words}, {what}"
    for kind, what in (("randomised", "random weights"), ("other_class", "another class"))
    for method, words in list(METHODS.items())
    if not method.startswith("control")
}

UNITS = {
    "integrated_gradients": "logit per array voxel",
    "layer_gradcam": "gradient-weighted activation",
    "occlusion": "change of logit",
    "saliency": "logit per unit of intensity",
    "smoothgrad": "logit per unit of intensity",
    "input_x_gradient": "logit per array voxel",
    "gradient_shap": "logit per array voxel",
    "deeplift": "logit per array voxel",
    "guided_backprop": "guided gradient",
    "guided_gradcam": "guided gradient times activation",
    "kernel_shap": "logit per array voxel",
}

CHECKS = {
    "completeness": "Completeness",
    "deletion": "Faithfulness (deletion)",
    "insertion": "Faithfulness (insertion)",
    "weight_randomisation_top": "Depends on the last weights",
    "weight_randomisation": "Depends on all weights",
    "class_sensitivity": "Tells classes apart",
    "pointing": "Points at the lesion",
    "relevance_mass": "Relevance in the lesion",
    "rank_accuracy": "Strongest voxels in the lesion",
    "iou": "Outlines the lesion",
}

CHECK_MEANINGS = {
    "completeness": "Does the map's sum equal the change of the output that it explains?",
    "deletion": "Does removing the voxels it marks lower the output faster than removal in random "
    "order?",
    "insertion": "Does putting the voxels it marks into an image without detail raise the output "
    "faster than in random order?",
    "weight_randomisation_top": "Does the map change when the last layer is made random?",
    "weight_randomisation": "Does the map change when all weights are made random?",
    "class_sensitivity": "Is the map of another class another map? Of two classes it should be the "
    "opposite.",
    "pointing": "Does the map's strongest voxel lie inside the lesion's mask?",
    "relevance_mass": "Does the lesion hold more positive relevance than its volume explains?",
    "rank_accuracy": "Do the strongest voxels, as many as the lesion has, lie inside it more often "
    "than at random places?",
    "iou": "Does what the map outlines at Otsu's threshold overlap with the lesion more than at "
    "random places?",
}

VERDICTS = {
    "PASS": ("pass", "✓", "Passed"),
    "FAIL": ("fail", "✗", "Failed"),
    "INCONCLUSIVE": ("unsure", "?", "Inconclusive"),
    "EMPTY": ("empty", "∅", "Empty map"),
    "NOT APPLICABLE": ("none", "–", "Not applicable"),
}

_NO_VERDICT = ("none", "–", "Not assessed")

LEFT = {
    "duplicate": "Exact duplicate of another file",
    "same-pixels": "Repeats pixels already read",
    "refused": "Refused",
    "non-image": "Not an image",
    "image-without-label": "Image without a label",
    "label-without-image": "Label without an image",
    "several-images": "Several images, none named by the label",
    "mask-refused": "Mask that fits no image",
    "other-role": "Image of another role",
    "four-dimensional": "Several volumes, none chosen",
    "quality-unreadable": "Quality: unreadable",
    "quality-constant": "Quality: constant",
    "quality-blank": "Quality: blank",
}

QUALITY_RULES = {
    "unreadable": "Could not be read",
    "constant": "Every voxel has the same value",
    "blank": "Nearly every pixel has the same value",
    "not-finite": "Some voxels are no number",
    "clipped": "Many pixels lie at the end of the scale",
    "truncated": "The body touches much of the border of its field",
    "noise": "More noise than in the cohort",
    "blur": "Edges less steep than in the cohort",
    "ghosting": "More signal beside the body along one axis than along the other",
    "spacing": "Voxel size unlike the cohort's",
    "size": "Number of pixels or planes unlike the cohort's",
    "intensity": "Values unlike the cohort's",
    "orientation": "Fits the cohort better when turned or mirrored",
    "unlike-cohort": "Fits the cohort in no orientation; perhaps another body part",
    "text": "Text may be part of the pixels",
}

LEAKAGE_KINDS = {
    "same-pixels": "Equal images",
    "near-pixels": "Nearly equal images",
    "conflicting-label": "Equal images, different labels",
    "same-study": "One study, two sides",
    "same-series": "One series, two sides",
    "same-frame-of-reference": "One frame of reference, two sides",
    "same-person": "One name, birth date and sex, two sides",
    "same-subject": "One subject, two sides",
}

LEAKAGE_ACTIONS = {
    "grouped": "Kept in one split",
    "stopped": "Ended the run",
    "reported": "Left apart, as configured",
    "same-subject": "Harmless: one subject",
    "untrusted": "Not used: too many subjects share it",
    "same-split": "Harmless: one split, resampled as one",
}

HARMLESS_ACTIONS = ("same-subject", "same-split", "untrusted")

RULES = {
    "true_positive": "drawn among the true positives",
    "false_negative": "drawn among the false negatives",
    "false_positive": "drawn among the false positives",
    "true_negative": "drawn among the true negatives",
    "correct": "drawn among the right predictions",
    "wrong": "drawn among the wrong predictions",
    "uncertain": "the least certain prediction",
    "largest_error": "the largest error",
    "large_error": "drawn among the third with the largest errors",
    "middling_error": "drawn among the middle third of the errors",
    "small_error": "drawn among the third with the smallest errors",
}


def is_control(method: str) -> bool:
    """Tell whether a map is a negative control, which knows nothing of the network."""
    return method.startswith("control_")


def find_owner(method: str) -> str:
    """Return the method of which a control is a map otherwise made; "" of any other name."""
    return method.partition(".")[2] if is_control(method) else ""


def say_metric(name: str, task: str = "classification") -> str:
    """Return a metric's words; `auc_glioma` is the AUC of class, or finding, glioma."""
    known = METRICS | (FINDINGS_METRICS if task == "multilabel" else {})
    if name in known:
        return known[name]
    kinds = [kind for kind in METRICS if name.startswith(f"{kind}_")]
    if not kinds:
        return say(name, METRICS)
    kind = max(kinds, key=len)
    return f"{METRICS[kind]}, {name.removeprefix(f'{kind}_')}"


def name_unscaled(arm: str) -> str:
    """Return what an arm is called before its temperature.

    Args:
        arm: The arm, in words.
    """
    return f"{arm}, before the temperature"


def say(code: str, words: dict[str, str]) -> str:
    """Return a code's words; an unknown code is spelt out as it stands."""
    spelt = code.replace("_", " ").replace("-", " ").strip()
    return words.get(code) or (spelt[:1].upper() + spelt[1:])


def say_verdict(verdict: str) -> tuple[str, str, str]:
    """Return (style, icon, word) of a verdict, so that colour never stands alone."""
    return VERDICTS.get(verdict.strip().upper(), _NO_VERDICT)


def say_number(value: float | None, *, digits: int = 2, signed: bool = False) -> str:
    """Return a number with a true minus sign; a dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def show_minus(text: str) -> str:
    """Return a text whose negative numbers have a true minus sign, as say_number writes it.

    Args:
        text: Such as `-0.82 (-1.03 to -0.73)`; hyphens within words, dates and ranges stay.
    """
    return re.sub(r"(?<![\w.)])-(?=\d)", "−", text)


def say_count(n: int, thing: str) -> str:
    """Return a count with its noun, in the plural where there is more or less than one."""
    if n == 1:
        return f"1 {thing}"
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{n} {plural if thing != 'series' else 'series'}"


def say_within(words: str) -> str:
    """Lower the first letter within a sentence, unless the first word is a name or an acronym."""
    is_name = any(letter.isupper() for letter in words.split(" ", maxsplit=1)[0][1:])
    return words if is_name else words[:1].lower() + words[1:]


def join_words(parts: list[str]) -> str:
    """Return a list as English: a, b and c."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
