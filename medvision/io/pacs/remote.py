"""The server that a cohort is pulled from, as the configuration describes it."""

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from medvision.errors import DataError
from medvision.io.pacs.access import Credentials, build_client_context


@dataclass(frozen=True)
class Remote:
    """One server.

    Args:
        url: Root of its DICOMweb services; "" for DIMSE.
        host: Its name or address; "" for DICOMweb.
        port: Its DICOM port.
        called_ae_title: Its application entity title.
        ae_title: Ours.
        tls: Speak DIMSE over TLS.
        ca_file: Who may vouch for the server (PEM); the system's authorities if None.
        client_cert: Our certificate (PEM), where the server asks for one.
        client_key: Its private key, where it is not in the same file.
        timeout_s: Seconds of silence after which a connection is given up.
        credentials: From the environment.
    """

    url: str
    host: str
    port: int
    called_ae_title: str
    ae_title: str
    tls: bool
    ca_file: Path | None
    client_cert: Path | None
    client_key: Path | None
    timeout_s: float
    credentials: Credentials

    @property
    def name(self) -> str:
        """How messages call the server."""
        return self.url or f"{self.host}:{self.port}"

    def build_context(self) -> ssl.SSLContext:
        """Build the TLS context of our side as a client.

        Raises:
            ConfigError: A certificate's file is missing or unusable.
        """
        return build_client_context(
            ca_file=self.ca_file, client_cert=self.client_cert, client_key=self.client_key
        )

    def fail(self, what: str, hint: str) -> DataError:
        """Return the error that ends a pull: `what` completes `server must ...`."""
        return DataError(f"{self.name}: server must {what}.", hint)

    def fail_silent(self) -> DataError:
        """Return the error of a server that does not answer."""
        return self.fail(
            f"answer within {self.timeout_s:g} s, got no answer",
            "check address, port, firewall and TLS settings of section pacs; what was received "
            "stays, and the same command goes on from there.",
        )

    def fail_certificate(self) -> DataError:
        """Return the error of a server whose certificate does not verify."""
        return self.fail(
            "show a certificate that verifies, got another",
            "set pacs.ca_file to the certificate of the authority that signed the server's, and "
            "address the server by the name that its certificate bears.",
        )


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
