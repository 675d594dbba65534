"""Reading a published file of weights: tensors by name, and nothing in the file is executed."""

import pickle
import re
import warnings
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from faceptor.errors import WeightsError

SHORT = (torch.float16, torch.bfloat16)  # as some save their weights; widening them changes no number
WRAPPERS = ("state_dict", "state_dict_backbone")  # where trainers put the tensors, beside step and optimiser


def read_checkpoint(path: Path | str) -> dict[str, Tensor]:
    """Tensors of a checkpoint file without the wrapping that trainers add (`state_dict`, `module.`).

    Raises WeightsError for what is missing, damaged, not a checkpoint, or holds more than tensors and plain values.
    """
    path = Path(path)
    if path.is_dir():
        raise WeightsError(f"{path}: a folder, expected a published file (.pth, .pt); name the file in it")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickled(path)
    state = content
    if isinstance(content, dict):
        state = next((content[name] for name in WRAPPERS if name in content), content)
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(
            f"{path}: expected named tensors, plain or under {' or '.join(map(repr, WRAPPERS))}; found something else"
        )
    tensors = {str(name).removeprefix("module."): value for name, value in state.items()}
    if len(tensors) < len(state):
        twice = [name for name in state if name.startswith("module.") and name.removeprefix("module.") in state]
        raise WeightsError(f"{path}: {some(twice)}: there with and without `module.`, expected one; download it again")
    odd = [name for name, value in tensors.items() if value.layout != torch.strided or value.is_meta]
    if odd:
        raise WeightsError(f"{path}: {some(odd)}: expected plain dense tensors, found others; download it again")
    broken = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise WeightsError(f"{path}: {some(broken)}: expected finite numbers, found nan or inf; download it again")
    return {name: value.float() if value.dtype in SHORT else value for name, value in tensors.items()}


def some(names: list[str], limit: int = 4) -> str:
    """The first few of many names."""
    return ", ".join(names[:limit]) + (f", and {len(names) - limit} more" if len(names) > limit else "")


def _read_pickled(path: Path):
    try:
        _check_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch thinks of an odd pickle is said by our error
            return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except FileNotFoundError:
        raise WeightsError(f"{path}: not found; download the released weights and give their path") from None
    except PermissionError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); change its permissions") from None
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


def _check_archive(path: Path) -> None:
    """Raise WeightsError for an archive that is cut off, damaged or no checkpoint; torch itself ignores checksums."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return  # the older format is no archive
    try:
        with ZipFile(path) as archive:
            if not any(name.endswith("/data.pkl") for name in archive.namelist()):
                raise WeightsError(f"{path}: not a readable PyTorch checkpoint: an archive of something else")
            damaged = archive.testzip()
    except BadZipFile as error:
        raise _unreadable(path, error) from None
    if damaged:
        raise WeightsError(f"{path}: {damaged} in it fails its checksum, expected a whole file; download it again")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise WeightsError(f"{path}: not found; give the path of the weights") from None
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> WeightsError:
    reason = str(error).strip().splitlines()[0].split(". ")[0] if str(error).strip() else type(error).__name__
    if isinstance(error, pickle.UnpicklingError):
        reason = "damaged, or no such file at all"
    return WeightsError(f"{path}: not a readable PyTorch checkpoint ({reason}); is the download complete?")
