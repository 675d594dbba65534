"""Writers of generated faces, one module per data set, each in the layout its owner publishes."""

from faceptor.synthesis.layouts.affectnet import AffectNet
from faceptor.synthesis.layouts.aflw19 import Aflw19
from faceptor.synthesis.layouts.aflw2000 import AFLW2000
from faceptor.synthesis.layouts.base import Layout
from faceptor.synthesis.layouts.biwi import Biwi
from faceptor.synthesis.layouts.celeba import CelebA
from faceptor.synthesis.layouts.celebamaskhq import CelebAMaskHQ
from faceptor.synthesis.layouts.cofw import COFW
from faceptor.synthesis.layouts.fairface import FairFace
from faceptor.synthesis.layouts.ferplus import FERPlus
from faceptor.synthesis.layouts.ffhqaging import FFHQAging
from faceptor.synthesis.layouts.lapa import LaPa
from faceptor.synthesis.layouts.lfw73 import Lfw73
from faceptor.synthesis.layouts.lfwa import Lfwa
from faceptor.synthesis.layouts.morph2 import Morph2
from faceptor.synthesis.layouts.ms1mv3 import Ms1mv3
from faceptor.synthesis.layouts.rafdb import RafDb
from faceptor.synthesis.layouts.utkface import UTKFace
from faceptor.synthesis.layouts.w300 import W300
from faceptor.synthesis.layouts.w300lp import W300LP
from faceptor.synthesis.layouts.w300vw import W300VW
from faceptor.synthesis.layouts.wflw import WFLW

LAYOUTS: dict[str, Layout] = {
    layout.name: layout()
    for layout in (
        *(W300, Aflw19, CelebAMaskHQ, LaPa, Morph2, AffectNet, RafDb, CelebA, Ms1mv3, Lfw73),
        *(UTKFace, FairFace, Lfwa, FERPlus, FFHQAging),
        *(WFLW, COFW, W300LP, AFLW2000, Biwi, W300VW),
    )
}
