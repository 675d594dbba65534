"""Children end with a parent that was killed; seen by the pipe that the last of them closes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
START = """
import multiprocessing, os, sys, time
from faceptor.io import processes as children

def child(parent, watched):
    if watched == "by a thread":
        sys.platform = "elsewhere"
    children.end_with_parent(parent=parent)
    print("started", flush=True)
    time.sleep(600)

multiprocessing.get_context("fork").Process(target=child, args=(os.getpid(), sys.argv[1])).start()
"""


@pytest.mark.parametrize("watched", ["by the kernel", "by a thread"])
def test_a_child_ends_with_a_killed_parent(watched):
    parent = subprocess.Popen([sys.executable, "-c", START, watched], stdout=subprocess.PIPE, env=HERE)
    assert parent.stdout.readline() == b"started\n"
    parent.kill()
    assert parent.wait() == -signal.SIGKILL
    assert parent.stdout.read() == b""  # returns when nobody holds the other end


def test_a_parent_that_is_already_gone_is_noticed():
    code = "from faceptor.io import processes; processes.end_with_parent(parent=1 << 22); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=HERE)
    assert done.returncode == -signal.SIGKILL and b"alive" not in done.stdout


LOAD = """
import time
from faceptor.training.batches import stream_batches

class Slow:
    def __len__(self):
        return 1000
    def __getitem__(self, step):
        print("loading", flush=True)
        time.sleep(600)

next(iter(stream_batches(Slow(), start=0, workers=2)))
"""


def test_loader_processes_end_with_a_killed_training():
    training = subprocess.Popen([sys.executable, "-c", LOAD], stdout=subprocess.PIPE, env=HERE)
    assert training.stdout.readline() == b"loading\n"
    training.kill()
    training.communicate(timeout=60)  # returns when nobody holds the other end
