"""Loading a model, from a folder here or from a Git repository whose DVC remote holds the files."""

import tempfile
from pathlib import Path

import torch

from faceptor.errors import WeightsError
from faceptor.io.files import SHIPPED
from faceptor.models.base import FaceModel
from faceptor.weights.folder import load_model


def load(
    folder: Path | str = SHIPPED, device: torch.device | str = "cpu", *,
    repo: Path | str | None = None, rev: str | None = None, remote: Path | str | None = None,
) -> FaceModel:  # fmt: skip
    """The model of a folder on this disk, see `load_model`; none named: the one that comes with the package.

    With `repo`, of a folder in another Git repository, which goes online if that is where it lies; `folder` is then as
    it is called there, e.g. "models/stage2". repo: path or URL; rev: commit, branch or tag (None: what is checked out,
    or the default branch); remote: path or URL of the DVC remote, where the repository names none. Nothing of it is
    kept on this disk. Raises WeightsError if the repository, the revision or the folder is not there, or its files are
    not on the remote.
    """
    if repo is None:
        if rev or remote:
            raise WeightsError("load: rev and remote say where to look in another repository; say repo=..., too")
        return load_model(folder, device)
    with tempfile.TemporaryDirectory(prefix="faceptor-") as place:
        copy = Path(place) / "model"
        _fetch(str(folder), copy, str(repo), rev, remote)
        return load_model(copy, device)


def _fetch(folder: str, copy: Path, repo: str, rev: str | None, remote: Path | str | None) -> None:
    try:
        from dvc.api import DVCFileSystem
    except ImportError:
        raise WeightsError(f"{repo}: reading another repository needs dvc, `pip install 'faceptor[train]'`") from None
    from dvc.exceptions import DvcException
    from dvc.scm import SCMError

    state = rev or "its current state"
    config = {"core": {"remote": "given"}, "remote": {"given": {"url": str(remote)}}} if remote else None
    try:
        files = DVCFileSystem(repo, rev=rev, config=config)
        if not files.isdir(folder):
            raise WeightsError(f"{repo}: {folder}: no folder of that name at {state}")
        files.get(folder, str(copy), recursive=True)
    except (DvcException, SCMError, OSError) as error:
        where = f"and in {remote}" if remote else "and in the DVC remote that it names; another one is remote=..."
        raise WeightsError(f"{repo}: {folder}: {error}; looked at {state} {where}") from None
