"""Seeds: one place where randomness is pinned."""

import hashlib
import random
from typing import Literal

Kernels = Literal["exact", "fast"]


def derive_seed(*parts: int | str) -> int:
    """Return a seed in [0, 2**31) that depends on all parts and on nothing else."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def seed_everything(seed: int) -> None:
    """Pin Python, NumPy and torch, and ask torch for deterministic kernels."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    choose_kernels("exact")


def choose_kernels(kernels: Kernels) -> None:
    """Ask torch for kernels that repeat themselves, or for the quickest.

    On a CPU both are the same kernels; those of fast are refused nothing.

    Args:
        kernels: exact computes in full float32 by kernels chosen without timing; fast lets a GPU
            time its convolutions, take TensorFloat-32, and add up in any order.
    """
    import os

    import torch

    is_exact = kernels == "exact"
    # cuBLAS is deterministic only with a fixed workspace, read when CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # CUDA has no deterministic backward pass of 3D pooling: there it warns, and results may
    # differ in the last bits; on a CPU nothing but bit-exact kernels is accepted.
    torch.use_deterministic_algorithms(mode=is_exact, warn_only=torch.cuda.is_available())
    torch.backends.cudnn.benchmark = not is_exact
    torch.backends.cudnn.allow_tf32 = not is_exact
    torch.set_float32_matmul_precision("highest" if is_exact else "high")
