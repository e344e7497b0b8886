"""Was what is explained what had been planned, and the plan there before?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from medvision.audit.canonical import read_rfc8785
from medvision.audit.findings import Finding
from medvision.audit.signing import compute_fingerprint, is_signed_by, parse_signature
from medvision.domain.explanation.plan import CASE_KEYS, FORMAT, KEYS, PLAN, PLAN_SIGNATURE
from medvision.domain.record import JsonValue, Record
from medvision.errors import AuditError

Rows = Sequence[Mapping[str, object]]
Table = dict[str, JsonValue]

SELECTION = "explain/selection.tsv"
ATTRIBUTIONS = "explain/attributions.tsv"
CHECKS = "explain/checks.tsv"

_PINNED = ("predictions", "classes", "models")
_UNSIGNED = "the plan is not signed: that it came first rests on the records alone"


@dataclass(frozen=True)
class Planned:
    """A plan, and what a bundle says of it.

    Args:
        plan: Its content.
        records: Step name to record.
        digests: Path below the output folder to sha256.
        read: Reads a table by its path below the output folder.
    """

    plan: Table
    records: Mapping[str, Record]
    digests: Mapping[str, str]
    read: Callable[[str], Rows]


def parse_plan(content: bytes) -> Table:
    """Read plan.json, trusting nothing in it.

    Raises:
        AuditError: It is not canonical, or not of the known format.
    """
    value = read_rfc8785(content, where=PLAN)
    if not isinstance(value, dict) or set(value) != set(KEYS) or value["format"] != FORMAT:
        raise AuditError(f"{PLAN}: content must be of format {FORMAT}, got another.")
    kinds: dict[str, type] = dict.fromkeys(("selection", "settings", *_PINNED), dict)
    for name, kind in (kinds | {"cases": list, "methods": list, "checks": list}).items():
        if not isinstance(value[name], kind):
            raise AuditError(f"{PLAN}: {name} must be a {kind.__name__}, got another kind.")
    if not all(isinstance(case, dict) and set(case) == set(CASE_KEYS) for case in _cases(value)):
        raise AuditError(f"{PLAN}: each case must hold {', '.join(CASE_KEYS)}, got otherwise.")
    return value


def find_plan_faults(planned: Planned) -> list[Finding]:
    """Hold a plan against the records, the files it names and what was explained.

    Returns:
        What was read and written in another order, files that are not as planned, cases that were
        dropped, added or changed, and maps that were not planned or are missing without a reason.
    """
    cases = _cases(planned.plan)
    return [
        *_find_order_faults(planned.records),
        *_find_settings_faults(planned),
        *_find_file_faults(planned),
        *compare_cases(SELECTION, wanted=cases, held=planned.read(SELECTION)),
        *_find_map_faults(planned),
    ]


def compare_cases(where: str, *, wanted: Rows, held: Rows) -> list[Finding]:
    """Name the cases that were dropped, added, changed or moved.

    Args:
        where: What holds them, for the finding.
        wanted: The cases as they must be, in order.
        held: The cases as they are.
    """
    due = {str(row["image_id"]): _spell(row) for row in wanted}
    there = {str(row["image_id"]): _spell(row) for row in held}
    findings = [
        Finding(f"{where} {image}", "case", "explained, as planned", "none: it was dropped")
        for image in due
        if image not in there
    ]
    findings += [
        Finding(f"{where} {image}", "case", "absent: it was not planned", "one that was added")
        for image in there
        if image not in due
    ]
    findings += [
        Finding(f"{where} {image}", name, text, there[image][name])
        for image in due
        if image in there
        for name, text in due[image].items()
        if there[image][name] != text
    ]
    if not findings and ([*due] != [*there] or len(held) != len(there)):
        findings.append(Finding(where, "cases", "each once, in the order of the draw", "another"))
    return findings


def check_plan_signature(
    content: bytes,
    signature: bytes | None,
    *,
    key: Ed25519PublicKey | None,
    records: Mapping[str, Record],
) -> tuple[list[Finding], str]:
    """Check who signed a plan.

    Args:
        content: The bytes of plan.json.
        signature: The bytes of its signature, if there is one.
        key: The key that must have signed it; None takes the one that the signature names.
        records: Step name to record.

    Returns:
        (findings, note): what is wrong, and what a reader must know where nothing is.
    """
    record = records.get("plan")
    is_due = record is not None and record.facts.get("signed") is True
    if signature is None:
        fault = Finding(PLAN_SIGNATURE, "file", "present, as the plan's record says", "none")
        return ([fault], "") if is_due else ([], _UNSIGNED)
    try:
        held = parse_signature(signature, signs=PLAN)
    except AuditError as error:
        return [Finding(PLAN_SIGNATURE, "content", "readable", error.message)], ""
    wanted = held.public_key if key is None else key
    if not is_signed_by(content, held, key=wanted) or held.fingerprint != compute_fingerprint(
        wanted
    ):
        rule = f"valid for this {PLAN} by the key {compute_fingerprint(wanted)}"
        return [Finding(PLAN_SIGNATURE, "signature", rule, f"that of {held.fingerprint}")], ""
    return [], f"the plan is signed by the key {held.fingerprint}"


def _cases(plan: Table) -> list[Table]:
    """Return the cases of a plan."""
    cases = plan["cases"]
    return [case for case in cases if isinstance(case, dict)] if isinstance(cases, list) else []


def _spell(row: Mapping[str, object]) -> dict[str, str]:
    """Return what is said of a case, as text: tables hold nothing else."""
    return {name: str(row.get(name, "")) for name in CASE_KEYS}


def _find_order_faults(records: Mapping[str, Record]) -> list[Finding]:
    """Check that explain read the plan, and the plan nothing that came of explaining."""
    # Each share of the explanations, and what gathers them.
    explained = {"explain", *(name for name in records if name.startswith("explain/"))}
    findings = [
        Finding(f"step {name}", PLAN, "among its reads", "none")
        for name in sorted(explained)
        if name not in records or PLAN not in records[name].reads
    ]
    findings += [
        Finding("step plan", path, "not read: the plan comes first", "a read")
        for path in (records["plan"].reads if "plan" in records else {})
        if path.startswith(("explain/", "report/"))
    ]
    return findings


def _find_settings_faults(planned: Planned) -> list[Finding]:
    """Hold the plan's settings against those that explain obeyed."""
    record = planned.records.get("explain")
    held = record.parameters.get("explain") if record else None
    wanted = planned.plan["settings"]
    if held == wanted and isinstance(wanted, dict):
        methods = planned.plan["methods"]
        same = methods == wanted.get("methods")
        return [] if same else [Finding(PLAN, "methods", "those of its settings", "others")]
    both = [value if isinstance(value, dict) else {} for value in (wanted, held)]
    names = sorted({*both[0], *both[1]})
    return [
        Finding("step explain", f"explain.{name}", f"as planned, {both[0].get(name)!r}", repr(got))
        for name in names
        if (got := both[1].get(name)) != both[0].get(name)
    ] or [Finding("step explain", "settings", "those of the plan", "none")]


def _find_file_faults(planned: Planned) -> list[Finding]:
    """Hold the digests that the plan pinned against the files in the bundle."""
    findings = []
    for name in _PINNED:
        pinned = planned.plan[name]
        for path, digest in sorted(pinned.items()) if isinstance(pinned, dict) else ():
            held = planned.digests.get(path, "no such file")
            if held != digest:
                findings.append(Finding(path, "sha256", f"{digest}, as planned", held))
    return findings


def _find_map_faults(planned: Planned) -> list[Finding]:
    """Name planned maps that are missing without a refusal, and maps that were not planned."""
    methods = planned.plan["methods"]
    names = [str(name) for name in methods] if isinstance(methods, list) else []
    owed = {(str(case["image_id"]), name) for case in _cases(planned.plan) for name in names}
    there = {(str(r["image_id"]), str(r["method"])) for r in planned.read(ATTRIBUTIONS)}
    refused = {
        (str(row["image_id"]), str(row["method"]))
        for row in planned.read(CHECKS)
        if str(row["reason"]).startswith("refused: ")
    }
    missing = [
        Finding(f"{ATTRIBUTIONS} {image}", method, "mapped as planned, or refused", "neither")
        for image, method in sorted(owed - there - refused)
    ]
    return missing + [
        Finding(f"{ATTRIBUTIONS} {image}", method, "absent: it was not planned", "a map")
        for image, method in sorted(there - owed)
    ]
