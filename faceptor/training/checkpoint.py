"""Checkpoints of a run in progress: written atomically, read without unpickling code.

They hold everything a run needs to go on as if it had never stopped: model, criteria, optimiser, gradient
scaler, random state, the next step, the history so far, and the record of what shaped it all. They live in an ignored
folder, because DVC deletes a stage's outs before it runs.
"""

import os
import shutil
from pathlib import Path

import torch

from faceptor.errors import WeightsError
from faceptor.io.writing import whole_file
from faceptor.training.progress import say
from faceptor.training.record import FORMAT_KEY, Record, differences

FORMAT = 3  # of last.pt


def save_atomic(state: dict, path: Path) -> None:
    """Write next to the target and rename, so that a kill at any moment leaves the old file or the new one.

    Raises WriteError where the disk is full or read-only; the old file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial, open(partial, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())


def load_checkpoint(path: Path) -> dict | None:
    """The checkpoint, or None if there is none; a damaged one is an error, never a silent restart.

    Called by those that train in this folder and before they do: what others left half-written is removed.
    """
    for stale in path.parent.glob(f".{path.name}.*.partial"):
        stale.unlink(missing_ok=True)
    if not path.exists():
        return None
    if not path.is_file():
        raise damaged(path, "expected a checkpoint, found no file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise damaged(path, f"unreadable checkpoint ({type(error).__name__})") from error
    if not isinstance(state, dict):
        raise damaged(path, f"expected a checkpoint, found a {type(state).__name__}")
    return state


def resumable(path: Path, record: Record) -> dict | None:
    """The checkpoint of a run with this record; None if there is none, or one that another record shaped."""
    saved = load_checkpoint(path)
    if saved is None:
        return None
    # before format 2, a hash named `fingerprint` stood for what the record says
    old = saved.get("record", {FORMAT_KEY: 1} if "fingerprint" in saved else None)
    if not isinstance(old, dict):
        raise damaged(path, "expected a checkpoint, found a file without the record of a run")
    if changed := differences(old, record):
        say(f"{path}: belongs to another run ({changed}); starting anew")
        return None
    return saved


def clear(folder: Path) -> None:
    """Forget a finished run, so that the next one with the same configuration starts from scratch."""
    shutil.rmtree(folder, ignore_errors=True)


def damaged(path: Path, what: str) -> WeightsError:
    return WeightsError(f"{path}: {what}; delete it to start this stage anew")


def random_state() -> dict:
    state: dict = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random_state(state: dict) -> None:
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])  # it may go on on another machine
