"""The numbers that a forward pass computes in."""

from contextlib import AbstractContextManager, nullcontext

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """`auto` on a GPU: bfloat16 where its cores compute in it (capability 8.0 and above, and AMD's), else float16.

    `torch.cuda.is_bf16_supported()` also counts emulation, which is slower than float32.
    """
    if wanted != "auto":
        return DTYPES[wanted]
    if device.type != "cuda":
        return torch.float32
    native = bool(torch.version.hip) or torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.bfloat16 if native else torch.float16


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
