"""A bundle's place in time: an RFC 3161 response over its manifest, held against an authority."""

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from medvision.audit.findings import Check, Finding, answer
from medvision.audit.manifest import MANIFEST
from medvision.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_NAME, _QUESTION = "timestamp", "Did a timestamping authority see the manifest, and when?"


def leave_timestamp() -> Check:
    """Leave the question open: no response was given."""
    note = "no timestamp was given; give --timestamp and --tsa-cert"
    return Check(_NAME, _QUESTION, "NOT CHECKED", note=note)


def check_timestamp(bundle: Path, response: Path, *, certificates: Path) -> Check:
    """Hold a timestamping authority's response against a bundle's manifest.

    Args:
        bundle: The bundle's folder.
        response: The authority's answer, DER, as `openssl ts -reply` or a server gives it.
        certificates: PEM with the authority's root certificate and any between it and the signer,
            got from the authority and not with the bundle.

    Returns:
        PASS with the time that the authority names, or FAIL with what is wrong.

    Raises:
        ConfigError: A file cannot be read, or there is no root certificate.

    Source:
        RFC 3161.
    """
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    held, content = _read(response, "--timestamp"), _read(bundle / MANIFEST, MANIFEST)
    roots, others = _read_certificates(certificates)
    verifier = VerifierBuilder(roots=roots, intermediates=others).build()
    try:
        answered = decode_timestamp_response(held)
        verifier.verify_message(answered, content)
        when = answered.tst_info.gen_time.astimezone(UTC)
    except (VerificationError, ValueError) as error:
        rule = f"an authority's word for this {MANIFEST}"
        fault = Finding(response.name, "timestamp", rule, str(error) or type(error).__name__)
        return answer(_NAME, _QUESTION, findings=[fault])
    note = f"the manifest was there at {when:%Y-%m-%d %H:%M:%S} UTC"
    return answer(_NAME, _QUESTION, findings=[], note=note)


def _read(path: Path, thing: str) -> bytes:
    """Return a file's bytes."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{thing}: {path.name} must be a readable file, got {error.strerror}."
        ) from error


def _read_certificates(path: Path) -> tuple[list["Certificate"], list["Certificate"]]:
    """Return the root certificates of a PEM file, and the others."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        found = load_pem_x509_certificates(_read(path, "--tsa-cert"))
    except ValueError as error:
        raise ConfigError(
            f"--tsa-cert: {path.name} must hold certificates in PEM, got none that can be read."
        ) from error
    roots = [held for held in found if held.subject == held.issuer]
    if not roots:
        raise ConfigError(
            f"--tsa-cert: {path.name} must hold the authority's root certificate, got "
            f"{len(found)} that others signed.",
            "put the root's certificate into the same file.",
        )
    return roots, [held for held in found if held.subject != held.issuer]
