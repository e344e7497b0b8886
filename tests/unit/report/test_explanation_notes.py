"""What the page says beside the tables: which methods were refused, and why."""

from medvision.domain.record import JsonValue
from medvision.report.explanation_notes import list_notes
from medvision.report.sources import Sources


def note(**methods: JsonValue) -> tuple[str, ...]:
    return list_notes(Sources(tables={}, documents={"explain_summary": {"methods": methods}}))


def test_a_refused_method_is_said_with_its_reason_and_number_of_images() -> None:
    refused: JsonValue = [{"reason": "there is no rule for SiLU", "n_images": 12}]
    (said,) = note(deeplift={"refused": refused}, saliency={"refused": []})
    assert said == ("DeepLIFT: refused for 12 images, no map is shown: there is no rule for SiLU.")


def test_a_grid_too_coarse_is_said_too() -> None:
    assert note(layer_gradcam={"too_coarse": "too coarse.", "refused": []}) == (
        "Grad-CAM: too coarse.",
    )


def test_results_of_earlier_checkouts_say_nothing() -> None:
    assert note(occlusion={"too_coarse": None}) == ()
