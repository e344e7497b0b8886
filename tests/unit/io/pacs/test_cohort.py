"""What is asked for: read from a table, or by dates, without quoting it."""

from pathlib import Path

import pytest

from medvision.errors import DataError
from medvision.io.pacs.cohort import Cohort, Wish, read_cohort


def read(folder: Path, text: str) -> Cohort:
    path = folder / "studies.csv"
    path.write_text(text)
    return read_cohort(path, modalities=(), since=None, until=None)


def test_each_line_asks_for_what_it_gives_and_repeats_count_once(tmp_path: Path) -> None:
    cohort = read(
        tmp_path,
        "study_uid,patient_id,accession_number,note\n1.2,,,x\n,P 7,A-1,\n1.2,,,y\n,0042,,\n",
    )
    assert cohort.wishes == (
        Wish(2, {"StudyInstanceUID": "1.2"}),
        Wish(3, {"PatientID": "P 7", "AccessionNumber": "A-1"}),
        Wish(5, {"PatientID": "0042"}),
    )


def test_one_series_of_a_study_can_be_asked_for(tmp_path: Path) -> None:
    cohort = read(tmp_path, "study_uid,series_uid\n1.2,1.2.3\n")
    assert cohort.wishes == (Wish(2, {"StudyInstanceUID": "1.2"}, "1.2.3"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject\nMueller\n", "columns must include one of study_uid, series_uid"),
        ("study_uid\n", "columns must include one of"),
        ("study_uid,x\n,Mueller\n", "line 2: row must give one of study_uid"),
        ("patient_id\nP1\nMue*ler\n", "line 3: patient_id must be one value"),
        ("patient_id\nMue?ler\n", "line 2: patient_id must be one value"),
        ("patient_id\nMueller\\Maier\n", "line 2: patient_id must be one value"),
        ("patient_id\n" + "Mueller" * 20 + "\n", "line 2: patient_id must be one value"),
        ("study_uid\n1.2/../Mueller\n", "line 2: study_uid must be one value"),
        ("study_uid,series_uid\n,1.2.3\n", "line 2: series_uid must stand beside"),
    ],
)
def test_what_cannot_be_asked_for_is_told_by_its_line_alone(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path, text)
    assert "Mueller" not in str(error.value)


@pytest.mark.parametrize(
    ("since", "until", "dates"),
    [
        (None, None, ""),
        ("2024-01-31", None, "20240131-"),
        (None, "2024-02-01", "-20240201"),
        ("2024-01-31", "2024-02-01", "20240131-20240201"),
    ],
)
def test_dates_become_a_range_of_the_standard(
    since: str | None, until: str | None, dates: str
) -> None:
    cohort = read_cohort(None, modalities=("CT", "MR"), since=since, until=until)
    assert cohort.dates == dates
    matches = cohort.list_matches(cohort.wishes[0])
    assert [match["ModalitiesInStudy"] for match in matches] == ["CT", "MR"]


def test_what_a_server_returns_beyond_the_question_is_left_out() -> None:
    cohort = Cohort((Wish(0, {}),), ("CT",), "20240101-20241231")
    assert cohort.fits_date("20240101")
    assert cohort.fits_date("20241231")
    assert not cohort.fits_date("20231231")
    assert not cohort.fits_date("")
    assert cohort.fits_modality("CT")
    assert not cohort.fits_modality("")
