"""Writers of generated faces, one module per data set, each in the layout its owner publishes."""

from faceptor.synthesis.writers.affectnet import AffectNet
from faceptor.synthesis.writers.aflw19 import Aflw19
from faceptor.synthesis.writers.aflw2000 import AFLW2000
from faceptor.synthesis.writers.base import Layout
from faceptor.synthesis.writers.biwi import Biwi
from faceptor.synthesis.writers.celeba import CelebA
from faceptor.synthesis.writers.celebamaskhq import CelebAMaskHQ
from faceptor.synthesis.writers.cofw import COFW
from faceptor.synthesis.writers.fairface import FairFace
from faceptor.synthesis.writers.ferplus import FERPlus
from faceptor.synthesis.writers.ffhqaging import FFHQAging
from faceptor.synthesis.writers.lapa import LaPa
from faceptor.synthesis.writers.lfw73 import Lfw73
from faceptor.synthesis.writers.lfwa import Lfwa
from faceptor.synthesis.writers.morph2 import Morph2
from faceptor.synthesis.writers.ms1mv3 import Ms1mv3
from faceptor.synthesis.writers.rafdb import RafDb
from faceptor.synthesis.writers.utkface import UTKFace
from faceptor.synthesis.writers.w300 import W300
from faceptor.synthesis.writers.w300lp import W300LP
from faceptor.synthesis.writers.w300vw import W300VW
from faceptor.synthesis.writers.wflw import WFLW

LAYOUTS: dict[str, Layout] = {
    layout.name: layout()
    for layout in (
        *(W300, Aflw19, CelebAMaskHQ, LaPa, Morph2, AffectNet, RafDb, CelebA, Ms1mv3, Lfw73),
        *(UTKFace, FairFace, Lfwa, FERPlus, FFHQAging),
        *(WFLW, COFW, W300LP, AFLW2000, Biwi, W300VW),
    )
}
