"""Reading a published file of weights: tensors by name, and nothing in the file is executed."""

import pickle
import re
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from faceptor.errors import WeightsError
from faceptor.io.regular import MIB, check_regular, size_text
from faceptor.io.words import few
from faceptor.weights.loading import check_finite
from faceptor.weights.starting import LARGEST_WEIGHTS_BYTES

HALF_PRECISIONS = (torch.float16, torch.bfloat16)  # as some save their weights; widening them changes no number
# Where trainers put the tensors, beside step and optimiser.
WRAPPERS = ("state_dict", "state_dict_backbone", "model_state_dict", "model", "module")
MAX_WRAPPERS = 3
PREFIXES = ("module.", "_orig_mod.")  # of DistributedDataParallel (each time it is applied) and torch.compile
LIGHTNING_PREFIX = "model."  # what a LightningModule calls its network, in front of every name
MAX_TENSOR_BYTES_PER_FILE_BYTE = 8  # tensors that share their numbers are counted each
# What NumPy's scalars and arrays are pickled with; `Skipped` stands for each, and nothing of NumPy is called.
NUMPY_GLOBALS = [
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *(f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")),
    "numpy.ndarray",
    "numpy.dtype",
]


class Skipped:
    """Stands for a value of NumPy, whose numbers are not looked at."""

    def __init__(self, *parts: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def read_checkpoint(path: Path | str) -> dict[str, Tensor]:
    """A checkpoint file without the wrapping that trainers add: `state_dict`, `model`, `module.`, `_orig_mod.`, ...

    Raises WeightsError for what is missing, damaged, not a checkpoint, or holds more than tensors, plain values and
    NumPy's scalars and arrays, which are skipped, as standard error tells; and for tensors that claim more numbers than
    the file has.
    """
    path = Path(path)
    if path.is_dir():
        raise WeightsError(f"{path}: a folder, expected a published file (.pth, .pt); name the file in it")
    remedy = "download the released weights and give their path"
    size = check_regular(path, largest=LARGEST_WEIGHTS_BYTES, error=WeightsError, remedy=remedy)
    state = _unwrapped(_read_safetensors(path) if path.suffix == ".safetensors" else _read_pickled(path, size))
    skipped = [name for name, value in state.items() if isinstance(value, Skipped)]
    state = {name: value for name, value in state.items() if not isinstance(value, Skipped)}
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(
            f"{path}: expected named tensors, plain or under {' or '.join(map(repr, WRAPPERS))}; found something else"
        )
    tensors = _unprefixed(path, state)
    odd = [name for name, t in tensors.items() if t.layout != torch.strided or t.is_meta or t.is_quantized]
    if odd:
        raise WeightsError(f"{path}: {few(odd)}: expected plain dense tensors, found others; download it again")
    _check_claims(path, tensors, size)
    check_finite(tensors, origin=str(path), remedy="download it again")
    if skipped:
        print(f"{path}: skipped, because no tensors: {few(skipped)} (of NumPy)", file=sys.stderr)
    return {name: value.float() if value.dtype in HALF_PRECISIONS else value for name, value in tensors.items()}


# --- wrapping ---------------------------------------------------------------------------------------------------------


def _unwrapped(content: Any) -> dict:
    """What a trainer's file holds of a model; {} where it is no such file."""
    for _ in range(MAX_WRAPPERS):
        inner = [content.get(name) for name in WRAPPERS] if isinstance(content, dict) else []
        content = next((found for found in inner if isinstance(found, dict) and found), content)
    return dict(content) if isinstance(content, dict) else {}


def _unprefixed(path: Path, state: Mapping[Any, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names that the model itself gives them."""
    names = {name: _bare(str(name)) for name in state}
    if all(bare.startswith(LIGHTNING_PREFIX) for bare in names.values()):
        names = {name: _bare(bare.removeprefix(LIGHTNING_PREFIX)) for name, bare in names.items()}
    if len(set(names.values())) < len(state):
        counted = list(names.values())
        twice = [str(name) for name, bare in names.items() if str(name) != bare and counted.count(bare) > 1]
        wrapping = " or ".join(f"`{prefix}`" for prefix in PREFIXES)
        raise WeightsError(f"{path}: {few(twice)}: there with and without {wrapping}, expected one; download it again")
    return {names[name]: value for name, value in state.items()}


def _bare(name: str) -> str:
    """A name without what DistributedDataParallel puts in front of it, and torch.compile anywhere."""
    parts = [part for part in name.split(".") if part != "_orig_mod"]
    while len(parts) > 1 and parts[0] == "module":
        parts = parts[1:]
    return ".".join(parts)


def _check_claims(path: Path, tensors: Mapping[str, Tensor], size: int) -> None:
    """Raise unless tensors have as many numbers as they claim, before anything looks at all of them."""
    claims = {name: value.nbytes for name, value in tensors.items()}
    hollow = [name for name, value in tensors.items() if value.untyped_storage().nbytes() < claims[name]]
    if hollow:
        raise WeightsError(
            f"{path}: {few(hollow)}: claim more numbers than the file has (expanded tensors); download it again"
        )
    if sum(claims.values()) > MAX_TENSOR_BYTES_PER_FILE_BYTE * size + MIB:
        found = f"tensors of {size_text(sum(claims.values()))} in a file of {size_text(size)}"
        raise WeightsError(f"{path}: {found}; expected each number once; download it again")


# --- files ------------------------------------------------------------------------------------------------------------


def _read_pickled(path: Path, size: int):
    try:
        _check_archive(path, size)
        taken = torch.serialization.safe_globals([Skipped, *((Skipped, name) for name in NUMPY_GLOBALS)])
        with warnings.catch_warnings(), taken:
            warnings.simplefilter("ignore")  # what torch thinks of an odd pickle is said by our error
            return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        # torch's own text advises to load the file without protection; ours must not.
        if wanted := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise WeightsError(
                f"{path}: holds code besides tensors ({wanted[1]}), which weights never need; nothing of it was "
                "executed; take the file from its authors"
            ) from None
        raise _unreadable(path, error) from None
    except Exception as error:  # damaged bytes make the unpickler fail in any way there is
        raise _unreadable(path, error) from error


def _check_archive(path: Path, size: int) -> None:
    """Raise WeightsError for an archive that is cut off, damaged or no checkpoint; torch itself ignores checksums."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return  # the older format is no archive
    try:
        with ZipFile(path) as archive:
            if not any(name.endswith("/data.pkl") for name in archive.namelist()):
                raise WeightsError(f"{path}: not a readable PyTorch checkpoint: an archive of something else")
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > 2 * size + MIB:  # PyTorch stores, it does not compress
                raise WeightsError(
                    f"{path}: {size_text(unpacked)} packed into {size_text(size)}, which no checkpoint is; take the "
                    "file from its authors"
                )
            damaged = archive.testzip()
    except (BadZipFile, NotImplementedError, RuntimeError) as error:  # or packed, or locked, in a way of its own
        raise _unreadable(path, error) from None
    if damaged:
        raise WeightsError(f"{path}: {damaged} in it fails its checksum, expected a whole file; download it again")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> WeightsError:
    reason = str(error).strip().splitlines()[0].split(". ")[0] if str(error).strip() else type(error).__name__
    if isinstance(error, pickle.UnpicklingError):
        reason = "damaged, or no such file at all"
    return WeightsError(f"{path}: not a readable PyTorch checkpoint ({reason}); is the download complete?")
