"""Verify a bundle with nothing but the bundle: read, hash and compare; run nothing of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from medvision.audit import agreement, crosscheck
from medvision.audit.findings import Check, Finding, Verification, answer
from medvision.audit.inventory import Inventory, find_entry_faults, take_inventory
from medvision.audit.manifest import MANIFEST, SIGNATURE, STUDY, Entry, Manifest, parse_manifest
from medvision.audit.plan import Planned, check_plan_signature, find_plan_faults, parse_plan
from medvision.audit.reviews import find_review_faults, is_review_path
from medvision.audit.signing import (
    Signature,
    compute_fingerprint,
    is_signed_by,
    parse_signature,
    read_public_key,
)
from medvision.domain.explanation.plan import PLAN, PLAN_SIGNATURE
from medvision.errors import AuditError, MedvisionError
from medvision.runtime.progress import track

ReadTable = Callable[[Path], agreement.Rows]
"""Return the rows of a TSV file; raises MedvisionError when it is none."""

Locate = Callable[[str], Path]
"""Return where a file of the study lies in the bundle; raises AuditError if it is not there."""

Recompute = Callable[[Locate], list[Finding]]
"""Compute the statistics again from the predictions in a bundle; return what differs."""


@dataclass(frozen=True)
class _Bundle:
    """A bundle whose manifest could be read."""

    inventory: Inventory
    manifest: Manifest
    story: crosscheck.Story


_QUESTIONS = {
    "manifest": "Is the manifest well formed, and its root digest its own?",
    "folder": "Are there only regular files, no links, no misleading names?",
    "files": "Is every listed file there, unchanged to the byte?",
    "extra": "Is there nothing that the manifest does not list?",
    "signature": "Was the manifest signed by the holder of the key?",
    "crate": "Does the RO-Crate describe these files and these steps?",
    "records": "Do the steps' records agree with the manifest, both ways?",
    "closure": "Was every digest read written by an earlier step, or a declared source?",
    "settings": "Was every step made by one version with the settings in config.json?",
    "tables": "Do the tables agree with the files and with one another?",
    "geometry": "Does every map lie on its source image's grid?",
    "statistics": "Do statistics and scorecard follow from the predictions, these from the "
    "networks' logits, likeness from distances, shortcuts from their tables, explained cases from "
    "the plan's rule and seed, the saliency of the gate from what its checks measured, synthetic "
    "images trained on from the gate's tables, and the study record from the files?",
    "reviews": "Do the decisions recorded after the seal hold together, each as it was signed?",
    "plan": "Was the plan there before the maps, and was what it says explained, and no more?",
    "study": "Are the files left out of the bundle still the same in the output folder?",
}


_STORY = ("crate", "records", "closure", "settings", "tables", "plan", "geometry", "statistics")


def verify_bundle(
    bundle: Path,
    *,
    level: int,
    public_key: Path | None,
    study: Path | None,
    read_table: ReadTable,
    recompute: Recompute,
    compare_grids: Recompute,
) -> Verification:
    """Put every question to a bundle.

    Args:
        bundle: Folder written by `seal_bundle`, trusted in nothing.
        level: 0 for hashes and signature alone; from 1 on all that this wing can ask.
        public_key: Key (PEM) that must have signed it; got from elsewhere, not from the bundle.
        study: Output folder of the run, to hash the files that were left out.
        read_table: Reads a TSV file.
        recompute: Computes the statistics again and returns what differs.
        compare_grids: Returns the maps that do not lie on their image's grid.

    Returns:
        All checks. Nothing is raised for what is wrong in the bundle.

    Raises:
        AuditError: There is no such folder.
        ConfigError: The public key cannot be read.
    """
    inventory = take_inventory(bundle)
    folder = _answer("folder", inventory.faults)
    try:
        manifest = parse_manifest(inventory.read(MANIFEST))
    except AuditError as error:
        fault = Finding(MANIFEST, "manifest", "well formed", error.message)
        return Verification("", (_answer("manifest", [fault]), folder))
    whole = _Bundle(inventory, manifest, crosscheck.read_story(manifest, inventory))
    note = f"{len(manifest.files)} files listed, {len(manifest.referenced)} left out"
    checks: tuple[Check, ...] = (
        _answer("manifest", [], note=note),
        folder,
        _check_files(whole),
        _answer("extra", _find_extra(whole)),
        _check_signature(whole, public_key),
        _check_study(manifest, study),
        _check_reviews(whole),
    )
    if level == 0:
        checks += tuple(_skip(name, "asked from --level 1 on") for name in _STORY)
    else:
        others = {"geometry": compare_grids, "statistics": recompute}
        checks += _ask_story(whole, public_key, read_table=read_table, others=others)
    return Verification(manifest.root_digest, checks)


def _ask_story(
    whole: _Bundle,
    public_key: Path | None,
    *,
    read_table: ReadTable,
    others: Mapping[str, Recompute],
) -> tuple[Check, ...]:
    """Ask whether what the files say fits together."""
    story, inventory = whole.story, whole.inventory

    def ask(name: str) -> Check:
        return _try(name, lambda: others[name](lambda path: _locate(whole, path)))

    return (
        _try(
            "crate",
            lambda: crosscheck.find_crate_faults(whole.manifest, story, inventory=inventory),
        ),
        _try("records", lambda: crosscheck.find_record_faults(whole.manifest, story)),
        _try("closure", lambda: crosscheck.find_closure_faults(story, inventory)),
        _try(
            "settings",
            lambda: crosscheck.find_config_faults(whole.manifest, story, inventory=inventory),
        ),
        _try("tables", lambda: _find_table_faults(whole, read_table)),
        _check_plan(whole, public_key, read_table),
        *(ask(name) for name in others),
    )


def _answer(name: str, findings: Iterable[Finding], *, note: str = "") -> Check:
    """Answer one of the questions."""
    return answer(name, _QUESTIONS[name], findings=findings, note=note)


def _skip(name: str, note: str) -> Check:
    """Leave a question open, and say why."""
    return Check(name, _QUESTIONS[name], "NOT CHECKED", note=note)


def _try(name: str, find: Callable[[], list[Finding]]) -> Check:
    """Answer a question; what cannot even be read, or is of another kind, is a fault too."""
    try:
        return _answer(name, find())
    except MedvisionError as error:
        return _answer(name, [Finding(name, "content", "readable", error.message)])
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        return _answer(name, [Finding(name, "content", "complete", f"{error!r}")])


def _check_files(whole: _Bundle) -> Check:
    """Hash every listed file that is there, and name those that are not."""
    entries = whole.manifest.files
    findings = []
    for entry in track(entries, "hashing the bundle", total=len(entries)):
        if entry.path in whole.inventory.sizes:
            findings += find_entry_faults(whole.inventory.root, entry)
        else:
            findings.append(Finding(entry.path, "file", "present", "no file"))
    return _answer("files", findings)


def _find_extra(whole: _Bundle) -> list[Finding]:
    """Name the files that are there without being listed."""
    listed = {entry.path for entry in whole.manifest.files} | {MANIFEST, SIGNATURE}
    return [
        Finding(path, "file", "listed in the manifest", "an extra file")
        for path in sorted(whole.inventory.sizes.keys() - listed)
        if not is_review_path(path)
    ]


def _check_reviews(whole: _Bundle) -> Check:
    """Check the chain of decisions that were recorded after the seal."""
    paths = [path for path in whole.inventory.sizes if is_review_path(path)]
    faults, lines = find_review_faults(
        {path: whole.inventory.read(path) for path in paths},
        root_digest=whole.manifest.root_digest,
    )
    return _answer("reviews", faults, note="; ".join(lines) or "no decision was recorded")


def _check_signature(whole: _Bundle, public_key: Path | None) -> Check:
    """Check the signature against the key given, or else against the key that it names."""
    if SIGNATURE not in whole.inventory.sizes:
        if public_key is None:
            return _skip("signature", "the bundle is not signed")
        fault = Finding(SIGNATURE, "file", "present, since a key was given", "no signature")
        return _answer("signature", [fault])
    try:
        signature = parse_signature(whole.inventory.read(SIGNATURE))
    except AuditError as error:
        return _answer("signature", [Finding(SIGNATURE, "content", "readable", error.message)])
    key = signature.public_key if public_key is None else read_public_key(public_key)
    fits = is_signed_by(whole.inventory.read(MANIFEST), signature, key=key)
    if not fits or compute_fingerprint(key) != signature.fingerprint:
        rule = f"valid for this {MANIFEST} by the key {compute_fingerprint(key)}"
        found = f"{'one' if fits else 'an invalid one'} that names {signature.fingerprint}"
        return _answer("signature", [Finding(SIGNATURE, "signature", rule, found)])
    return _describe_signature(signature, trusted=public_key is not None)


def _describe_signature(signature: Signature, *, trusted: bool) -> Check:
    """Say what a valid signature means: without a trusted key, little."""
    if trusted:
        return _answer("signature", [], note=f"signed by the key {signature.fingerprint}")
    return _skip(
        "signature",
        f"it fits the key it names, {signature.fingerprint}; give --public-key to know whose",
    )


def _check_plan(whole: _Bundle, public_key: Path | None, read_table: ReadTable) -> Check:
    """Hold what was explained against the plan, and the plan against its signature."""
    notes = []

    def find() -> list[Finding]:
        content = _locate(whole, PLAN).read_bytes()
        is_signed = STUDY + PLAN_SIGNATURE in whole.inventory.sizes
        faults, note = check_plan_signature(
            content,
            _locate(whole, PLAN_SIGNATURE).read_bytes() if is_signed else None,
            key=None if public_key is None else read_public_key(public_key),
            records=whole.story.records,
        )
        notes.append(note)
        planned = Planned(
            parse_plan(content),
            whole.story.records,
            crosscheck.list_digests(whole.manifest),
            lambda path: read_table(_locate(whole, path)),
        )
        return faults + find_plan_faults(planned)

    check = _try("plan", find)
    return replace(check, note="".join(notes)) if check.status == "PASS" else check


def _find_table_faults(whole: _Bundle, read_table: ReadTable) -> list[Finding]:
    """Hold the tables against the files and against one another."""
    digests = crosscheck.list_digests(whole.manifest)

    def read(path: str) -> agreement.Rows:
        return read_table(_locate(whole, path))

    return [
        *agreement.find_link_faults(read, digests),
        *agreement.find_stray_maps(read, digests),
        *agreement.find_row_faults(read),
    ]


def _locate(whole: _Bundle, path: str) -> Path:
    """Return where a file of the study lies, if it is a regular file of the bundle."""
    if STUDY + path not in whole.inventory.sizes:
        raise AuditError(f"{path}: file must be in the bundle, got none.")
    return whole.inventory.root / STUDY / path


def _check_study(manifest: Manifest, study: Path | None) -> Check:
    """Hash the files that were left out of the bundle."""
    if study is None:
        n_files = len(manifest.referenced)
        return _skip("study", f"{n_files} files left out were not hashed; give --study")
    entries: tuple[Entry, ...] = manifest.referenced
    findings = []
    for entry in track(entries, "hashing the study", total=len(entries)):
        findings += find_entry_faults(study, entry)
    return _answer("study", findings, note=f"{len(entries)} files are the same")
