"""What goes into a bundle, what is only referred to, and the words that go with it."""

from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from medvision.audit.graph import is_record_path

_COPIED_SUFFIXES = {".html", ".json", ".md", ".png", ".safetensors", ".svg", ".tsv"}
_LEFT_OUT_FOLDERS = {"grids", "phantom", "secret", "tensorboard"}
_MAPS = ("explain/maps/", "explain/controls/")
_SIDECARS = "ingest/images/"

README_TEXT = """\
MEDVISION AUDIT BUNDLE

For research use only. Not a medical device. Nothing in this folder may be used to diagnose or to
treat anybody.

What this is
  The account of one run of the medvision pipeline: what each step read and wrote, the tables, the
  trained weights, the predictions, the statistics, the attribution maps and the report.

  manifest.json   every file of this bundle with its size and sha256, then the files that were
                  left out (images, arrays, masks, raw data, and what is known of images that
                  were not explained), also with size and sha256, and one root digest that stands
                  for all of it
  signature.json  a signature of manifest.json, if the run was signed
  graph.json      the steps, what each read and what each wrote
  config.json     the settings in force; paths of the user's machine are replaced by digests
  workflow/       the rules that ran the steps, if they were sealed by the workflow
  study/          files of the run, each at the place it had in the output folder;
                  study/<step>/record.json is that step's own account

How to verify it
  With medvision, which runs nothing that lies in this folder:
    medvision audit verify FOLDER
    medvision audit verify FOLDER --public-key KEY.pem   (is it from the holder of that key?)
    medvision audit verify FOLDER --study OUTPUT         (are the images left out still the same?)
  Without it: compare the sha256 of each file with manifest.json.

What a signature does not prove
  It proves that the holder of the private key signed this manifest, and that nothing changed
  since. It does not prove who that holder is (ask for the public key by another way), when it was
  signed, that the data were sound, that the labels were right, that the run was the only one
  made, or that the results are true. Without a signature, anybody can change the files and write
  a new manifest that fits them.

Privacy
  Subjects are named by pseudonyms, and the secret behind these is not in the bundle. Tables may
  hold attributes such as age, sex and site, and figures show images: hand the bundle to those only
  who may see such data.
"""


def choose_copied(paths: Iterable[str]) -> Callable[[str], bool]:
    """Return what tells whether a file of a study goes into its bundle.

    As `is_copied`, but that of the images' sidecars, one an image, only those go in that an
    auditor needs without the images: of images that were explained.

    Args:
        paths: All files of the study.
    """
    parts = [PurePosixPath(path).parts for path in paths if path.startswith(_MAPS[0])]
    explained = {names[2] for names in parts}

    def tell(path: str) -> bool:
        is_left_out = path.startswith(_SIDECARS) and PurePosixPath(path).stem not in explained
        return is_copied(path) and not is_left_out

    return tell


def is_copied(path: str) -> bool:
    """Tell whether a file of the study goes into the bundle, or is only referred to.

    Only what is known to be needed is copied, so that a new kind of file with pixels, or a
    secret, stays out until somebody decides otherwise.

    Args:
        path: Path below the output folder.
    """
    if is_record_path(path) or path.startswith(_MAPS):
        return path.endswith((".json", ".nii.gz"))
    parts = PurePosixPath(path)
    if _LEFT_OUT_FOLDERS & set(parts.parts):
        return False
    return parts.suffix in _COPIED_SUFFIXES
