"""One JSON value has one text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.audit.canonical import read_canonical, write_canonical
from medvision.errors import AuditError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: object) -> None:
    assert read_canonical(write_canonical(value), where="x") == value


@given(VALUES)
def test_no_other_spelling_is_taken(value: object) -> None:
    for text in (json.dumps(value) + " ", json.dumps(value, indent=1), json.dumps([value])):
        if text.encode() != write_canonical(json.loads(text)):
            with pytest.raises(AuditError, match="canonical JSON"):
                read_canonical(text.encode(), where="x")


@pytest.mark.parametrize("text", ["NaN", "Infinity", '{"a":1,"a":1}', "", "\ufeff1", "1.0.0"])
def test_what_is_no_plain_json_is_refused(text: str) -> None:
    with pytest.raises(AuditError, match="x: file must be plain JSON"):
        read_canonical(text.encode(), where="x")
