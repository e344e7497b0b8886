"""Who we are to a server: credentials from the environment, certificates from files."""

import base64
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from medvision.errors import ConfigError

USER = "MEDVISION_PACS_USER"
PASSWORD = "MEDVISION_PACS_PASSWORD"  # noqa: S105 - the variable's name, not its value
TOKEN = "MEDVISION_PACS_TOKEN"  # noqa: S105 - the variable's name, not its value


@dataclass(frozen=True)
class Credentials:
    """What the environment holds; it stands in no message, log or record.

    Args:
        user: User name, or "".
        password: Its password, or "".
        token: A bearer token, which goes before user and password, or "".
    """

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def header(self) -> str:
        """The value of an Authorization header; "" without credentials.

        Source:
            RFC 6750 2.1 (Bearer), RFC 7617 2 (Basic, in UTF-8).
        """
        if self.token:
            return f"Bearer {self.token}"
        if self.user:
            pair = f"{self.user}:{self.password}".encode()
            return f"Basic {base64.b64encode(pair).decode('ascii')}"
        return ""


def read_credentials(environment: Mapping[str, str]) -> Credentials:
    """Read MEDVISION_PACS_USER, MEDVISION_PACS_PASSWORD and MEDVISION_PACS_TOKEN.

    Args:
        environment: Such as os.environ.

    Raises:
        ConfigError: One of user and password is missing, the user holds a colon, or the token
            holds blanks or other characters that a header cannot carry.
    """
    user, password = environment.get(USER, ""), environment.get(PASSWORD, "")
    token = environment.get(TOKEN, "").strip()
    if bool(user) != bool(password):
        raise ConfigError(
            f"environment: {USER} and {PASSWORD} must be set together, got one of them.",
            "set both, or neither.",
        )
    if ":" in user:
        raise ConfigError(f"environment: {USER} must hold no colon, got one.", "correct the user.")
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise ConfigError(
            f"environment: {TOKEN} must be printable ASCII without blanks, got others.",
            "set the bare token, without the word Bearer before it.",
        )
    return Credentials(user, password, token)


def build_client_context(
    *, ca_file: Path | None, client_cert: Path | None, client_key: Path | None
) -> ssl.SSLContext:
    """Build what a TLS client needs; server names and chains are always checked.

    Args:
        ca_file: Certificates (PEM) of those who may vouch for the server; the system's if None.
        client_cert: Our certificate (PEM), with its chain; None shows none.
        client_key: Its private key (PEM), where it is not in the same file.

    Raises:
        ConfigError: A file is missing or is no certificate or key.
    """
    with _certificate_faults("pacs.ca_file", ca_file):
        context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if client_cert is not None:
        with _certificate_faults("pacs.client_cert", client_cert):
            # Without a password callback OpenSSL would ask on the terminal.
            context.load_cert_chain(client_cert, client_key, password=_refuse_password)
    return context


def build_server_context(
    *, listen_cert: Path, listen_key: Path | None, listen_ca: Path | None
) -> ssl.SSLContext:
    """Build what a TLS server needs.

    Args:
        listen_cert: Our certificate (PEM), with its chain.
        listen_key: Its private key (PEM), where it is not in the same file.
        listen_ca: Certificates (PEM) of those who may vouch for callers, who must then show a
            certificate; None asks for none.

    Raises:
        ConfigError: A file is missing or is no certificate or key.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with _certificate_faults("pacs.listen_cert", listen_cert):
        context.load_cert_chain(listen_cert, listen_key, password=_refuse_password)
    if listen_ca is not None:
        with _certificate_faults("pacs.listen_ca", listen_ca):
            context.load_verify_locations(listen_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _refuse_password() -> str:
    """Answer OpenSSL's question for a password with none."""
    return ""


@contextmanager
def _certificate_faults(name: str, path: Path | None) -> Iterator[None]:
    """Turn a fault of a certificate's file into an error that names the field."""
    try:
        yield
    except OSError as error:  # ssl.SSLError is one of them
        found = "no file there" if isinstance(error, FileNotFoundError) else type(error).__name__
        raise ConfigError(
            f"{name}: file must hold PEM certificates and, where asked for, their key without "
            f"password, got {found}: {path}.",
            "check the path, and that certificate and key belong together.",
        ) from None
