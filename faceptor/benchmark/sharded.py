"""Memory of a recognition classifier dealt over processes: `torchrun -m faceptor.benchmark.sharded CLASSES`.

Every process prints a line of JSON: its rank, the bytes of its centres with their gradients, and on a GPU the most
bytes that were allocated in one step.
"""

from __future__ import annotations

import json
import sys

import torch

from faceptor.tasks.losses.across_processes import processes, rank
from faceptor.tasks.losses.margins import CosFace
from faceptor.training.distributed import joined

EMBEDDING, BATCH = 512, 64
NUMBERS = {"scale": 64.0, "margin": 0.4}


def main(classes: int) -> None:
    """One step of the loss on every process."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with joined():
        with torch.device("meta"):
            criterion = CosFace(classes=classes, embedding=EMBEDDING, **NUMBERS)
        criterion.deal(rank(), processes())
        criterion.to(device).train()
        torch.manual_seed(rank())
        raw = torch.randn(BATCH, EMBEDDING, device=device, requires_grad=True)
        label = torch.randint(classes, (BATCH,), device=device)
        criterion(raw, {"identity": label})["loss"].backward()
        kept = sum(each.nbytes + each.grad.nbytes for each in criterion.parameters() if each.grad is not None)
        peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else None
        print(json.dumps({"rank": rank(), "processes": processes(), "bytes": kept, "peak": peak}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
