"""Rules hand their job's time limit to what can end before it."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
# Commands of which a module heeds SIGTERM, and the modules that are not named as their command.
PARTS = {"_ablation_fit": "ablate", "_scorecard_fit": "scorecard"}
PARTS |= {"_self_supervised": "pretrain", "_gate_saliency": "gate"}


def test_every_command_that_heeds_sigterm_is_told_its_time_limit_by_its_rule() -> None:
    heeding = {
        PARTS.get(path.stem, path.stem)
        for path in (CHECKOUT / "medvision" / "cli").glob("*.py")
        if "heed_stop(" in path.read_text()
    }
    rules = "".join(path.read_text() for path in (CHECKOUT / "workflow").rglob("*.smk"))
    told = re.findall(r"MEDVISION_TIME_LIMIT_MIN=\{resources.runtime\} medvision (\w+)", rules)
    assert {"train", "pretrain"} <= heeding == set(told)
