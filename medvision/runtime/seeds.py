"""Seeds: one place where randomness is pinned."""

import hashlib
import random


def derive_seed(*parts: int | str) -> int:
    """Return a seed in [0, 2**31) that depends on all parts and on nothing else."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def seed_everything(seed: int) -> None:
    """Pin Python, NumPy and torch, and ask torch for deterministic kernels."""
    import os

    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    # cuBLAS is deterministic only with a fixed workspace, read when CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # CUDA has no deterministic backward pass of 3D pooling: there it warns, and results may
    # differ in the last bits; on a CPU nothing but bit-exact kernels is accepted.
    torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
    torch.backends.cudnn.benchmark = False
