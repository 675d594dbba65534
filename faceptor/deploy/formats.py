"""Files that other runtimes read: a graph into ONNX or torch.export, and back for a check.

ONNX needs onnx, onnxscript and onnxruntime (`pip install 'faceptor[export]'`), which are imported where they are used.

A .pt2 file is a ZIP archive: the graph as JSON, every tensor as plain bytes. torch.export would also put the example
inputs into it, as a pickle; they are left out, and a file with any pickle in it is not written. Nothing here reads a
.pt2 file but the one that it has just made.
"""

import importlib
import io
import json
import logging
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faceptor.deploy.graph import Graph
from faceptor.errors import FaceptorError

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
LARGEST_ONNX_BYTES = 2_000_000_000  # protocol buffers end at 2 GiB


def batch_dimension(group: str) -> str:
    """What the number of images of an input is called."""
    return f"{group}_images"


def write_onnx(graph: Graph, path: Path) -> dict[str, Any]:
    """Write an ONNX file whose numbers of images are free; returns its operator set."""
    onnx = needed("onnx")
    needed("onnxscript")
    with _quiet():
        program = torch.onnx.export(
            _traced(graph), dynamo=True, input_names=list(graph.groups), output_names=graph.outputs, verbose=False
        )
        proto = program.model_proto
    _name_dimensions(proto.graph, list(graph.groups))
    _forget_where_it_was_made(proto.graph)
    size = proto.ByteSize()
    if size > LARGEST_ONNX_BYTES:
        raise FaceptorError(f"{path}: {size:,} bytes, more than one ONNX file takes; export fewer tasks, or --to torch")
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString(deterministic=True))
    return {"opset": proto.opset_import[0].version}


def run_onnx(path: Path, images: Sequence[Tensor]) -> list[np.ndarray]:
    """The outputs of an ONNX file by onnxruntime, on the CPU."""
    runtime = needed("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return session.run(None, {name: each.numpy() for name, each in zip(names, images, strict=True)})


def write_torch(graph: Graph, path: Path) -> dict[str, Any]:
    """Write a .pt2 file without a pickle in it; returns the version of torch that wrote it."""
    with _quiet():
        program = _traced(graph)
        program.example_inputs = None
        archive = io.BytesIO()
        torch.export.save(program, archive)
    if pickles := list(_pickles(archive)):
        raise FaceptorError(f"{path}: torch {torch.__version__} would pickle {pickles[0]}; export --to onnx instead")
    path.write_bytes(archive.getvalue())
    return {"torch": torch.__version__}


def run_torch(path: Path, images: Sequence[Tensor]) -> list[np.ndarray]:
    """The outputs of a .pt2 file that `write_torch` has just written."""
    with _quiet():
        module = torch.export.load(io.BytesIO(path.read_bytes())).module()
    with torch.no_grad():
        return [each.numpy() for each in module(*images)]


WRITERS = {"onnx": write_onnx, "torch": write_torch}
RUNNERS = {"onnx": run_onnx, "torch": run_torch}


def needed(name: str) -> ModuleType:
    """A library of the extra `export`; FaceptorError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise FaceptorError(f"{name}: not installed, and ONNX needs it: `pip install 'faceptor[export]'`") from None


def _traced(graph: Graph) -> torch.export.ExportedProgram:
    dimensions = tuple({0: torch.export.Dim(batch_dimension(group), min=1)} for group in graph.groups)
    with torch.no_grad():
        return torch.export.export(graph.eval(), graph.examples(2), dynamic_shapes=(dimensions,), strict=False)


def _name_dimensions(graph: Any, groups: Sequence[str]) -> None:
    """The symbols that torch made up for the numbers of images get their names."""
    del graph.value_info[:]  # shapes of inner values, which use the same symbols
    names = {}
    for group, given in zip(groups, graph.input, strict=True):
        dimension = given.type.tensor_type.shape.dim[0]
        names[dimension.dim_param] = dimension.dim_param = batch_dimension(group)
    for output in graph.output:
        for dimension in output.type.tensor_type.shape.dim:
            if dimension.dim_param in names:
                dimension.dim_param = names[dimension.dim_param]


def _forget_where_it_was_made(graph: Any) -> None:
    """Names of files and lines of this machine, which torch notes at every node."""
    for each in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del each.metadata_props[:]
        each.doc_string = ""
    del graph.metadata_props[:]


def _pickles(archive: io.BytesIO) -> Iterator[str]:
    """What in a .pt2 archive would be unpickled by its reader."""
    with zipfile.ZipFile(archive) as files:
        for name in files.namelist():
            if name.endswith("_config.json"):
                config = json.loads(files.read(name)).get("config", {})
                yield from (item for item, facts in config.items() if facts.get("use_pickle"))
            elif "sample_inputs/" in name and files.getinfo(name).file_size:
                yield name


@contextmanager
def _quiet() -> Iterator[None]:
    """torch's exporters tell of their own ways at length; what they cannot do they raise."""
    loud = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [each.level for each in loud]
    try:
        for each in loud:
            each.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loud, levels, strict=True):
            each.setLevel(level)
