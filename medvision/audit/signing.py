"""Ed25519 signatures of a manifest or a plan, and the keys that make and check them."""

import base64
import binascii
import logging
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from medvision.audit.canonical import read_canonical, write_canonical
from medvision.audit.manifest import MANIFEST, SIGNATURE
from medvision.domain.record import JsonValue
from medvision.errors import AuditError, ConfigError, StorageError
from medvision.runtime.files import hash_bytes, is_exposed, storage_faults, write_new

FORMAT = "medvision-signature/1"
_KEYS = {"format", "algorithm", "signs", "public_key", "fingerprint", "signature"}
_PEM = serialization.Encoding.PEM
_DER = serialization.Encoding.DER
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Signature:
    """A detached signature and the key that is said to have made it."""

    public_key: Ed25519PublicKey
    value: bytes

    @property
    def fingerprint(self) -> str:
        return compute_fingerprint(self.public_key)


def write_key_pair(path: Path) -> Path:
    """Make a new pair of keys: the private one at `path` (mode 0600), the public one beside it.

    Args:
        path: New file for the private key, PEM (PKCS 8), not encrypted.

    Returns:
        Path of the public key, `<stem>.pub.pem`.

    Raises:
        StorageError: A file is already there (a key is never overwritten), or the folder cannot
            be written.
    """
    public_path = path.with_name(f"{path.stem}.pub.pem")
    for taken in (path, public_path):
        if taken.exists():
            raise StorageError(
                f"{taken.name}: key must be a new file, got one that exists.",
                "choose another path; a lost private key cannot be made again.",
            )
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_new(path, private, mode=0o600)
        write_new(public_path, key.public_key().public_bytes(_PEM, _SPKI), mode=0o644)
    return public_path


def sign_manifest(content: bytes, key_path: Path, *, signs: str = MANIFEST) -> bytes:
    """Return the text of signature.json for a file; equal inputs give equal bytes.

    Args:
        content: The bytes of the file, which are signed as they are.
        key_path: Private key, PEM.
        signs: Name of the file that is signed; the bundle's manifest unless it is another.

    Raises:
        ConfigError: The file is no private Ed25519 key, or is encrypted.
    """
    key = _read_private_key(key_path)
    public = key.public_key()
    return write_canonical(_describe(public, key.sign(content), signs=signs))


def parse_signature(content: bytes, *, signs: str = MANIFEST) -> Signature:
    """Read signature.json, trusting nothing in it.

    Args:
        content: Its bytes.
        signs: Name of the file beside it that it must sign.

    Raises:
        AuditError: It is not of the known format, signs another file, or its key or value cannot
            be read.
    """
    where = PurePosixPath(signs).with_name(SIGNATURE).as_posix()
    value = read_canonical(content, where=where)
    if not isinstance(value, dict) or set(value) != _KEYS or value["format"] != FORMAT:
        raise AuditError(f"{where}: content must be of format {FORMAT}, got another.")
    try:
        raw = base64.b64decode(str(value["signature"]), validate=True)
        public = _parse_public_key(str(value["public_key"]).encode())
    except (binascii.Error, ValueError, UnsupportedAlgorithm) as error:
        raise AuditError(f"{where}: key and value must be readable, got {error}.") from error
    # Base64 and PEM have several texts for one value; only the one we write is taken.
    if _describe(public, raw, signs=signs) != value:
        raise AuditError(f"{where}: texts must be as written by seal, got other spellings.")
    return Signature(public, raw)


def is_signed_by(content: bytes, signature: Signature, *, key: Ed25519PublicKey) -> bool:
    """Tell whether a key's holder signed these bytes."""
    try:
        key.verify(signature.value, content)
    except InvalidSignature:
        return False
    return True


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key.

    Raises:
        ConfigError: The file is no public Ed25519 key in PEM.
    """
    try:
        return _parse_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"{path.name}: public key must be Ed25519 in PEM, got a file that is not.",
            "`medvision audit keygen` writes it as <name>.pub.pem.",
        ) from error


def compute_fingerprint(key: Ed25519PublicKey) -> str:
    """Return the sha256 of a public key's DER form."""
    return hash_bytes(key.public_bytes(_DER, _SPKI))


def _describe(public: Ed25519PublicKey, value: bytes, *, signs: str) -> dict[str, JsonValue]:
    """Return the content of signature.json."""
    return {
        "format": FORMAT,
        "algorithm": "Ed25519",
        "signs": signs,
        "public_key": public.public_bytes(_PEM, _SPKI).decode(),
        "fingerprint": compute_fingerprint(public),
        "signature": base64.b64encode(value).decode(),
    }


def _parse_public_key(content: bytes) -> Ed25519PublicKey:
    """Read PEM and refuse keys of another kind."""
    key = serialization.load_pem_public_key(content)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("a key of another kind")
    return key


def _read_private_key(path: Path) -> Ed25519PrivateKey:
    """Read the private key that the configuration names."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if is_exposed(path):
            _log.warning("audit.signing_key can be read by others: set its mode to 0600.")
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"audit.signing_key: {path.name} must be a private key in PEM that is not encrypted, "
            "got a file that is not.",
            "make one with `medvision audit keygen PATH`.",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError("audit.signing_key: key must be Ed25519, got another kind.")
    return key
