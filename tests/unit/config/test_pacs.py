"""The section of the PACS says what can be pulled, and carries no secret."""

from collections.abc import Mapping

import pytest

from medvision.config.model import build_study, load_study
from medvision.errors import ConfigError

WEB = {"protocol": "dicomweb", "url": "https://pacs/dicom-web", "studies": "a.csv"}
DATA = {"kind": "dicom", "labels": "labels.csv"}


def build(pacs: Mapping[str, object], data: Mapping[str, object] = DATA) -> object:
    return build_study({"data": dict(data), "pacs": dict(pacs)})


@pytest.mark.parametrize(
    "pacs",
    [
        WEB,
        {**WEB, "studies": None, "since": "2024-01-01"},
        {"protocol": "c-get", "host": "pacs", "studies": "a.csv"},
        {"protocol": "c-move", "host": "pacs", "until": "2024-01-01"},
        {"protocol": "push"},
        {"protocol": "none"},
    ],
)
def test_sections_that_can_be_obeyed_pass(pacs: dict[str, object]) -> None:
    build(pacs, {"kind": "dicom", "labels": "l.csv"} if pacs["protocol"] != "none" else {})


@pytest.mark.parametrize(
    ("pacs", "message"),
    [
        ({**WEB, "url": ""}, "pacs.url must be an http or https address"),
        ({**WEB, "url": "ftp://pacs/x"}, "pacs.url must be an http or https address"),
        ({**WEB, "url": "https://pacs/x?y=1"}, "pacs.url must be an http or https address"),
        ({**WEB, "url": "https://[pacs/x"}, "pacs.url must be an http or https address"),
        ({**WEB, "url": "https://u:s3cr3t@pacs/x"}, "pacs.url must hold no user or password"),
        ({**WEB, "studies": None}, "must say what is pulled"),
        ({"protocol": "c-get", "studies": "a.csv"}, "pacs.host must be given"),
        ({**WEB, "since": "2024-02-01", "until": "2024-01-01"}, "pacs.since must not be after"),
        ({**WEB, "since": "1.2.2024"}, "pacs.since: value must"),
        ({**WEB, "ae_title": "SEVENTEEN LETTERS"}, "pacs.ae_title: value must"),
        ({**WEB, "ae_title": "a\\b"}, "pacs.ae_title: value must"),
        ({**WEB, "modalities": ["ct*"]}, "pacs.modalities.0: value must"),
        ({**WEB, "password": "s3cr3t"}, "pacs.password: key must be known"),
    ],
)
def test_what_cannot_be_obeyed_is_told(pacs: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(pacs)
    assert message in str(error.value)
    assert "s3cr3t" not in str(error.value)


@pytest.mark.parametrize(
    "data",
    [{}, {"kind": "nifti", "labels": "l.csv"}, {**DATA, "path": "scans"}, {"kind": "dicom"}],
)
def test_what_is_pulled_takes_the_place_of_a_folder(data: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"where pacs\.protocol is set"):
        build(WEB, data)


def test_dates_may_be_written_without_quotes() -> None:
    study = load_study(
        None,
        overrides=[
            "data.kind=dicom",
            "data.labels=l.csv",
            "pacs.protocol=c-get",
            "pacs.host=pacs",
            "pacs.since=2024-01-31",
        ],
    )
    assert study.pacs.since == "2024-01-31"


def test_a_records_settings_name_no_path_or_address() -> None:
    study = build_study({"data": DATA, "pacs": {**WEB, "ca_file": "/home/mueller/ca.pem"}})
    text = str(study.settings("pull"))
    assert "mueller" not in text
    assert "https://pacs" not in text
