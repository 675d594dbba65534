"""Figures that the papers print about their models, and facts of the weights released with them.

Only what analysis compares with is here; all counts are parameters unless the name says millions.
"""

from dataclasses import dataclass

# Faceptor (ECCV 2024), section 4.2 and Table 3: Faceptor-Base and Naive Faceptor, in millions.
FACEPTOR_MILLIONS = {"encoder": 86.8, "decoder": 14.7, "pixel_decoder": 0.5, "rest": 1.2, "total": 103.2}
NAIVE_MILLIONS = 178.9
NAIVE_HEAD_MILLIONS = {"dense": 39.3, "attribute": 3.4, "identity": 1.0}
NAIVE_EXCESS_PERCENT = 73  # "73% more than Faceptor"

# Naive Faceptor as released, its seven data sets: one head per kind of task, counted from its weights. The expression
# head answers two data sets (AffectNet and RAF-DB); a UPerNet is counted with the upsampling in front of it.
NAIVE_HEADS = {
    "landmarks": 39_372_612,
    "parsing": 39_347_475,
    "age": 4_150_405,
    "expression": 4_105_774,
    "attributes": 4_119_112,
    "recognition": 987_136,
}
NAIVE_TOTAL = 178_911_058  # with the encoder, without the classifier of recognition

# FaceXFormer as released: its weights, and what they answer (the article's expression and recognition are not there).
FACEXFORMER_TOTAL = 91_985_943
FACEXFORMER_TASKS = (
    *("landmarks_300w", "pose_300wlp", "attributes_celeba", "visibility_cofw", "agegroup_utkface", "gender_utkface"),
    *("race_utkface", "parsing_lapa"),
)

# Table 1 of Faceptor: B backbone, O output modules, Q queries, N tasks.
STORAGE = {
    "universal representation + fine-tuning": "N·B + N·O",
    "early all-in-one, Naive Faceptor": "1·B + N·O",
    "Faceptor": "1·B + 1·O + N·Q",
}
CALCULATION = dict(zip(STORAGE, ("N·B + N·O", "1·B + N·O", "1·B + N·O"), strict=True))
CYCLES = dict(zip(STORAGE, ("N", "1", "1"), strict=True))

# The number of people in a recognition training set, which sizes the classifier of its loss.
IDENTITIES = {"ms1mv3": 93_431}


@dataclass(frozen=True)
class Printed:
    """A published number of parameters. what: "total", a component, or "<category> head" (the mean of such heads);
    decimals: as many as are printed."""

    what: str
    millions: float
    where: str
    decimals: int = 1


# Preset -> what is published about the model that it describes.
PARAMETERS = {
    "base": tuple(Printed(part, count, "Faceptor, section 4.2") for part, count in FACEPTOR_MILLIONS.items()),
    "naive": (
        Printed("total", NAIVE_MILLIONS, "Faceptor, Table 3"),
        *(Printed(f"{name} head", count, "Faceptor, section 4.2") for name, count in NAIVE_HEAD_MILLIONS.items()),
    ),
    "facexformer": (Printed("total", FACEXFORMER_TOTAL / 1e6, "FaceXFormer, released weights", decimals=6),),
}
GFLOPS = {"base": 167, "full": 167, "facexformer": 114}
GFLOPS_WHERE = "FaceXFormer, section 5.3"
GFLOPS_UNKNOWN = "input size, tasks asked and FLOPs per MAC are not stated; `faceptor budget --conventions` tries them"
GFLOPS_CAUTION = "The paper's FaceXFormer has an hourglass of unknown size, here of three levels: a match may be chance"
# The same models (presets of 26 November 2026) through other tools, in 10^9: fvcore 0.1.5, thop 0.1.1 and ptflops
# 0.7.5 with its backend aten. All three count multiply-accumulates and do not see fused attention.
GIGA_BY_TOOL = {
    "facexformer, paper, one call at 224 px": {"fvcore": 19.045, "thop": 19.280, "ptflops": 19.008},
    "facexformer, released, one call at 224 px": {"fvcore": 17.364, "thop": 17.684, "ptflops": 17.341},
    "base, landmarks and parsing in one call at 512 px": {"fvcore": 92.165, "thop": 95.723, "ptflops": 92.157},
    "base, the other five in one call at 112 px": {"fvcore": 6.372, "thop": 6.366, "ptflops": 6.372},
}
