"""The section of the PACS: where a cohort is pulled from, or how it is pushed to us."""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from medvision.config.sections import Positive, PositiveFloat, Section

Port = Annotated[int, Field(ge=1, le=65535)]
Title = Annotated[str, Field(pattern=r"^[ -\[\]-~]{1,16}$")]
Modality = Annotated[str, Field(pattern=r"^[A-Z0-9_]{1,16}$")]


def _write_date(value: object) -> object:
    """Return a date that YAML made of unquoted text as that text."""
    return value.isoformat() if isinstance(value, date) else value


Day = Annotated[str, BeforeValidator(_write_date), Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


CREDENTIALS = ("MEDVISION_PACS_USER", "MEDVISION_PACS_PASSWORD", "MEDVISION_PACS_TOKEN")
"""Variables that only `medvision pull` reads."""


class PacsSection(Section):
    """Where a cohort is pulled from, or how it is pushed to us; then data.path stays empty."""

    protocol: Literal["none", "dicomweb", "c-get", "c-move", "push"] = Field(
        "none",
        description="none reads data.path; dicomweb, c-get and c-move pull; push takes what "
        "`medvision listen` received. Credentials come from the environment: MEDVISION_PACS_USER "
        "and MEDVISION_PACS_PASSWORD, or MEDVISION_PACS_TOKEN.",
    )
    url: str = Field(
        "", description="Root of the DICOMweb services, such as https://host/dicom-web."
    )
    host: str = Field("", description="Name or address of the server, for c-get and c-move.")
    port: Port = Field(104, description="DICOM port of the server.")
    called_ae_title: Title = Field("ANY-SCP", description="The server's AE title.")
    ae_title: Title = Field("MEDVISION", description="Our AE title, as the server knows us.")
    studies: Path | None = Field(
        None,
        description="CSV or TSV of what is asked for: one or more of the columns study_uid, "
        "patient_id, accession_number and series_uid; what a line gives must all match.",
    )
    modalities: tuple[Modality, ...] = Field(
        (), description="Modalities of the series that are pulled, such as [CT, MR]; [] for all."
    )
    since: Day | None = Field(None, description="First date of studies, YYYY-MM-DD.")
    until: Day | None = Field(None, description="Last date of studies, YYYY-MM-DD.")
    connections: Annotated[int, Field(ge=1, le=64)] = Field(
        4, description="Requests at a time; ask the server's owner before raising it."
    )
    retries: Annotated[int, Field(ge=0, le=20)] = Field(
        5, description="Repetitions of a failed request; progress starts the count again."
    )
    backoff_s: PositiveFloat = Field(
        1.0, description="First wait before a repetition; each further one is twice as long."
    )
    timeout_s: PositiveFloat = Field(
        60.0,
        description="Silence in seconds after which a connection is given up; raise it for c-move "
        "from tape.",
    )
    accept_incomplete: bool = Field(
        False, description="Go on although series are incomplete; pull/series.tsv names them."
    )
    tls: bool = Field(False, description="TLS for c-get and c-move; DICOMweb is told by its url.")
    ca_file: Path | None = Field(
        None, description="PEM of who may vouch for the server; the system's when omitted."
    )
    client_cert: Path | None = Field(
        None, description="PEM of our certificate, where the server asks for one."
    )
    client_key: Path | None = Field(
        None, description="PEM of its private key (mode 0600), where it is in a file of its own."
    )
    listen_host: str = Field(
        "127.0.0.1",
        description="Address that c-move and `medvision listen` receive at. The default is "
        "reached from this machine alone; any other needs callers.",
    )
    listen_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        11112, description="Port that c-move and `medvision listen` receive at; 0 takes a free one."
    )
    callers: tuple[Title, ...] = Field(
        (), description="AE titles that may send to us; [] admits all, at 127.0.0.1 alone."
    )
    listen_cert: Path | None = Field(
        None, description="PEM of our certificate; callers must then speak TLS."
    )
    listen_key: Path | None = Field(
        None, description="PEM of its private key (mode 0600), where it is in a file of its own."
    )
    listen_ca: Path | None = Field(
        None, description="PEM of who may vouch for callers, who must then show a certificate."
    )
    max_associations: Positive = Field(8, description="Callers at a time.")
    max_instance_mb: Positive = Field(
        2048, description="Largest instance received by DIMSE; each caller may fill so much memory."
    )
    min_free_gb: PositiveFloat = Field(
        1.0, description="Space that must stay free on the disk; below it nothing is received."
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        """Rules that bind two fields."""
        if self.protocol == "dicomweb":
            self._check_url()
        if self.protocol in {"c-get", "c-move"} and not self.host:
            raise ValueError(f"pacs.host must be given for pacs.protocol {self.protocol}")
        is_pulled = self.protocol not in {"none", "push"}
        if is_pulled and not (self.studies or self.since or self.until):
            raise ValueError("pacs.studies, or pacs.since or pacs.until, must say what is pulled")
        if self.since and self.until and self.since > self.until:
            raise ValueError(f"pacs.since must not be after pacs.until, got {self.since}")
        return self

    def _check_url(self) -> None:
        """Refuse an address that is none, or that would carry a secret."""
        try:
            parts = urlsplit(self.url)
            is_plain = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            is_plain = False
        if not is_plain or parts.query or parts.fragment:
            raise ValueError("pacs.url must be an http or https address without query")
        if parts.username or parts.password:
            raise ValueError("pacs.url must hold no user or password; set them in the environment")
