"""A run killed in any stage completes when it is run again, and uses nothing half-written."""

import shutil
from pathlib import Path

import pytest
from pipeline import TINY, call, digest_tree, kill_at_write, list_commands, run, write_config

# Stage -> what must refuse to go on while it is interrupted, and with which exit code.
FOLLOWERS: dict[str, tuple[list[str], int] | None] = {
    "phantom": (["ingest"], 12),
    "ingest": (["measure"], 12),
    "measure": (["cohort"], 12),
    "cohort": (["preprocess"], 12),
    "preprocess": (["pretrain"], 12),
    "pretrain": (["train", "--arm", "transfer", "--fold", "0"], 12),
    "train": (["predict"], 12),
    "predict": (["plan"], 12),
    "evaluate": (["audit", "seal"], 10),
    "plan": (["explain"], 12),
    "explain": (["audit", "seal"], 10),
    "control": (["shortcuts"], 12),
    "shortcuts": (["audit", "seal"], 10),
    "report": (["audit", "seal"], 10),
    "audit": None,
}


def commands_of(config: Path, stage: str) -> list[list[str]]:
    return [line for line in list_commands(config) if line[0] == stage]


def clone_study(tiny_study: Path, folder: Path) -> Path:
    """A copy of the finished tiny study under its own configuration."""
    config = write_config(folder, TINY)
    shutil.copytree(tiny_study, folder / "results")
    return config


@pytest.mark.slow
@pytest.mark.parametrize("stage", FOLLOWERS)
def test_killed_stage_completes_when_run_again(
    stage: str, tiny_study: Path, tmp_path: Path
) -> None:
    config = clone_study(tiny_study, tmp_path)
    results = tmp_path / "results"
    command = commands_of(config, stage)[0]
    follower = FOLLOWERS[stage]
    # The nth finished file differs by stage; the record is always the last of them.
    for nth in (1, 2):
        assert kill_at_write(command, nth=nth), f"{stage} wrote fewer than {nth} files"
        if follower is not None:
            arguments, code = follower
            refusal = call([*arguments, "--config", str(config)])
            assert refusal.exit_code == code, "an interrupted stage was used"
    run(command)
    assert {p for p in results.rglob(".part-*") if p.is_file() and stage in p.parts} == set()
    run(["audit", "seal", "--config", str(config)])
    assert digest_tree(results) == digest_tree(tiny_study)
