"""How many subjects change part when one is added, and how even the parts are, in one run.

Four dealers on the same cohorts: medvision's, a pure hash, iterative stratification (Sechidis et
al. 2011, which medvision used before), and scikit-learn's StratifiedGroupKFold.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from medvision.domain.splits.dealing import Group, Key, deal

N_DRAWS = 60
PREVALENCE = 0.3
N_SITES = 4

Dealer = Callable[[Sequence[Group], int], dict[str, int]]


def draw_groups(rng: np.random.Generator, n: int, *, n_sites: int) -> list[Group]:
    """Draw subjects: names, 30 % of one class, and a site each where there are sites."""
    groups = []
    for _ in range(n):
        label = ("label", "sick" if rng.random() < PREVALENCE else "well")
        keys: set[Key] = {(), label}
        if n_sites:
            site = ("site", str(rng.integers(n_sites)))
            keys |= {site, (*label, *site)}
        groups.append(Group(f"sub-{rng.integers(2**40):010x}", frozenset(keys)))
    return groups


def deal_here(groups: Sequence[Group], k: int) -> dict[str, int]:
    """Deal as medvision does."""
    return deal(groups, shares=[1 / k] * k, least=[1] * k, purpose="1/0/0/test")


def deal_by_hash(groups: Sequence[Group], k: int) -> dict[str, int]:
    """Deal by the name alone."""
    return {group.name: int(_hash(group.name), 16) % k for group in groups}


def deal_by_stratification(groups: Sequence[Group], k: int) -> dict[str, int]:
    """Deal the groups of the rarest key first, in the order of their hashes."""
    n_groups = Counter(key for group in groups for key in group.keys)
    wanted = {key: [n / k] * k for key, n in n_groups.items()}
    result: dict[str, int] = {}

    def rank(group: Group) -> tuple[int, Key]:
        return min((n_groups[key], key) for key in group.keys)

    for group in sorted(groups, key=lambda group: (rank(group), _hash(group.name))):
        rarest = rank(group)[1]
        part = min(
            range(k),
            key=lambda p: (-wanted[rarest][p], -wanted[()][p], _hash(f"{group.name}/{p}")),
        )
        result[group.name] = part
        for key in group.keys:
            wanted[key][part] -= 1
    return result


def deal_by_scikit_learn(groups: Sequence[Group], k: int) -> dict[str, int]:
    """Deal by StratifiedGroupKFold, stratified by all keys at once."""
    names = [group.name for group in groups]
    classes = np.unique([str(sorted(group.keys)) for group in groups], return_inverse=True)[1]
    folds = StratifiedGroupKFold(k, shuffle=True, random_state=1).split(names, classes, names)
    return {names[row]: part for part, (_, rows) in enumerate(folds) for row in rows}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def find_farthest(groups: Sequence[Group], parts: dict[str, int], k: int) -> float:
    """Return the largest distance of a count from its ideal, over keys and parts."""
    held = Counter((key, parts[group.name]) for group in groups for key in group.keys)
    n_groups = Counter(key for group in groups for key in group.keys)
    return max(abs(held[key, p] - n / k) for key, n in n_groups.items() for p in range(k))


DEALERS: dict[str, Dealer] = {
    "medvision": deal_here,
    "pure hash": deal_by_hash,
    "iterative stratification": deal_by_stratification,
    "StratifiedGroupKFold": deal_by_scikit_learn,
}


def main() -> None:
    """Add one subject to each of many cohorts, and count."""
    print(
        "| subjects | parts | sites | dealer | moved, mean | most | farthest | CPU ms |\n"
        f"{'|---' * 8}|"
    )
    for n, k, n_sites in product((72, 300, 1000), (3, 5), (0, N_SITES)):
        rng = np.random.default_rng(0)
        cohorts = [draw_groups(rng, n + 1, n_sites=n_sites) for _ in range(N_DRAWS)]
        for name, dealer in DEALERS.items():
            start = time.process_time()
            moved, farthest = [], 0.0
            for groups in cohorts:
                before, after = dealer(groups[:-1], k), dealer(groups, k)
                moved.append(sum(after[subject] != part for subject, part in before.items()))
                farthest = max(farthest, find_farthest(groups, after, k))
            took = 1000 * (time.process_time() - start) / (2 * N_DRAWS)
            print(
                f"| {n} | {k} | {n_sites or 'none'} | {name} | {np.mean(moved):.1f} | "
                f"{max(moved)} | {farthest:.1f} | {took:.1f} |"
            )


if __name__ == "__main__":
    main()
