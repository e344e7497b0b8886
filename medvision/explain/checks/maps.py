"""All maps of one case, and what their checks have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medvision.domain.attribution import Attribution
from medvision.domain.volume import FloatGrid
from medvision.explain.faithfulness import (
    Blocks,
    Ranks,
    compute_area,
    compute_deletion_curves,
    cut_blocks,
    draw_ranks,
    rank_blocks,
)
from medvision.explain.localisation import explain_inapplicable
from medvision.explain.twins import Twins
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
        on_source: The same on the source's grid, and the centre prior.
        attributions: Name to all that is known of its map; blind controls are not in it.
        twins: Name to what the map is compared with.
        other: Index of the other class; None where the network has one output.
    """

    work: Work
    grids: Mapping[str, FloatGrid]
    on_source: Mapping[str, FloatGrid]
    attributions: Mapping[str, Attribution]
    twins: Mapping[str, Twins]
    other: int | None

    @cached_property
    def unlocalised(self) -> str | None:
        """Say why no map of this case can be held against a mask; None where it can."""
        return explain_inapplicable(self.work.case, self.work.image)

    @cached_property
    def deletion(self) -> Areas:
        """Delete in the order of every map, and in the same random orders for all of them."""
        return self._follow(self._ranks)

    @cached_property
    def insertion(self) -> Areas:
        """Put into the baseline in the same orders: what is deleted last is what is put in first.

        The curve is that of deletion in the reverse order, read from its end; their areas are one.
        """
        return self._follow([len(rank) - 1 - rank for rank in self._ranks])

    @cached_property
    def _blocks(self) -> Blocks:
        i, j, k = next(iter(self.grids.values())).shape
        return cut_blocks((i, j, k), self.work.plan.settings.occlusion_stride)

    @cached_property
    def _ranks(self) -> list[Ranks]:
        """Rank the boxes by every map, and by chance."""
        plan, blocks = self.work.plan, self._blocks
        rng = np.random.default_rng(derive_seed(plan.seed, "orders", self.work.case.image_id))
        orders = [rank_blocks(grid, blocks) for grid in self.grids.values()]
        return orders + draw_ranks(blocks, n=plan.random_orders, rng=rng)

    def _follow(self, orders: list[Ranks]) -> Areas:
        """Delete in every order, and measure the areas."""
        work, settings = self.work, self.work.plan.settings
        curves = compute_deletion_curves(
            work.networks.network,
            work.tensor,
            target=work.target,
            blocks=self._blocks,
            orders=orders,
            steps=work.plan.deletion_steps,
            baseline=settings.build_baseline(work.tensor),
            batch_size=settings.batch_size,
        )
        areas = compute_area(curves)
        named = zip(self.grids, areas.tolist(), strict=False)
        return Areas(dict(named), areas[len(self.grids) :])
