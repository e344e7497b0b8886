"""The sections of buckets say where, and carry no secret."""

import pytest

from medvision.config.bucket import split_address
from medvision.config.model import Study, build_study
from medvision.errors import ConfigError

DATA = {"kind": "dicom", "labels": "labels.csv"}
SOURCE = {"source": "s3://hospital/chest-ct"}


def test_a_study_takes_its_images_from_a_bucket() -> None:
    study = build_study({"data": DATA, "fetch": SOURCE})
    assert study.fetch.source == "s3://hospital/chest-ct"


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("s3://hospital", ("hospital", "")),
        ("s3://hospital/", ("hospital", "")),
        ("s3://hospital/a/b", ("hospital", "a/b/")),
        ("s3://hospital/a/b/", ("hospital", "a/b/")),
    ],
)
def test_an_address_is_bucket_and_prefix(address: str, parts: tuple[str, str]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address", ["hospital", "s3:/x", "s3://A/x", "https://hospital/x", "s3://"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    for section, field in (("fetch", "source"), ("publish", "target")):
        with pytest.raises(ConfigError, match=f"{section}.{field} must be s3://bucket"):
            build_study({"data": DATA | {"path": "x"}, section: {field: address}})


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("s3.example.org", "fetch.endpoint must be an http or https address"),
        ("https://s3.example.org/?a=b", "fetch.endpoint must be an http or https address"),
        ("https://[s3", "fetch.endpoint must be an http or https address"),
        ("https://u:s3cr3t@s3.example.org", "fetch.endpoint must hold no user or password"),
    ],
)
def test_an_endpoint_that_is_none_or_holds_a_secret_is_refused(endpoint: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build_study({"data": DATA, "fetch": {**SOURCE, "endpoint": endpoint}})
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fetch": SOURCE}, "data.kind must be dicom or nifti"),
        ({"data": {**DATA, "path": "x"}, "fetch": SOURCE}, "data.path empty"),
        ({"data": {"kind": "dicom"}, "fetch": SOURCE}, "data.labels must be given where fetch"),
        ({"data": DATA, "fetch": SOURCE, "pacs": {"protocol": "push"}}, "fetch.source empty"),
    ],
)
def test_images_come_from_one_place(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_study(values)


def test_a_record_names_no_bucket_and_no_server() -> None:
    fetch = {**SOURCE, "endpoint": "https://s3.hospital.example.org"}
    text = str(build_study({"data": DATA, "fetch": fetch}).settings("fetch"))
    assert "hospital" not in text
    assert Study().settings("publish") == {
        "publish": {"target": "", "endpoint": "", "connections": 8}
    }
