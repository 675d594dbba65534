"""`train.processes` in params.yaml: a training verb starts itself that many times, by torchrun's own agent.

The agent is this command: it hands a signal on, ends all processes when one fails, starts them anew where
`train.restarts` says so, and they end with it. What a process has to say of its error it writes to a file, so that one
line comes out, with its rank.
"""

import json
import logging
import os
import signal
import sys
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from faceptor.config.params import Training
from faceptor.errors import ConfigError, FaceptorError
from faceptor.io.processes import ERRORS_FOLDER, FAULT, LOST, SAID, started_by_torchrun


def launched(settings: Training, arguments: list[str], *, device: str) -> bool:
    """Run `faceptor <arguments>` in as many processes as `train.processes` says, and wait for them; True if that was
    done, False where this process is to do the work itself: as the only one, or as one that torchrun started.

    Raises FaceptorError naming the rank that failed first.
    """
    if settings.processes == 1 or started_by_torchrun() or (count := processes_wanted(settings, device)) == 1:
        return False
    with TemporaryDirectory(prefix="faceptor-ranks-") as folder:
        os.environ[ERRORS_FOLDER] = folder
        try:
            _run([sys.executable, "-m", "faceptor", *arguments], count, settings.restarts, Path(folder))
        finally:
            del os.environ[ERRORS_FOLDER]
    return True


def processes_wanted(settings: Training, device: str) -> int:
    """0 in params.yaml: one for each GPU, or one where there is none."""
    import torch

    cards = torch.cuda.device_count() if torch.cuda.is_available() and device in ("auto", "cuda") else 0
    count = settings.processes or max(cards, 1)
    if count > 1 and device.startswith("cuda:"):
        raise ConfigError(f"train.processes: {count} processes cannot share --device {device}; expected cuda or cpu")
    if cards and count > cards:
        raise ConfigError(
            f"train.processes: expected at most one process for each of the {cards} GPUs, found {count}; lower it, or "
            "use --device cpu"
        )
    return count


def _run(command: list[str], count: int, restarts: int, folder: Path) -> None:
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # hints at how DistributedDataParallel might be faster
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("torch.distributed.elastic")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # we tell what happened, in one line
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=count, run_id=uuid.uuid4().hex, max_restarts=restarts,
        rdzv_backend="c10d", rdzv_endpoint="localhost:0", local_addr="127.0.0.1",  # any free port of this machine
    )  # fmt: skip
    try:
        elastic_launch(config, command[0])(*command[1:])
    except ChildFailedError as error:
        raise FaceptorError(first_failure(error.failures, told_by(folder))) from None
    except SignalException:
        words = [told["message"] for _, told in sorted(told_by(folder).items()) if told["kind"] == SAID]
        raise FaceptorError(words[0] if words else "stopped; run the same command to go on") from None


def told_by(folder: Path) -> dict[int, dict[str, Any]]:
    """What each rank that failed wrote: {"kind", "message", "time"}."""
    return {int(path.stem): json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}


def first_failure(failures: dict[int, Any], told: dict[int, dict[str, Any]]) -> str:
    """One line about the failure that the others followed from: what a process said, before one that was killed, before
    a fault; of several of a sort, the earliest. Most of the others only tell that they lost touch with that one."""
    ranks = sorted(told, key=lambda rank: told[rank]["time"])
    said = {kind: rank for rank in reversed(ranks) for kind in [told[rank]["kind"]]}  # kind -> who was first
    if SAID in said:
        return f"rank {said[SAID]}: {told[said[SAID]]['message']}"
    killed = [(f.timestamp, rank) for rank, f in failures.items() if f.exitcode < 0 and f.exitcode != -signal.SIGTERM]
    if killed:
        rank = min(killed)[1]
        name = signal.Signals(-failures[rank].exitcode).name
        return (
            f"rank {rank}: its process was killed ({name}), mostly for memory; run the same command again, it goes on "
            "from the last checkpoint"
        )
    if FAULT not in said and LOST in said:
        reason = " ".join(told[said[LOST]]["message"].split())
        return f"rank {said[LOST]}: lost touch with the other processes ({reason}); run the same command to go on"
    rank = said.get(FAULT, min((f.timestamp, rank) for rank, f in failures.items())[1])
    return f"rank {rank}: stopped by a fault, whose traceback is above"
