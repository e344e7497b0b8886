"""All maps of one case, and what their checks have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medvision.domain.attribution import Attribution
from medvision.domain.volume import FloatGrid
from medvision.explain.faithfulness import (
    compute_area,
    compute_deletion_curves,
    cut_blocks,
    draw_ranks,
    rank_blocks,
)
from medvision.explain.localisation import explain_inapplicable
from medvision.explain.work import Work
from medvision.runtime.seeds import derive_seed


@dataclass(frozen=True)
class Areas:
    """Areas under the curves of a case.

    Args:
        of_maps: Name of the map to its area, in logits.
        of_chance: The same of random orders (n,).
    """

    of_maps: dict[str, float]
    of_chance: NDArray[np.float64]


@dataclass(frozen=True)
class CaseMaps:
    """The maps of one case that are held to the checks, methods' and controls'.

    Args:
        work: The case, its image, its networks and the plan.
        grids: Name to map (I, J, K) on the array's grid.
        on_source: The same on the source's grid.
        attributions: Method to all that is known of its map; controls are not in it.
    """

    work: Work
    grids: Mapping[str, FloatGrid]
    on_source: Mapping[str, FloatGrid]
    attributions: Mapping[str, Attribution]

    @cached_property
    def unlocalised(self) -> str | None:
        """Say why no map of this case can be held against a mask; None where it can."""
        return explain_inapplicable(self.work.case, self.work.image)

    @cached_property
    def deletion(self) -> Areas:
        """Delete in the order of every map, and in the same random orders for all of them."""
        work, plan = self.work, self.work.plan
        i, j, k = next(iter(self.grids.values())).shape
        blocks = cut_blocks((i, j, k), plan.settings.occlusion_stride)
        rng = np.random.default_rng(derive_seed(plan.seed, "orders", work.case.image_id))
        orders = [rank_blocks(grid, blocks) for grid in self.grids.values()]
        curves = compute_deletion_curves(
            work.networks.network,
            work.tensor,
            target=work.target,
            blocks=blocks,
            orders=orders + draw_ranks(blocks, n=plan.random_orders, rng=rng),
            steps=plan.deletion_steps,
            baseline=plan.settings.build_baseline(work.tensor),
            batch_size=plan.settings.batch_size,
        )
        areas = compute_area(curves)
        named = zip(self.grids, areas.tolist(), strict=False)
        return Areas(dict(named), areas[len(orders) :])
