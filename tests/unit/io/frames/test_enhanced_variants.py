"""What the functional groups of enhanced objects say of what tells frames apart."""

from collections import Counter

import pytest
from enhanced import ENCODINGS, add, build, build_group, item, many_groups, read_variants, write

VARIANTS = {
    "echo": ("MREchoSequence", {"EffectiveEchoTime": 12.5}, {"echo-time-ms": 12.5}),
    "inversion": ("MRModifierSequence", {"InversionTimes": [900.0]}, {"inversion-time-ms": 900.0}),
    "b-value": (
        "MRDiffusionSequence",
        {"DiffusionBValue": 800.0},
        {"b-value": 800, "gradient": ""},
    ),
    "gradient": (
        "MRDiffusionSequence",
        {
            "DiffusionBValue": 800.0,
            "DiffusionGradientDirectionSequence": [
                item(DiffusionGradientOrientation=[0.0, 0.6, -0.8])
            ],
        },
        {"b-value": 800, "gradient": "0,0.6,-0.8"},
    ),
    "trigger": (
        "CardiacSynchronizationSequence",
        {"NominalCardiacTriggerDelayTime": 416.0},
        {"trigger-time-ms": 416.0},
    ),
    "phase": (
        "CardiacSynchronizationSequence",
        {"NominalPercentageOfCardiacPhase": 35.5},
        {"cardiac-phase-percent": 35.5},
    ),
    "temporal": ("FrameContentSequence", {"TemporalPositionIndex": 7}, {"temporal-position": 7.0}),
    "acquisition": (
        "FrameContentSequence",
        {"FrameAcquisitionNumber": 3},
        {"acquisition-number": 3.0},
    ),
    "stack": ("FrameContentSequence", {"StackID": "2"}, {"stack": "2"}),
    "time": (
        "FrameContentSequence",
        {"FrameAcquisitionDateTime": "20240229100000.5"},
        {"acquisition-time-s": 36000.5},
    ),
    "time after midnight": (
        "FrameContentSequence",
        {"FrameReferenceDateTime": "20240301000001"},
        {"acquisition-time-s": 86401.0},
    ),
    "phase image": (
        "MRImageFrameTypeSequence",
        {"FrameType": ["ORIGINAL", "PRIMARY", "P", "NONE"], "ComplexImageComponent": "PHASE"},
        {"component": "P"},
    ),
    "component alone": (
        "MRImageFrameTypeSequence",
        {"FrameType": ["ORIGINAL", "PRIMARY", "T1", "FIELD_MAP"], "ComplexImageComponent": "REAL"},
        {"component": "R", "image-kind": "T1+FIELD_MAP"},
    ),
    "ct": (
        "CTImageFrameTypeSequence",
        {"FrameType": ["DERIVED", "PRIMARY", "VOLUME", "ENERGY_PROP_WT"]},
        {"image-kind": "VOLUME+ENERGY_PROP_WT"},
    ),
    "pet": (
        "PETFrameTypeSequence",
        {"FrameType": ["ORIGINAL", "PRIMARY", "STATIC", "NONE"]},
        {"image-kind": "STATIC"},
    ),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", VARIANTS)
def test_each_group_is_read_by_its_rule_per_frame_and_shared(name, encoding):
    sequence, values, expected = VARIANTS[name]
    own = build_group(0)
    add(own, sequence, **values)
    assert read_variants(write(build([own, build_group(1)]), encoding)) == [expected, {}]
    dataset = build([build_group(0), build_group(1)])
    add(dataset.SharedFunctionalGroupsSequence[0], sequence, **values)
    assert read_variants(write(dataset, encoding)) == [expected, expected]


def test_known_dimensions_stand_in_for_values_that_are_missing():
    groups = []
    for number in range(4):
        group = build_group(number % 2)
        add(
            group,
            "FrameContentSequence",
            DimensionIndexValues=[1, number % 2 + 1, number // 2 + 1],
        )
        groups.append(group)
    dataset = build(groups, pointers=(0x0020_9056, 0x0020_9057, 0x0020_9128))
    assert read_variants(write(dataset)) == [
        {"stack": "1", "temporal-position": 1.0 + number // 2} for number in range(4)
    ]


def test_a_value_counts_before_the_index_that_points_to_it():
    group = build_group(0)
    add(group, "FrameContentSequence", TemporalPositionIndex=5, DimensionIndexValues=[1])
    (variant,) = read_variants(build([group], pointers=(0x0020_9128,)))
    assert variant == {"temporal-position": 5.0}


def test_dimensions_without_a_name_divide_frames_only_where_nothing_else_does():
    def build_two(**content):
        groups = []
        for number in range(4):
            group = build_group(number % 2)
            values = {name: value[number // 2] for name, value in content.items()}
            add(
                group,
                "FrameContentSequence",
                DimensionIndexValues=[number % 2 + 1, number // 2 + 1],
                **values,
            )
            groups.append(group)
        return build(groups, pointers=(0x0020_9057, 0x2005_1011))

    told = read_variants(build_two(TemporalPositionIndex=(1, 2)))
    assert all(set(variant) == {"temporal-position"} for variant in told)
    untold = [variant["image-kind"] for variant in read_variants(build_two())]
    assert untold == ["20051011=1", "20051011=1", "20051011=2", "20051011=2"]


def test_times_alone_do_not_tell_frames_of_one_place_apart():
    groups = []
    for number in range(2):
        group = build_group(0)
        add(
            group,
            "FrameContentSequence",
            FrameAcquisitionDateTime=f"2024022910000{number}",
            DimensionIndexValues=[number + 1],
        )
        groups.append(group)
    kinds = [
        variant["image-kind"] for variant in read_variants(build(groups, pointers=[0x20051011]))
    ]
    assert kinds == ["20051011=1", "20051011=2"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_philips_keeps_in_private_is_read_where_the_public_groups_do_not_tell(encoding):
    groups = []
    for number, (b_value, direction) in enumerate([(0.0, 0.0), (1000.0, 1.0)] * 2):
        group = build_group(number // 2)
        private = item(EchoTime=3, TriggerTime=12)
        imaging = private.private_block(0x2001, "Philips Imaging DD 001", create=True)
        imaging.add_new(0x03, "FL", b_value)
        mr = private.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        for k in range(3):
            mr.add_new(0xB0 + k, "FL", direction * (k == 1))
        block = group.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
        block.add_new(0x0F, "SQ", [private])
        groups.append(group)
    found = read_variants(write(build(groups), encoding))
    common = {"echo-time-ms": 3.0, "trigger-time-ms": 12.0}
    assert found[0] == common | {"b-value": 0.0, "gradient": ""}
    assert found[1] == common | {"b-value": 1000.0, "gradient": "0,1,0"}


def test_attributes_that_a_conversion_could_not_assign_tell_frames_apart():
    groups = []
    for number in range(4):
        group = build_group(number % 2)
        add(group, "UnassignedPerFrameConvertedAttributesSequence", TriggerTime=100 * (number // 2))
        groups.append(group)
    found = [variant["trigger-time-ms"] for variant in read_variants(write(build(groups)))]
    assert found == [0.0, 0.0, 100.0, 100.0]


def test_the_instance_number_of_the_object_is_noted_for_series_of_several():
    dataset = build([build_group(0)])
    dataset.InstanceNumber = 4
    assert read_variants(write(dataset)) == [{"instance-number": 4.0}]


def test_a_stack_named_by_free_text_is_named_by_its_place_among_stacks():
    group = build_group(0)
    add(group, "FrameContentSequence", StackID="ANNA MUELLER", DimensionIndexValues=[2])
    assert read_variants(build([group], pointers=(0x0020_9056,))) == [{"stack": "2"}]
    assert read_variants(build([group])) == [{}]


def test_volumes_that_agree_in_all_but_their_place_in_a_dimension_are_numbered_by_it():
    groups = []
    for number, (b_value, gradient) in enumerate([(0.0, 2), (0.0, 1), (900.0, 3)] * 2):
        group = build_group(number // 3)
        add(group, "MRDiffusionSequence", DiffusionBValue=b_value)
        add(group, "FrameContentSequence", DimensionIndexValues=[number // 3 + 1, gradient])
        groups.append(group)
    dataset = build(groups, pointers=(0x0020_9057, 0x0018_9089))
    found = [variant["instance-number"] for variant in read_variants(dataset)]
    assert found == [2.0, 1.0, 3.0] * 2
    assert all("image-kind" not in variant for variant in read_variants(dataset))
    dataset.InstanceNumber = 7
    found = [variant["instance-number"] for variant in read_variants(dataset)]
    assert found == [700002.0, 700001.0, 700003.0] * 2


def test_frames_of_three_planes_and_two_times_are_counted_right():
    dataset = build(many_groups(n_times=4, n_places=6))
    times = Counter(variant["temporal-position"] for variant in read_variants(dataset))
    assert times == {1.0: 12, 2.0: 12}
