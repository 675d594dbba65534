"""Readers of the published data sets, one module each: files as their owners publish them in, records out."""

from pathlib import Path

from faceptor.config import Data, Dataset
from faceptor.config.sections import spelled
from faceptor.datasets.reader import Reader
from faceptor.datasets.readers.affectnet import AffectNet
from faceptor.datasets.readers.aflw19 import AFLW19
from faceptor.datasets.readers.aflw2000 import AFLW2000
from faceptor.datasets.readers.biwi import Biwi
from faceptor.datasets.readers.celeba import CelebA
from faceptor.datasets.readers.celebamaskhq import CelebAMaskHQ
from faceptor.datasets.readers.cofw import COFW
from faceptor.datasets.readers.digiface import DigiFace
from faceptor.datasets.readers.facesynthetics import FaceSynthetics
from faceptor.datasets.readers.fairface import FairFace
from faceptor.datasets.readers.ferplus import FERPlus
from faceptor.datasets.readers.ffhqaging import FFHQAging
from faceptor.datasets.readers.generic import Generic, stored_description
from faceptor.datasets.readers.lapa import LaPa
from faceptor.datasets.readers.lfw73 import LFW73
from faceptor.datasets.readers.lfwa import LFWA
from faceptor.datasets.readers.morph2 import Morph2
from faceptor.datasets.readers.ms1mv3 import MS1MV3
from faceptor.datasets.readers.rafdb import RAFDB
from faceptor.datasets.readers.utkface import UTKFace
from faceptor.datasets.readers.w300 import W300
from faceptor.datasets.readers.w300lp import W300LP
from faceptor.datasets.readers.w300vw import W300VW
from faceptor.datasets.readers.wflw import WFLW
from faceptor.errors import ConfigError

READERS: dict[str, type[Reader]] = {
    reader.name: reader
    for reader in (
        *(W300, AFLW19, CelebAMaskHQ, LaPa, Morph2, AffectNet, RAFDB, CelebA, MS1MV3, LFW73),
        *(UTKFace, FairFace, LFWA, FERPlus, FFHQAging),
        *(WFLW, COFW, W300LP, AFLW2000, Biwi, W300VW),
        *(FaceSynthetics, DigiFace),
    )
}


def reader_class(name: str, *, key: str | None = None) -> type[Reader]:
    """Reader of a published data set by its name, or "generic"; ConfigError with the valid names when there is none.

    key: what the data set is called in params.yaml, if not like that; messages and dataset cards then say it.
    """
    if key not in (None, name):
        reader = reader_class(name)
        return type(reader.__name__, (reader,), {"name": key, "__doc__": reader.__doc__})
    if name == Generic.name:
        return Generic
    if name not in READERS:
        known = ", ".join((*READERS, Generic.name))
        key = spelled(name)
        raise ConfigError(f"datasets.{key}: no such data set; expected one of {known}, or one with a reader of these")
    return READERS[name]


def reader_of(name: str, block: Dataset, data: Data, *, prepared: Path) -> Reader:
    """The reader of a block of `datasets` with its options; it has not looked at the data yet.

    prepared: its folder of shards, which know what the columns of a user's own data meant where the data are not.
    Raises ConfigError with the key of params.yaml for an option that the reader does not have.
    """
    root, options = data.root / block.path, dict(block.options)
    if block.verification:
        options["verification"] = list(block.verification)
    if block.reader == Generic.name:
        options |= stored_description(root, options.get("description"), prepared / "card.json")
    return reader_class(block.reader or name, key=name)(root, follow_links=data.follow_links, **options)
