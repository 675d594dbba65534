"""Writers of generated faces, one module per data set, each in the layout its owner publishes."""

from faceptor.synthesis.writers.affectnet import AffectNetLayout
from faceptor.synthesis.writers.aflw19 import AFLW19Layout
from faceptor.synthesis.writers.aflw2000 import AFLW2000Layout
from faceptor.synthesis.writers.biwi import BiwiLayout
from faceptor.synthesis.writers.celeba import CelebALayout
from faceptor.synthesis.writers.celebamaskhq import CelebAMaskHQLayout
from faceptor.synthesis.writers.cofw import COFWLayout
from faceptor.synthesis.writers.digiface import DigiFaceLayout
from faceptor.synthesis.writers.facesynthetics import FaceSyntheticsLayout
from faceptor.synthesis.writers.fairface import FairFaceLayout
from faceptor.synthesis.writers.ferplus import FERPlusLayout
from faceptor.synthesis.writers.ffhqaging import FFHQAgingLayout
from faceptor.synthesis.writers.lapa import LaPaLayout
from faceptor.synthesis.writers.layout import Layout
from faceptor.synthesis.writers.lfw73 import LFW73Layout
from faceptor.synthesis.writers.lfwa import LFWALayout
from faceptor.synthesis.writers.morph2 import Morph2Layout
from faceptor.synthesis.writers.ms1mv3 import MS1MV3Layout
from faceptor.synthesis.writers.rafdb import RAFDBLayout
from faceptor.synthesis.writers.utkface import UTKFaceLayout
from faceptor.synthesis.writers.w300 import W300Layout
from faceptor.synthesis.writers.w300lp import W300LPLayout
from faceptor.synthesis.writers.w300vw import W300VWLayout
from faceptor.synthesis.writers.wflw import WFLWLayout

LAYOUTS: dict[str, Layout] = {
    layout.name: layout()
    for layout in (
        *(W300Layout, AFLW19Layout, CelebAMaskHQLayout, LaPaLayout, Morph2Layout),
        *(AffectNetLayout, RAFDBLayout, CelebALayout, MS1MV3Layout, LFW73Layout),
        *(UTKFaceLayout, FairFaceLayout, LFWALayout, FERPlusLayout, FFHQAgingLayout),
        *(WFLWLayout, COFWLayout, W300LPLayout, AFLW2000Layout, BiwiLayout, W300VWLayout),
        *(FaceSyntheticsLayout, DigiFaceLayout),
    )
}
