"""What the explanation stage says of the consistency of its maps, made up and small."""

from medvision.domain.record import JsonValue


def mean(value: float | None, *, n: int = 3) -> JsonValue:
    low, high = (None, None) if value is None else (value - 0.05, value + 0.05)
    return {"mean": value, "low": low, "high": high, "n_subjects": n}


def point(stage: int, ssim: float) -> JsonValue:
    return {
        "stage": stage,
        "layer": "" if stage == 0 else f"layer{stage}",
        "n_layers": stage,
        "ssim": mean(ssim),
        "rank_correlation": mean(ssim / 2),
        "entropy": mean(0.9),
    }


def compared(ssim: float, **more: JsonValue) -> JsonValue:
    return {"n_maps": 6, "n_by_split": {}, "missing": {}, "ssim": mean(ssim), **more} | {
        "rank_correlation": mean(ssim / 2)
    }


HELD: JsonValue = {
    "cascade": {
        "occlusion": {
            "n_images": 3,
            "curve": [point(0, 1.0), point(1, 0.6), point(2, 0.2)],
            "entropy_rises": {"n": 3, "n_rises": 2},
        }
    },
    "stability": {
        "control_edge": {"input_noise": compared(0.9)},
        "occlusion": {
            "other_image": compared(0.4),
            "other_fold": compared(0.5, n_by_split={"train": 4, "validation": 2}),
            "input_noise": compared(0.95, missing={"the noise changed the prediction": 1}),
        },
        "layer_gradcam": {},
    },
    "agreement": [
        {
            "methods": ["layer_gradcam", "occlusion"],
            "n_maps": 12,
            "ssim": mean(0.1),
            "rank_correlation": mean(-0.2),
        },
        {
            "methods": ["occlusion", "control_edge"],
            "n_maps": 3,
            "ssim": mean(0.7),
            "rank_correlation": mean(0.1),
        },
    ],
    "notes": ["No threshold is grounded."],
}
