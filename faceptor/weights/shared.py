"""Model folders that a team shares: in a Git repository whose DVC remote holds the files."""

import tempfile
from pathlib import Path

import torch

from faceptor.errors import WeightsError
from faceptor.models.base import FaceModel
from faceptor.weights.folder import load_model


def load_shared(
    folder: str, repo: str, *, rev: str | None = None, remote: str | None = None, device: torch.device | str = "cpu"
) -> FaceModel:
    """The model of a folder in another repository, which goes online if that is where the repository lies.

    folder: as it is called there, e.g. "models/stage2"; repo: path or URL of the Git repository; rev: commit, branch or
    tag (None: what is checked out, or the default branch); remote: path or URL of the DVC remote, where the repository
    names none. Nothing is kept on this disk. Raises WeightsError if the repository, the revision or the folder is not
    there, or its files are not on the remote.
    """
    try:
        from dvc.api import DVCFileSystem
    except ImportError:
        raise WeightsError(f"{repo}: reading another repository needs dvc, `pip install 'faceptor[train]'`") from None
    from dvc.exceptions import DvcException
    from dvc.scm import SCMError

    config = {"core": {"remote": "given"}, "remote": {"given": {"url": str(remote)}}} if remote else None
    with tempfile.TemporaryDirectory(prefix="faceptor-") as place:
        copy = Path(place) / "model"
        try:
            files = DVCFileSystem(str(repo), rev=rev, config=config)
            if not files.isdir(folder):
                raise WeightsError(f"{repo}: {folder}: no folder of that name at {rev or 'its current state'}")
            files.get(folder, str(copy), recursive=True)
        except (DvcException, SCMError, OSError) as error:
            where = f" and {remote}" if remote else ", which must name a DVC remote, or say remote=..."
            raise WeightsError(f"{repo}: {folder}: {error}; looked at {rev or 'its current state'}{where}") from None
        return load_model(copy, device)
