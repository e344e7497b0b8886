"""The files of a new study folder, as `medvision init` writes them."""

import json

from medvision import __version__

CONFIG = """\
# Only what you change; every other key keeps its default (`medvision config` shows them all).
# Paths are relative to the folder that you run from: this study's.
data:
  kind: {kind}          # dicom or nifti
  path: {data}
  labels: {labels}
  # dimensions: auto   # 2 for single images, 3 for volumes; auto is told by the data
  # positive: disease  # the label counted as positive; the last in sorted order when omitted

output:
  path: results

cohort:
  folds: 3             # each subject is tested once; 1 honours the table's split column

preprocess:
  # percentile suits MR, radiographs and what you do not know yet. For CT in Hounsfield units:
  #   intensity: window
  #   window: [-1000, 200]   # lung; [-160, 240] soft tissue, [-500, 1300] bone
  intensity: percentile
  # resize takes the whole field of view, whatever its millimetres. To keep millimetres (CT, MR):
  #   sizing: pad
  #   spacing_mm: [2.0, 2.0, 4.0]
  sizing: resize
  spacing_mm: null
  size: [96, 96, 32]   # what the network sees; 2D images use the first two

model:
  backbone: small      # fit for CPUs; or squeezenet1_1; with a GPU: resnet18, resnet50, densenet121
  weights: none        # a .safetensors or .pt file, or another study's output folder

augment:
  # Flips are off: left and right may matter. Where they do not: flip_axes: [0]
  shift_voxels: 4
  gain: 0.1

report:
  title: {title}
"""

SNAKEFILE = """\
# The workflow of the installed medvision, run on this folder's config/config.yaml.
from medvision.runtime.workflow import find_workflow


# Another file is named by `snakemake --configfile FILE`, and then stands alone.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: str(find_workflow())


rule default:
    default_target: True
    input:
        rules.all.input,
    localrule: True
"""

LABELS = """\
subject,label
"""

README = """\
# {name}

Written by medvision {version}. For research use only. Not a medical device.

Run from this folder:

```bash
medvision doctor           # checks config, data, labels, weights, disk and GPU in seconds
snakemake --cores all      # runs everything; what is complete is not run again
medvision summary          # says what was found; the page is results/report/report.html
```

- `config/config.yaml`: images and labels, and every setting you change
- {labels_line}
- `results/`: everything that comes out; `results/ingest/rejects.tsv` says what was refused
"""

_LABELS_HERE = (
    "`labels.csv`: one row per subject, columns `subject` (PatientID; for NIfTI the `sub-…` "
    "entity or the folder) and `label`; optionally `image`, `mask`, `split` and any others"
)
_LABELS_ELSEWHERE = "the labels stay where they are; `config/config.yaml` names the table"


def build_study_files(*, name: str, kind: str, data: str, labels: str | None) -> dict[str, str]:
    """Return the texts of a new study.

    Args:
        name: Name of the folder, used as the report's title.
        kind: dicom or nifti.
        data: Folder with the images, as the configuration will name it.
        labels: Table of labels, or None for an empty one inside the study.

    Returns:
        Path below the study's folder to text.
    """
    config = CONFIG.format(
        kind=kind,
        data=_quote(data),
        labels=_quote(labels or "labels.csv"),
        title=_quote(name),
    )
    files = {
        "config/config.yaml": config,
        "Snakefile": SNAKEFILE,
        "README.md": README.format(
            name=name,
            version=__version__,
            labels_line=_LABELS_HERE if labels is None else _LABELS_ELSEWHERE,
        ),
    }
    return files if labels else {**files, "labels.csv": LABELS}


def _quote(text: str) -> str:
    """Return a YAML string that holds any path as it is."""
    return json.dumps(text, ensure_ascii=False)
