"""A straight model fitted by weighted least squares, as Captum's KernelShap asks for one."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader


class LeastSquares:
    """Outputs of coalitions as a sum of one share per supervoxel and a constant, in float64."""

    def __init__(self) -> None:
        self._shares = torch.zeros(0)
        self._constant = 0.0

    def fit(self, train_data: DataLoader[tuple[Tensor, ...]], **_: object) -> None:
        """Fit shares and constant.

        Args:
            train_data: Coalitions (n, parts) of zeros and ones, outputs (n,) and weights (n,).
        """
        batches = list(train_data)
        coalitions, outputs, weights = (
            torch.cat([batch[n] for batch in batches]).double().numpy() for n in range(3)
        )
        roots = np.sqrt(weights.reshape(-1))
        # Less the first output: where nothing changes the output, every share is exactly zero.
        first = outputs.reshape(-1)[0]
        design = np.hstack([coalitions, np.ones((len(coalitions), 1))])
        fitted, *_rest = np.linalg.lstsq(
            design * roots[:, None], (outputs.reshape(-1) - first) * roots, rcond=None
        )
        self._shares, self._constant = (
            torch.from_numpy(fitted[:-1]).float(),
            float(fitted[-1] + first),
        )

    def representation(self) -> Tensor:
        """Return the shares (parts,)."""
        return self._shares

    def __call__(self, x: Tensor) -> Tensor:
        """Return the outputs (n,) of coalitions (n, parts)."""
        return x @ self._shares + self._constant
