"""Tables of findings and values on their way in: what doctor says, what cohort refuses."""

import json
from pathlib import Path

import pytest
from pipeline import call

from medvision.cli._inputs import choose_classes, read_labels
from medvision.config.sections import DataSection
from medvision.errors import LabelError

COLUMNS = "participant_id,Effusion,Nodule,site\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text)
    return path


def read(path: Path, **fields):
    data = DataSection(kind="nifti", path=path.parent, labels=path, **fields)
    return data, read_labels(path, data=data)


def run_doctor(folder: Path, path: Path, **data):
    values = {"data": {"kind": "nifti", "path": str(folder), "labels": str(path), **data}}
    values |= {"output": {"path": str(folder / "results")}, "cohort": {"folds": 2}}
    return call(["doctor", "--config", json.dumps(values)])


def test_findings_in_columns_need_no_column_label(tmp_path):
    path = write(tmp_path, COLUMNS + "a,1,0,x\nb,,1,y\nc,0,0,x\n")
    data, rows = read(path, task="multilabel", findings=("Effusion", "Nodule"))
    assert [row["label"] for row in rows] == ["Effusion", "Nodule|Effusion?", "No Finding"]
    assert [row["site"] for row in rows] == ["x", "y", "x"]
    classes = choose_classes(data, [row["label"] for row in rows])
    assert (classes.names, classes.task) == (("Effusion", "Nodule"), "multilabel")


def test_a_class_in_the_column_label_gives_way_to_the_value(tmp_path):
    path = write(tmp_path, "subject,label,age\na,ill,61\nb,well,47.5\n")
    data, rows = read(path, task="regression", label_column="age")
    assert [row["label"] for row in rows] == ["61", "47.5"]
    assert choose_classes(data, ["61", "47.5"]).names == ("age",)


def test_a_class_in_the_column_label_is_refused_as_before_without_a_task(tmp_path):
    path = write(tmp_path, "subject,label,age\na,ill,61\nb,well,47.5\n")
    with pytest.raises(LabelError, match="must not have a column label besides age"):
        read(path, label_column="age")


def test_doctor_counts_each_finding_and_all(tmp_path):
    rows = "".join(f"s{n},{n % 2},{int(n < 4)},x\n" for n in range(8))
    result = run_doctor(
        tmp_path,
        write(tmp_path, COLUMNS + rows),
        task="multilabel",
        findings=["Effusion", "Nodule"],
    )
    words = " ".join(result.output.split())
    assert "Effusion 4 rows of 4 subjects, Nodule 4 rows of 4 subjects; 8 rows of 8" in words


def test_doctor_says_where_the_values_lie(tmp_path):
    rows = "".join(f"s{n},{40 + n}\n" for n in range(8))
    path = write(tmp_path, "subject,age\n" + rows)
    result = run_doctor(tmp_path, path, task="regression", label_column="age")
    assert "age 40 to 47, 8 rows of 8 subjects" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("table", "data", "message"),
    [
        (
            COLUMNS + "a,1,0,x\nb,maybe,1,y\n",
            {"task": "multilabel", "findings": ["Effusion", "Nodule"]},
            "labels line 3: Effusion must be 1, 0, empty or n/a, got maybe",
        ),
        (
            COLUMNS + "a,1,0,x\nb,1,1,y\n",
            {"task": "multilabel", "findings": ["Effusion", "Nodule"]},
            "finding Effusion must be there in some images and absent in others, got 2 and 0",
        ),
        (
            "subject,age\na,61\nb,old\n",
            {"task": "regression", "label_column": "age"},
            "labels line 3: label must be a finite number for data.task regression, got old",
        ),
    ],
)
def test_doctor_names_the_line_that_cannot_be(tmp_path, table, data, message):
    result = run_doctor(tmp_path, write(tmp_path, table), **data)
    assert result.exit_code != 0
    assert message in " ".join(result.output.split())
