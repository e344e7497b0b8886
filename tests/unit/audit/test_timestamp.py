"""RFC 3161 responses of an authority made here by openssl, without a network."""

import shutil
import subprocess
from pathlib import Path

import pytest

from medvision.audit.timestamp import check_timestamp, leave_timestamp
from medvision.errors import ConfigError

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")

CONFIG = """\
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[signer]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = here
[here]
serial = serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""


class Authority:
    """A timestamping authority in a folder: a root, a signer, and a clock."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir()
        self.folder, self.root = folder, folder / "root.pem"
        (folder / "openssl.cnf").write_text(CONFIG)
        (folder / "serial").write_text("01\n")
        new = ["-newkey", "rsa:2048", "-nodes", "-sha256"]
        self.run(
            *("req", "-x509", *new, "-days", "3", "-subj", f"/CN={name} root"),
            *("-config", "openssl.cnf", "-extensions", "ca", "-keyout", "root.key"),
            *("-out", "root.pem"),
        )
        self.run(
            *("req", *new, "-subj", f"/CN={name} signer", "-config", "openssl.cnf"),
            *("-keyout", "signer.key", "-out", "signer.csr"),
        )
        self.run(
            *("x509", "-req", "-in", "signer.csr", "-CA", "root.pem", "-CAkey", "root.key"),
            *("-CAcreateserial", "-days", "3", "-sha256", "-extfile", "openssl.cnf"),
            *("-extensions", "signer", "-out", "signer.pem"),
        )

    def run(self, *words: str) -> None:
        """Call openssl in the folder; its own configuration asks for a name of the subject."""
        command = [str(OPENSSL), *words]
        if words[0] == "req":
            text = (self.folder / "openssl.cnf").read_text()
            if "[req]" not in text:
                head = "[req]\ndistinguished_name = dn\n[dn]\n"
                (self.folder / "openssl.cnf").write_text(head + text)
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)

    def stamp(self, path: Path) -> Path:
        """Return the authority's response over a file."""
        query, reply = self.folder / "query.tsq", self.folder / f"{path.stem}.tsr"
        self.run("ts", "-query", "-data", str(path), "-sha256", "-cert", "-out", str(query))
        self.run(
            *("ts", "-reply", "-queryfile", str(query), "-config", "openssl.cnf"),
            *("-section", "here", "-signer", "signer.pem", "-inkey", "signer.key"),
            *("-out", str(reply)),
        )
        return reply


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "tsa", "Here")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "manifest.json").write_text('{"files":[]}')
    return tmp_path


def test_a_response_over_the_manifest_passes_and_tells_the_time(authority, folder) -> None:
    reply = authority.stamp(folder / "manifest.json")
    check = check_timestamp(folder, reply, certificates=authority.root)
    assert check.status == "PASS"
    assert check.level == 0
    assert " UTC" in check.note
    assert "the manifest was there at 20" in check.note


def test_a_response_over_another_manifest_fails(authority, folder) -> None:
    reply = authority.stamp(folder / "manifest.json")
    (folder / "manifest.json").write_text('{"files":[1]}')
    check = check_timestamp(folder, reply, certificates=authority.root)
    assert check.status == "FAIL"
    assert "manifest.json" in str(check.findings[0])


def test_a_response_of_another_authority_fails(authority, folder, tmp_path) -> None:
    other = Authority(tmp_path / "other", "There")
    reply = other.stamp(folder / "manifest.json")
    check = check_timestamp(folder, reply, certificates=authority.root)
    assert check.status == "FAIL"
    assert check_timestamp(folder, reply, certificates=other.root).status == "PASS"


@pytest.mark.parametrize("place", [0.25, 0.5, 0.95])
def test_a_damaged_response_fails_and_does_not_crash(authority, folder, place) -> None:
    reply = authority.stamp(folder / "manifest.json")
    content = bytearray(reply.read_bytes())
    content[int(place * len(content))] ^= 1
    reply.write_bytes(bytes(content))
    assert check_timestamp(folder, reply, certificates=authority.root).status == "FAIL"


def test_a_file_that_is_no_response_fails(authority, folder) -> None:
    (folder / "x.tsr").write_bytes(b"no response")
    check = check_timestamp(folder, folder / "x.tsr", certificates=authority.root)
    assert check.status == "FAIL"


def test_certificates_without_a_root_are_the_callers_fault(authority, folder) -> None:
    reply = authority.stamp(folder / "manifest.json")
    with pytest.raises(ConfigError, match="root certificate"):
        check_timestamp(folder, reply, certificates=authority.folder / "signer.pem")
    (folder / "empty.pem").write_text("x")
    with pytest.raises(ConfigError, match="certificates in PEM"):
        check_timestamp(folder, reply, certificates=folder / "empty.pem")


def test_no_response_leaves_the_question_open() -> None:
    assert leave_timestamp().status == "NOT CHECKED"
