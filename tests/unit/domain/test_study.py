"""Instances are grouped by what identifies them, and by nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.study import Frame, Instance, group_series


def make_instance(*, subject="s", study="1", series="2", sop="3", file="f"):
    return Instance(
        file=file,
        path=f"somewhere/{file}",
        subject=subject,
        study_uid=study,
        series_uid=series,
        sop_uid=sop,
        sop_class="",
        modality="CT",
        image_type=(),
        frame_of_reference="",
        rows=1,
        columns=1,
        samples=1,
        photometric="MONOCHROME2",
        thickness_mm=None,
        units="HU",
        manufacturer="",
        frames=(Frame(0),),
    )


@given(st.permutations([make_instance(series=s, sop=str(n)) for s in "ab" for n in range(3)]))
def test_order_of_the_input_never_matters(instances):
    series = group_series(list(instances))
    assert [item.series_uid for item in series] == ["a", "b"]
    assert [[one.sop_uid for one in item.instances] for item in series] == [["0", "1", "2"]] * 2


def test_one_series_uid_of_two_subjects_or_studies_is_kept_apart():
    instances = [make_instance(), make_instance(subject="t"), make_instance(study="9")]
    assert len(group_series(instances)) == 3


def test_frame_has_geometry_only_when_nothing_is_missing():
    whole = Frame(0, (0.0, 0, 0), (1.0, 0, 0, 0, 1, 0), (1.0, 1.0))
    assert whole.has_geometry
    assert not Frame(0, None, whole.orientation, whole.spacing_mm).has_geometry
    assert not Frame(0, whole.position_mm, None, whole.spacing_mm).has_geometry
    assert not Frame(0, whole.position_mm, whole.orientation, None).has_geometry
