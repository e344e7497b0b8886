"""Which fields of a section of the configuration a step obeys, where these are not all."""

HEEDED_FIELDS: dict[tuple[str, str], frozenset[str]] = {
    # The images that are taken are another step's, whose files tell of the rest.
    ("train", "synthesise"): frozenset({"generator", "use"}),
}
"""Step and section to the fields that it obeys, where these are few."""

UNHEEDED_FIELDS: dict[tuple[str, str], frozenset[str]] = {
    ("synthesise", "synthesise"): frozenset({"use"}),
    ("ablate", "synthesise"): frozenset({"use"}),
    # Its gates ask nothing that takes trainings of its own.
    ("ablate", "gate"): frozenset({"explained", "methods", "real_networks"}),
    # The gate has methods of its own, and images; it takes how maps are made and held to account.
    ("gate", "explain"): frozenset(
        {
            *("methods", "images", "finding", "target", "influence", "influence_images"),
            *("stability_images", "stability_networks", "stability_noise", "cascade_images"),
            "shards",
        }
    ),
    # By how many jobs the work is done is no setting of it: a signed plan stays what it is.
    **dict.fromkeys((("plan", "explain"), ("explain", "explain")), frozenset({"shards"})),
}
"""Step and section to the fields that it does not obey, where it obeys most."""


def choose_fields(step: str, section: str, fields: frozenset[str]) -> set[str]:
    """Return those of a section's fields that a step obeys.

    Args:
        step: Its name, without places.
        section: One of its sections.
        fields: All fields of the section.
    """
    place = (step, section)
    heeded = HEEDED_FIELDS.get(place, fields) - UNHEEDED_FIELDS.get(place, frozenset())
    return set(fields & heeded)
