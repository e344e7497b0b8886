"""Credentials and certificates: taken from where they belong, and never quoted."""

from pathlib import Path

import pytest
from orthanc import write_certificate

from medvision.errors import ConfigError
from medvision.io.pacs.access import (
    Credentials,
    build_client_context,
    build_server_context,
    read_credentials,
)
from medvision.io.pacs.remote import is_loopback

SECRET = "s3cr3t"


def test_the_environment_gives_a_password_or_a_token() -> None:
    both = {"MEDVISION_PACS_USER": "ü", "MEDVISION_PACS_PASSWORD": SECRET}
    assert read_credentials(both).header == "Basic w7w6czNjcjN0"
    assert read_credentials({"MEDVISION_PACS_TOKEN": f"{SECRET}\n"}).header == f"Bearer {SECRET}"
    assert read_credentials({}).header == ""


@pytest.mark.parametrize(
    "environment",
    [
        {"MEDVISION_PACS_USER": "u"},
        {"MEDVISION_PACS_PASSWORD": SECRET},
        {"MEDVISION_PACS_USER": f"u:{SECRET}", "MEDVISION_PACS_PASSWORD": SECRET},
        {"MEDVISION_PACS_TOKEN": f"Bearer {SECRET}"},
        {"MEDVISION_PACS_TOKEN": f"{SECRET}\r\nX: y"},
        {"MEDVISION_PACS_TOKEN": f"{SECRET}é"},
    ],
)
def test_what_no_header_can_carry_is_refused_without_quoting_it(
    environment: dict[str, str],
) -> None:
    with pytest.raises(ConfigError, match="environment: MEDVISION_PACS_") as error:
        read_credentials(environment)
    assert SECRET not in str(error.value)


def test_credentials_are_not_shown() -> None:
    assert SECRET not in repr(Credentials(SECRET, SECRET, SECRET))


def test_server_names_and_chains_are_always_checked(tmp_path: Path) -> None:
    import ssl

    certificate, key = write_certificate(tmp_path)
    context = build_client_context(ca_file=certificate, client_cert=certificate, client_key=key)
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    server = build_server_context(listen_cert=certificate, listen_key=key, listen_ca=certificate)
    assert server.verify_mode == ssl.CERT_REQUIRED


def test_files_that_are_no_certificates_are_told_by_their_field(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    text = tmp_path / "text.pem"
    text.write_text("nothing")
    for ca_file in (text, tmp_path / "missing.pem"):
        with pytest.raises(ConfigError, match=r"pacs\.ca_file: file must hold PEM certificates"):
            build_client_context(ca_file=ca_file, client_cert=None, client_key=None)
    with pytest.raises(ConfigError, match=r"pacs\.client_cert: file must"):
        build_client_context(ca_file=None, client_cert=certificate, client_key=None)
    with pytest.raises(ConfigError, match=r"pacs\.listen_cert: file must"):
        build_server_context(listen_cert=key, listen_key=None, listen_ca=None)
    with pytest.raises(ConfigError, match=r"pacs\.listen_ca: file must"):
        build_server_context(listen_cert=certificate, listen_key=key, listen_ca=text)


def test_a_key_behind_a_password_is_refused_instead_of_asking_at_the_terminal(
    tmp_path: Path,
) -> None:
    from cryptography.hazmat.primitives import serialization

    certificate, key = write_certificate(tmp_path)
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"pw"),
        )
    )
    with pytest.raises(ConfigError, match="their key without password"):
        build_client_context(ca_file=None, client_cert=certificate, client_key=key)


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        *((host, True) for host in ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost")),
        *((host, False) for host in ("0.0.0.0", "10.0.0.1", "pacs.example.org", "")),
    ],
)
def test_loopback_is_known(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer
