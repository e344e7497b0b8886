"""What binds prediction to the trainings."""

import pytest

from medvision.config.model import build_study
from medvision.errors import ConfigError


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"predict": {"ensemble": "seeds"}}, ["train.seeds", "two or more"]),
        (
            {"predict": {"ensemble": "seeds"}, "train": {"seeds": [1, 1]}},
            ["train.seeds", "two or more"],
        ),
        ({"predict": {"views": ["flip"]}}, ["augment.flip_axes", "did not allow"]),
        (
            {
                "predict": {"views": ["flip"]},
                "augment": {"flip_axes": [0]},
                "tune": {"trials": 2, "space": {"augment.flip_axes": {"choices": [[], [0]]}}},
            },
            ["predict.views", "augment.flip_axes"],
        ),
        ({"predict": {"views": ["rotate"]}}, ["predict.views"]),
        ({"predict": {"temperature": 0.7}}, ["predict.temperature"]),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(values, words):
    with pytest.raises(ConfigError) as caught:
        build_study(values)
    assert all(word in caught.value.message for word in words), caught.value.message


def test_off_may_be_written_bare_and_is_the_default():
    study = build_study({"predict": {"ensemble": False, "temperature": False}})
    assert study == build_study({})
    assert (study.predict.ensemble, study.predict.views) == ("off", ())


def test_two_seeds_and_an_allowed_flip_pass():
    build_study(
        {
            "predict": {"ensemble": "seeds", "views": ["flip", "zoom"], "temperature": "fit"},
            "train": {"seeds": [0, 1]},
            "augment": {"flip_axes": [0]},
        }
    )
