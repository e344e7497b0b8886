"""auto becomes the scaling of the cohort's modality, or stops."""

import pytest

from medvision.config.preprocess import PreprocessSection
from medvision.errors import ConfigError
from medvision.preprocess.modality import resolve_intensity
from medvision.preprocess.plan import build_plan


@pytest.mark.parametrize(
    ("modalities", "name", "within"),
    [
        (["CT", "CT"], "ScaleIntensityRange", None),
        (["MR"], "NormalizeIntensity", {"above": "mean"}),
        (["CR", "DX"], "ScaleIntensityRangePercentiles", "image"),
        (["unknown"], "ScaleIntensityRangePercentiles", "image"),
    ],
)
def test_auto_is_resolved_by_the_modality_and_stands_in_the_plan(modalities, name, within):
    section = PreprocessSection(intensity="auto").pipeline
    plan = build_plan(
        spatial_dims=3, **section | resolve_intensity("auto", modalities=modalities, has_voi=False)
    )
    step = next(step for step in plan.steps if step.name == name)
    assert step.parameters.get("within") == within


def test_a_cohort_of_ct_and_mr_is_refused_with_what_to_set():
    with pytest.raises(ConfigError, match="CT, MR") as caught:
        resolve_intensity("auto", modalities=["MR", "CT"], has_voi=False)
    assert "percentile" in caught.value.hint


def test_what_the_user_chose_is_kept_for_any_mix():
    assert resolve_intensity("zscore", modalities=["MR", "CT"], has_voi=True) == {}


def test_a_radiographs_header_comes_before_its_percentiles():
    resolved = resolve_intensity("auto", modalities=["DX"], has_voi=True)
    plan = build_plan(spatial_dims=2, **PreprocessSection().pipeline | resolved)
    (step,) = [step for step in plan.steps if step.name == "VOILUT"]
    assert step.parameters["otherwise"][0] == "ScaleIntensityRangePercentiles"
    assert resolve_intensity("auto", modalities=["CT"], has_voi=True)["intensity"] == "window"
