"""The ablation obeys the gate: what is refused is not added, and an audit holds it to that."""

from pathlib import Path

import numpy as np
import pytest
from ablations import ablate, call, make, read

from medvision.cli._ablation import fit as _ablation_fit
from medvision.cli._ablation import gate as _ablation_gate
from medvision.cli._ablation.tally import tally_images
from medvision.cli._gate.judge import Judged
from medvision.cli._recompute.ablation import find_ablation_faults
from medvision.cli._synthetic.mix import Drawn
from medvision.domain.synthesis.criterion import Criterion, Refusal, Verdict
from medvision.domain.synthesis.synthetic import name_image
from medvision.errors import CohortError

FEW = {"shares": (1.0,), "seeds": (0,), "folds": "first"}
N_DRAWN = 12


def draw_collapsed(task, job, chosen) -> Drawn:
    """A planted generator: for each class its first train image again and again."""
    rows = job.data.store.rows()
    firsts = [next(i for i in chosen if i.label == name) for name in job.data.classes]
    images = [job.data.store.array.read_rows([rows[item.image_id]])[0] for item in firsts]
    return Drawn(
        np.stack([images[n % 2] for n in range(N_DRAWN)]).astype(np.float32),
        tuple(name_image(job.fold, n % 2, number=n) for n in range(N_DRAWN)),
        tuple(job.data.classes[n % 2] for n in range(N_DRAWN)),
    )


def find_logits(study, variant: str) -> list[str]:
    rows = read(study, 1.0, "predictions")
    name = next(name for name in rows[0] if name.startswith("logit_"))
    return [row[name] for row in rows if row["variant"] == variant]


@pytest.mark.parametrize("gate", ["obey", "ignore"])
def test_images_of_a_bad_generator_are_added_only_where_the_gate_is_ignored(
    gate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ablation_fit, "_draw_images", draw_collapsed)
    study = make(tmp_path, ablation={**FEW, "gate": gate})
    assert ablate(study, 1.0).exit_code == 0
    rows = {row["variant"]: row for row in read(study, 1.0, "trainings")}
    for name in ("gan", "both"):
        assert (rows[name]["gate"], rows[name]["n_drawn"]) == ("shut", str(N_DRAWN))
        assert rows[name]["n_added"] == ("0" if gate == "obey" else str(N_DRAWN))
        assert int(rows[name]["n_refused"]) == N_DRAWN
    asked = read(study, 1.0, "gates")
    refused = {row["criterion"] for row in asked if row["verdict"] == "refused"}
    assert {"memorisation", "diversity"} <= refused
    # To which nothing was added is the network without additions, bit for bit.
    is_same = find_logits(study, "gan") == find_logits(study, "plain")
    assert is_same == (gate == "obey")
    assert call(study, "ablation").exit_code == 0


def make_criterion(verdict: str) -> Criterion:
    return Criterion("quality", "pixels", "KID", 0.0, 0.0, 0.0, 3, 0.0, 1.0, "", verdict, "")


def test_an_open_gate_adds_all_but_the_images_it_refuses_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = (Refusal(0, "near copy"), Refusal(5, "near copy"))
    verdict = Verdict((make_criterion("passed"),), refusals, is_open=True, reason="passed")
    mixed: list[tuple[str, ...]] = []
    mix = _ablation_fit.mix_images

    def mix_told(data, drawn, *, fold):
        mixed.append(drawn.names)
        return mix(data, drawn, fold=fold)

    monkeypatch.setattr(_ablation_fit, "_draw_images", draw_collapsed)
    monkeypatch.setattr(_ablation_fit, "mix_images", mix_told)
    monkeypatch.setattr(_ablation_gate, "judge_drawn", lambda *_, **__: Judged(verdict, {}))
    study = make(tmp_path, ablation=FEW)
    assert ablate(study, 1.0).exit_code == 0
    kept = tuple(name_image(0, n % 2, number=n) for n in range(N_DRAWN) if n not in (0, 5))
    assert mixed == [kept, kept]
    rows = {row["variant"]: row for row in read(study, 1.0, "trainings")}
    for name in ("gan", "both"):
        assert (rows[name]["gate"], rows[name]["n_refused"]) == ("open", "2")
        assert rows[name]["n_added"] == str(N_DRAWN - 2)
    assert call(study, "ablation").exit_code == 0


def test_the_network_without_additions_is_the_one_that_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def judge(job, plain, drawn, **others):
        seen.append((plain, [item.image_id for item in job.data.select(0, "train")]))
        return Judged(Verdict((), (), is_open=False, reason="nothing was asked"), {})

    monkeypatch.setattr(_ablation_fit, "_draw_images", draw_collapsed)
    monkeypatch.setattr(_ablation_gate, "judge_drawn", judge)
    study = make(tmp_path, ablation={**FEW, "shares": (0.5, 1.0)})
    assert ablate(study, 0.5).exit_code == 0
    ((plain, judged_on),) = seen
    (row,) = [row for row in read(study, 0.5, "trainings") if row["variant"] == "plain"]
    assert plain.fit.best_epoch == int(row["best_epoch"])
    assert {name.partition("_")[0] for name in judged_on} == {
        row["subject"] for row in read(study, 0.5, "subsets")
    }


def rows_of(**changed: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """One generator that the gate opened for, with one image of four refused."""
    place = {"fold": "0", "fraction": "0.5", "seed": "1"}
    counts = {"n_drawn": "4", "n_refused": "1", "n_added": "3", "gate": "open", "reason": ""}
    trainings = [{**place, "variant": name, **counts, **changed} for name in ("gan", "both")]
    gates = [{**place, "criterion": n, "verdict": "passed"} for n in ("quality", "fidelity")]
    return trainings, gates


def test_what_was_added_is_counted_by_share() -> None:
    tally = tally_images(*rows_of(), gate="obey")
    assert (tally.n_trainings, tally.n_empty, tally.n_judged, tally.n_open) == (2, 0, 1, 1)
    assert tally.shares[0]["n_added"] == 3
    assert tally.shut_by == {}


@pytest.mark.parametrize("verdict", ["refused", "undecided"])
def test_a_gate_said_to_be_open_against_its_criteria_is_refused(verdict: str) -> None:
    trainings, gates = rows_of()
    gates[0]["verdict"] = verdict
    with pytest.raises(CohortError, match="gate must be as its criteria say, shut, got open"):
        tally_images(trainings, gates, gate="obey")


@pytest.mark.parametrize(
    ("gate", "changed", "allowed"),
    [("obey", {"n_added": "4"}, 3), ("ignore", {"n_added": "3"}, 4)],
)
def test_more_or_fewer_images_than_the_gate_allows_are_refused(
    gate: str, changed: dict[str, str], allowed: int
) -> None:
    with pytest.raises(CohortError, match=f"must be those that may be, {allowed}, got"):
        tally_images(*rows_of(**changed), gate=gate)


def test_an_audit_finds_criteria_that_were_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ablation_fit, "_draw_images", draw_collapsed)
    study = make(tmp_path, ablation=FEW)
    assert ablate(study, 1.0).exit_code == 0
    assert call(study, "ablation").exit_code == 0
    root = study.output.path
    assert find_ablation_faults(lambda name: root / name) == []
    path = root / "ablate/share-1/fold-0/gates.tsv"
    path.write_text(path.read_text().replace("\trefused\t", "\tpassed\t"))
    path.write_text(path.read_text().replace("\tundecided\t", "\tpassed\t"))
    with pytest.raises(CohortError, match="gate must be as its criteria say, open, got shut"):
        find_ablation_faults(lambda name: root / name)
