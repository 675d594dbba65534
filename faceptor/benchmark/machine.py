"""What a measurement was made on: no name of a host, no path, no time."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import torch

GIGABYTE = 1 << 30


def describe(device: torch.device) -> dict[str, object]:
    """Plain facts, fit for JSON; `kind` is the name of the file that measurements on such a machine are kept in."""
    cpu, count = cpu_model(), cores()
    facts: dict[str, object] = {
        "cpu": cpu,
        "cores": count,
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
    }
    kind = f"cpu-{cpu}-{count}-cores"
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        gpus = torch.cuda.device_count()
        facts |= {"gpu": about.name, "gpus": gpus, "gpu_gigabytes": round(about.total_memory / GIGABYTE)}
        facts |= {"cuda": torch.version.cuda, "multiprocessors": about.multi_processor_count}
        kind = f"gpu-{about.name}" + (f"-{gpus}" if gpus > 1 else "")
    return {"kind": slug(kind), **facts}


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    """As the kernel names it, or its architecture."""
    try:
        listed = Path("/proc/cpuinfo").read_text()
    except OSError:
        listed = ""
    found = re.search(r"^model name\s*:\s*(.+)$", listed, re.MULTILINE)
    return found[1].strip() if found else platform.machine() or "unknown"


def slug(text: str) -> str:
    """Letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
