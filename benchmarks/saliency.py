"""How often the gate's criterion of saliency refuses, passes or cannot tell, on planted networks.

Networks differ by a share of what there is to lose, or not at all, and the one with synthetic
images is equal or has lost half or all. Nothing is trained: the values of the checks are drawn.
The draws are those of the tests.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from medvision.domain.synthesis.gauges import MIXED
from medvision.domain.synthesis.saliency import judge_saliency
from tests.saliency_draws import RULES, draw_gauges


def measure(n_runs: int, **planted: float) -> dict[str, float]:
    """Return the share of draws in which the criterion refused, was undecided, or passed.

    Args:
        n_runs: Draws.
        planted: What `draw_gauges` is given.
    """
    counts = dict.fromkeys(("refused", "undecided", "passed"), 0)
    strict = 0
    for seed in range(n_runs):
        found = judge_saliency(draw_gauges(seed, **planted), RULES)
        verdicts = {own.verdict for own in found}
        word = next((w for w in ("refused", "undecided") if w in verdicts), "passed")
        counts[word] += 1
        # The strict form: the whole interval of every check within the distance to chance / 2.
        strict += all(own.high <= 0.2 for own in found[:-1])
    return {**{word: n / n_runs for word, n in counts.items()}, "strict": strict / n_runs}


def main() -> None:
    """Print a row for each number of subjects, spread of seeds and loss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    n_runs = parser.parse_args().runs
    print(f"{MIXED} network, 12 checks, 3 plain networks, {n_runs} draws each")
    print("subjects  spread  loss  refused  undecided  passed  passes the strict form")
    for n in (16, 24):
        for spread in (0.0, 0.1, 0.2, 0.4):
            for loss in (0.0, 0.5, 1.0):
                own = measure(n_runs, n=n, spread=spread, loss=loss)
                shown = "  ".join(f"{share:7.3f}" for share in own.values())
                print(f"{n:8d}  {spread:6.2f}  {loss:4.1f}  {shown}", flush=True)


if __name__ == "__main__":
    main()
