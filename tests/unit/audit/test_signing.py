"""Keys are made once and kept close; signatures are those that openssl accepts."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from medvision.audit.signing import (
    is_signed_by,
    parse_signature,
    read_public_key,
    sign_manifest,
    write_key_pair,
)
from medvision.errors import ConfigError, StorageError


def test_a_private_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    public = write_key_pair(tmp_path / "keys" / "auditor.pem")
    assert (tmp_path / "keys" / "auditor.pem").stat().st_mode & 0o777 == 0o600
    assert public.name == "auditor.pub.pem"
    assert b"PRIVATE" not in public.read_bytes()


@pytest.mark.parametrize("taken", ["auditor.pem", "auditor.pub.pem"])
def test_a_key_is_never_overwritten(taken: str, tmp_path: Path) -> None:
    (tmp_path / taken).write_text("precious")
    with pytest.raises(StorageError, match="must be a new file"):
        write_key_pair(tmp_path / "auditor.pem")
    assert (tmp_path / taken).read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1


def test_equal_content_and_key_give_equal_signatures(keys: tuple[Path, Path]) -> None:
    assert sign_manifest(b"text", keys[0]) == sign_manifest(b"text", keys[0])


def test_a_signature_fits_its_content_and_key_alone(keys, tmp_path: Path) -> None:
    signature = parse_signature(sign_manifest(b"text", keys[0]))
    assert is_signed_by(b"text", signature, key=read_public_key(keys[1]))
    assert not is_signed_by(b"texT", signature, key=read_public_key(keys[1]))
    other = read_public_key(write_key_pair(tmp_path / "other.pem"))
    assert not is_signed_by(b"text", signature, key=other)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_accepts_the_signature(keys, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b"text")
    value = json.loads(sign_manifest(b"text", keys[0]))["signature"]
    (tmp_path / "signature.bin").write_bytes(base64.b64decode(value))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(keys[1]), "-rawin"]
    command += ["-in", "manifest.json", "-sigfile", "signature.bin"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_key_of_another_kind_or_encrypted_is_refused(tmp_path: Path, keys) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    kinds = {
        "curve.pem": (other, serialization.NoEncryption()),
        "locked.pem": (
            serialization.load_pem_private_key(keys[0].read_bytes(), None),
            serialization.BestAvailableEncryption(b"word"),
        ),
    }
    for name, (key, lock) in kinds.items():
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
        (tmp_path / name).write_bytes(pem)
        with pytest.raises(ConfigError, match=r"audit\.signing_key"):
            sign_manifest(b"text", tmp_path / name)
    with pytest.raises(ConfigError, match=r"audit\.signing_key"):
        sign_manifest(b"text", tmp_path / "none.pem")
    with pytest.raises(ConfigError, match="public key must be Ed25519"):
        read_public_key(keys[0])


def test_a_key_that_others_can_read_is_warned_of(tmp_path: Path, caplog) -> None:
    write_key_pair(tmp_path / "auditor.pem")
    (tmp_path / "auditor.pem").chmod(0o644)
    sign_manifest(b"text", tmp_path / "auditor.pem")
    assert "can be read by others" in caplog.text
