"""The report counts the trials that were run, and says what they were blind to."""

from dataclasses import replace

from reports import make_sources

from medvision.report.facts import build_facts
from medvision.report.page import build_report


def make_search(arm: str, part: int, **fields):
    values = {"train.learning_rate": 0.0031627, "augment.flip_axes": [0, 1]}
    counts = {"n_trials": 20, "n_complete": 17, "n_pruned": 2, "n_failed": 1, "n_inner_folds": 4}
    about = {"objective": "validation loss", "value": 0.4321, "number": 7, "sampler": "tpe"}
    return {
        "arm": arm,
        "part": part,
        "values": values,
        "pruner": "median",
        "seed": 7,
        **counts,
        **about,
        "n_workers": 1,
        **fields,
    }


def facts_of(*searches):
    return build_facts(replace(make_sources(), searches=searches), title="t", author=None)


def methods_of(facts) -> dict[str, str]:
    return dict(facts.methods.paragraphs)


def test_without_a_search_nothing_is_said_of_one():
    facts = facts_of()
    assert "Hyper-parameters" not in methods_of(facts)
    assert "Optuna" not in build_report(facts, views={}, pictures={}).html


def test_the_methods_count_all_trials_and_those_ended_early():
    text = methods_of(facts_of(make_search("transfer", 0), make_search("scratch", 0)))
    said = text["Hyper-parameters"]
    assert "40 trials in all, 20 in each of 2 searches" in said
    assert "4 ended early by the median rule, 2 failed" in said
    assert "4 inner folds; the part's test subjects took no part" in said
    assert "(seed 7)" in said


def test_a_searched_setting_is_not_given_as_the_configured_one():
    before, after = (methods_of(facts_of(*s)) for s in ((), [make_search("transfer", 0)]))
    assert "peak learning rate 0.001" in before["Training"]
    assert "peak learning rate (searched)" in after["Training"]
    assert "0.001" not in after["Training"].replace("weight decay 0.01", "")


def test_the_page_shows_each_parts_choice():
    facts = facts_of(make_search("transfer", 0), make_search("transfer", 1, n_trials=12))
    page = build_report(facts, views={}, pictures={}).html
    assert "32 trials on inner folds; test subjects took no part" in page
    assert '<td class="num">0.00316</td>' in page
    assert '<td class="num">0, 1</td>' in page
    assert "12 to 20 in each of 2 searches" in methods_of(facts)["Hyper-parameters"]


def test_a_shared_search_is_said_to_depend_on_the_order():
    alone, shared = (
        methods_of(facts_of(make_search("transfer", 0, n_workers=n)))["Hyper-parameters"]
        for n in (1, 3)
    )
    assert "depend on their order" not in alone
    assert "depend on their order" in shared


def test_the_methods_can_be_written_whichever_fields_of_the_training_were_searched():
    for name in make_sources().settings["train"]:
        values = {f"train.{name}": 1}
        for schedule in ("one_cycle", "plateau"):
            sources = make_sources()
            train = {**sources.settings["train"], "schedule": schedule}
            sources = replace(
                sources,
                settings={**sources.settings, "train": train},
                searches=[make_search("transfer", 0, values=values)],
            )
            said = methods_of(build_facts(sources, title="t", author=None))
            assert f"train.{name} were chosen by Optuna" in said["Hyper-parameters"]
