"""Rules hand their job's time limit to what can end before it."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
# Commands of which a module heeds SIGTERM, and the modules that are not named as their command.
PARTS = {"_ablation/fit": "ablate", "_scorecard/fit": "scorecard"}
PARTS |= {"_training/self_supervised": "pretrain", "_gate/saliency": "gate"}


def test_every_command_that_heeds_sigterm_is_told_its_time_limit_by_its_rule() -> None:
    commands = CHECKOUT / "medvision" / "cli"
    paths = [path for path in commands.rglob("*.py") if "heed_stop(" in path.read_text()]
    names = [path.relative_to(commands).with_suffix("").as_posix() for path in paths]
    heeding = {PARTS.get(name, name) for name in names}
    rules = "".join(path.read_text() for path in (CHECKOUT / "workflow").rglob("*.smk"))
    start = r"MEDVISION_TIME_LIMIT_MIN=\{resources.runtime\} (?:tracked_)?medvision (\w+)"
    told = re.findall(start, rules)
    assert {"train", "pretrain"} <= heeding == set(told)
