"""What this machine and this checkout have, and what is missing: environment, device, DVC remote, data sets."""

import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from faceptor.config import ModelConfig
from faceptor.datasets.reader import Reader
from faceptor.errors import FaceptorError
from faceptor.io.regular import size_text
from faceptor.prepared.reading import read_card
from faceptor.weights.starting import describe_starting_weights

PACKAGES = ("torch", "torchvision", "timm", "dvc", "papermill", "jupyterlab", "datasets", "opencv-python-headless")


class DatasetPlace(NamedTuple):
    """Where a data set is expected, where it is kept once prepared, and the class of its reader."""

    folder: Path
    prepared: Path
    reader: type[Reader]


def examine(*, models: Mapping[str, tuple[str, ModelConfig]], datasets: Mapping[str, DatasetPlace]) -> dict[str, Any]:
    """{"environment", "device", "dvc", "starting_weights", "datasets"}: plain facts, fit for JSON.

    models: name of a training -> what its model section is called in params.yaml, and that section.
    """
    return {
        "environment": environment(),
        "device": device(),
        "dvc": dvc_state(),
        "starting_weights": {name: starting_weights(*section) for name, section in models.items()},
        "datasets": {name: dataset(place) for name, place in datasets.items()},
    }


def environment() -> dict:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing: make test installs it"
    return found


def device() -> dict:
    import torch

    from faceptor._compat import ensure_torchvision

    facts = {"cuda": torch.cuda.is_available(), "threads": torch.get_num_threads(), "torchvision": ensure_torchvision()}
    if facts["cuda"]:
        facts["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return facts


def dvc_state() -> dict:
    result = subprocess.run([sys.executable, "-m", "dvc", "remote", "list"], capture_output=True, text=True)
    remotes = result.stdout.split("\n")[0].split() if result.returncode == 0 and result.stdout.strip() else []
    return {"remote": remotes[1] if len(remotes) > 1 else None}


def starting_weights(where: str, model: ModelConfig) -> dict:
    """What a training starts from: file, whether it is there, size, SHA-256, and whether it fits, or what to do."""
    facts = describe_starting_weights(model, where=where)
    if facts["state"] != "there":
        return facts
    from faceptor.weights.initialise import misfit

    problem = misfit(model, facts["path"])
    return facts | {"state": "there, does not fit", "problem": problem} if problem else facts | {"state": "there, fits"}


def dataset(place: DatasetPlace) -> dict[str, Any]:
    """Where a data set is expected, whether it is there and prepared, and where to ask for it."""
    facts = {"folder": str(place.folder), "licence": place.reader.licence, "ask": place.reader.source}
    try:
        card = read_card(place.prepared)
        return facts | {"state": "prepared", "counts": card["counts"], "rejects": card["rejects"]["count"]}
    except FaceptorError:
        return facts | {"state": "found, not prepared" if place.folder.is_dir() else "absent"}


def show(facts: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print("environment  " + "  ".join(f"{k} {v}" for k, v in facts["environment"].items()))
    device_facts = facts["device"]
    gpus = ", ".join(device_facts.get("gpus", [])) or "no GPU, running on CPU"
    console.print(f"device       {gpus}; {device_facts['threads']} threads; torchvision {device_facts['torchvision']}")
    console.print(f"dvc remote   {facts['dvc']['remote'] or 'none (dvc remote add --local ...)'}")
    for name, entry in facts["starting_weights"].items():
        found = f"{size_text(entry['bytes'])}, sha256 {entry['sha256'][:12]}" if "sha256" in entry else ""
        told = [entry["path"] or "", entry["state"], found, entry.get("problem", "")]
        console.print(f"start {name}: " + "; ".join(part for part in told if part), markup=False, soft_wrap=True)
    table = Table("data set", "state", "samples", "rejected", "folder", "where to ask", box=None, pad_edge=False)
    for name, entry in facts["datasets"].items():
        counts = " / ".join(f"{split} {n}" for split, n in entry.get("counts", {}).items())
        ask = entry["ask"] if entry["state"] == "absent" else ""
        table.add_row(name, entry["state"], counts, str(entry.get("rejects", "")), entry["folder"], ask)
    console.print(table)
    console.print("`faceptor doctor data` looks into the data sets, `faceptor doctor model FOLDER` at a model.")
