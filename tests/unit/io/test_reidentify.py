"""The table that undoes pseudonyms: complete, and closed to everybody but its owner."""

import stat

from dicoms import Plan, make_volume, write_series

from medvision.io.deidentify import Pseudonymiser
from medvision.io.reidentify import Identity, list_identities, write_reidentification
from medvision.io.tables import read_table

NAMES = Pseudonymiser(bytes(16))


def list_rows(folder):
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return list(list_identities(paths, NAMES, open_file=lambda path: (folder / path).open("rb")))


def test_every_pseudonym_has_its_original_once(tmp_path):
    write_series(tmp_path, Plan(make_volume((4, 3, 2)), extra={"IssuerOfPatientID": "A"}))
    (tmp_path / "notes").write_text("words")
    (tmp_path / "broken").write_bytes(bytes(128) + b"DICM" + b"\x10\0\x10\0\xff\xff\xff\x7f")
    rows = list_rows(tmp_path)
    assert len(rows) == len(set(rows))
    assert {("subject", NAMES.subject("P-1", issuer="A"), "A|P-1")} <= set(rows)
    for kind, original in (
        ("study", "1.2.3.1"),
        ("series", "1.2.3.1.1"),
        ("instance", "1.2.3.1.1.2"),
    ):
        assert (kind, NAMES.uid(original), original) in rows
    files = {row.original for row in rows if row.kind == "file"}
    assert files == {path.name for path in tmp_path.iterdir()}


def test_table_is_closed_and_read_back(tmp_path):
    write_series(tmp_path / "in", Plan(make_volume((4, 3, 2))))
    rows = list_rows(tmp_path / "in")
    path = tmp_path / "secret" / "reidentification.tsv"
    write_reidentification(path, rows)
    write_reidentification(path, rows)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [tuple(row.values()) for row in read_table(path)] == [tuple(row) for row in rows]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_name_that_is_no_unicode_does_not_stop_the_table(tmp_path):
    rows = list(
        list_identities(["a\udcff"], NAMES, open_file=lambda _: (tmp_path / "no").open("rb"))
    )
    path = tmp_path / "secret" / "table.tsv"
    write_reidentification(path, rows)
    assert "a\\udcff" in path.read_text()


def test_line_end_in_a_name_is_a_part_of_it(tmp_path):
    path = tmp_path / "secret" / "reidentification.tsv"
    write_reidentification(path, [Identity("file", "f", "a\rb"), Identity("file", "g", "a\nb")])
    assert [row["original"] for row in read_table(path)] == ["a\rb", "a\nb"]
