"""Decisions on a bundle: appended one by one, each signed and bound to the one before."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medvision.audit.canonical import read_canonical, read_plain, write_canonical
from medvision.audit.findings import Finding
from medvision.audit.signing import is_signed_by, parse_signature, sign_manifest
from medvision.domain.record import JsonValue
from medvision.errors import AuditError
from medvision.runtime.files import hash_bytes, storage_faults, write_new

FORMAT = "medvision-review/1"
FOLDER = "reviews/"
DECISIONS = ("accept", "reject", "accept-with-limits", "revise")

_SIGNS = "review"
_KEYS = {"format", "root_digest", "number", "previous", "decision", "rationale", "reviewer"}
_PATH = re.compile(r"reviews/\d{4}\.json")
_NO_PREVIOUS = ""


@dataclass(frozen=True)
class Decision:
    """What a reviewer decided, why, and in which role."""

    decision: str
    rationale: str
    reviewer: str


def is_review_path(path: str) -> bool:
    """Tell whether a path below a bundle is one of a review."""
    return _PATH.fullmatch(path) is not None


def append_review(
    bundle: Path, decision: Decision, *, root_digest: str, key: Path, earlier: Mapping[str, bytes]
) -> str:
    """Write a decision as the next file of `reviews/`; none is ever overwritten.

    Args:
        bundle: The bundle's folder.
        decision: What was decided.
        root_digest: The bundle's root digest.
        key: Private key (PEM) of the reviewer.
        earlier: Path below the bundle to bytes of the reviews that are there.

    Returns:
        The path below the bundle.

    Raises:
        AuditError: An earlier review does not hold.
        ConfigError: The key cannot be used.
        StorageError: The folder cannot be written.
    """
    faults, _ = find_review_faults(earlier, root_digest=root_digest)
    if faults:
        raise AuditError(f"{faults[0]}", "do not add to a chain that does not hold.")
    last = [earlier[path] for path in sorted(earlier)][-1:]
    number = len(earlier) + 1
    review: dict[str, JsonValue] = {
        "format": FORMAT,
        "root_digest": root_digest,
        "number": number,
        "previous": hash_bytes(last[0]) if last else _NO_PREVIOUS,
        "decision": decision.decision,
        "rationale": decision.rationale,
        "reviewer": decision.reviewer,
    }
    signature = read_plain(sign_manifest(write_canonical(review), key, signs=_SIGNS), where=_SIGNS)
    path = f"{FOLDER}{number:04d}.json"
    content = write_canonical({"review": review, "signature": signature})
    with storage_faults(bundle / path):
        (bundle / FOLDER).mkdir(exist_ok=True)
        write_new(bundle / path, content, mode=0o644)
    return path


def find_review_faults(
    reviews: Mapping[str, bytes], *, root_digest: str
) -> tuple[list[Finding], list[str]]:
    """Hold each review against its signature, the bundle and the review before it.

    A review that was removed from the middle or changed breaks the chain. That the last ones were
    removed cannot be seen.

    Args:
        reviews: Path below the bundle to bytes.
        root_digest: The bundle's root digest.

    Returns:
        (findings, lines): what is wrong; each decision in one line.
    """
    findings, lines, previous = [], [], _NO_PREVIOUS
    for number, path in enumerate(sorted(reviews), start=1):
        due: dict[str, JsonValue] = {
            "root_digest": root_digest,
            "number": number,
            "previous": previous,
        }
        try:
            review, fingerprint = _parse_review(reviews[path], where=path)
        except AuditError as error:
            findings.append(Finding(path, "review", "readable and signed", error.message))
        else:
            findings += [
                Finding(path, name, str(value) or "none", str(review[name]) or "none")
                for name, value in due.items()
                if review[name] != value
            ]
            by = review["reviewer"] or "no role given"
            lines.append(f"{number}: {review['decision']} ({by}, key {fingerprint[:12]})")
        previous = hash_bytes(reviews[path])
    return findings, lines


def _parse_review(content: bytes, *, where: str) -> tuple[dict[str, JsonValue], str]:
    """Read one review; return what it says and who signed it."""
    value = read_canonical(content, where=where)
    if not isinstance(value, dict) or set(value) != {"review", "signature"}:
        raise AuditError(f"{where}: file must hold a review and its signature, got others.")
    review = value["review"]
    if not isinstance(review, dict) or set(review) != _KEYS or review["format"] != FORMAT:
        raise AuditError(f"{where}: review must be of format {FORMAT}, got another.")
    signature = parse_signature(write_canonical(value["signature"]), signs=_SIGNS)
    if not is_signed_by(write_canonical(review), signature, key=signature.public_key):
        raise AuditError(f"{where}: review must be as it was signed, got another.")
    return review, signature.fingerprint
