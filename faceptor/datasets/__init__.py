"""Readers of the published data sets, one module each: files as their owners publish them in, records out."""

from faceptor.datasets.affectnet import AffectNet
from faceptor.datasets.aflw19 import AFLW19
from faceptor.datasets.base import Reader
from faceptor.datasets.celeba import CelebA
from faceptor.datasets.celebamaskhq import CelebAMaskHQ
from faceptor.datasets.lapa import LaPa
from faceptor.datasets.lfw73 import LFW73
from faceptor.datasets.morph2 import Morph2
from faceptor.datasets.ms1mv3 import MS1MV3
from faceptor.datasets.rafdb import RAFDB
from faceptor.datasets.w300 import W300
from faceptor.errors import ConfigError

READERS: dict[str, type[Reader]] = {
    reader.name: reader
    for reader in (W300, AFLW19, CelebAMaskHQ, LaPa, Morph2, AffectNet, RAFDB, CelebA, MS1MV3, LFW73)
}


def reader_class(name: str) -> type[Reader]:
    """Reader of a data set by its key; ConfigError with the valid keys when there is none."""
    if name not in READERS:
        raise ConfigError(f"datasets.{name}: no such data set; expected one of {', '.join(READERS)}")
    return READERS[name]
