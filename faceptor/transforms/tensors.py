"""From arrays to tensors."""

import numpy as np
import torch
from einops import rearrange


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """(S, S, 3) float in [0, 1] -> (3, S, S) float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(rearrange(image, "h w c -> c h w"), dtype=np.float32))
