"""Facts about the published models that their files do not state: names of tasks, inputs, crops, licences."""

from collections.abc import Iterable
from dataclasses import dataclass

from timm.data.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from faceptor.transforms.crop import CropSpec

TASK_NAMES = {  # published -> ours; recognition has no queries, it comes with the recognition head
    "age_morph2": "age_morph2",
    "age_utkface": "age_utkface",
    "biattr_celeba": "attributes_celeba",
    "affect_affectnet": "expression_affectnet",
    "affect_rafdb": "expression_rafdb",
    "affect_ferplus": "expression_ferplus",
    "parsing_celebam": "parsing_celebamaskhq",
    "parsing_lapa": "parsing_lapa",
    "align_300w": "landmarks_300w",
    "align_cofw": "landmarks_cofw",
    "align_wflw": "landmarks_wflw",
    "align_aflw": "landmarks_aflw19",
}
RECOGNITION = "recognition_ms1mv3"
KIND_NAMES = {
    "recog": "recognition",
    "age": "age",
    "biattr": "attributes",
    "affect": "expression",
    "parsing": "parsing",
    "align": "landmarks",
}

# What the released checkpoints were trained to see: CLIP statistics for dense inputs, plain 0.5 for the others.
INPUTS = {
    "dense": {"size": 512, "mean": OPENAI_CLIP_MEAN, "std": OPENAI_CLIP_STD},
    "face": {"size": 112, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
}


@dataclass(frozen=True)
class Licence:
    """code, weights: name of the licence, "not stated" where its authors state none; remark: what follows from it."""

    code: str
    weights: str
    remark: str


FARL_LICENCE = Licence(code="MIT", weights="MIT", remark="Published with its code under the MIT licence.")
CODE_LICENCE = Licence(  # of Faceptor and of FaceXFormer
    code="MIT",
    weights="not stated",
    remark="The licence covers the code; ask the authors before using the weights beyond research. Every data set "
    "they were trained on has terms of its own.",
)

TIMM_LICENCE = Licence(
    code="Apache-2.0",
    weights="see the model's page on the Hugging Face hub",
    remark="ImageNet's pictures have terms of their own, which allow research only.",
)


# How the published evaluation crops test images.
BOX, WHOLE = CropSpec(kind="box", size=512, scale=0.8), CropSpec(kind="whole", size=112)
CROPS = {
    "landmarks_300w": BOX,
    "landmarks_wflw": BOX,
    "landmarks_cofw": BOX,
    "landmarks_aflw19": CropSpec(kind="box", size=512, scale=1.0),
    "parsing_celebamaskhq": CropSpec(kind="whole", size=512),
    "parsing_lapa": CropSpec(kind="align5", size=512, warp=0.8),
    "age_morph2": WHOLE,
    "age_utkface": WHOLE,
    "expression_affectnet": CropSpec(kind="box", size=112, scale=1.0),
    "expression_rafdb": WHOLE,
    "expression_ferplus": WHOLE,
    "attributes_celeba": WHOLE,
    "recognition_ms1mv3": WHOLE,
}


def published_crops(tasks: Iterable[str]) -> dict[str, dict]:
    """Task -> how its test images are cropped by the published evaluation, as plain data for the model folder."""
    return {name: CROPS[name].to_dict() for name in tasks}
