"""Figures that the Faceptor paper (ECCV 2024) prints about its models, and facts of the code released with it.

Only what analysis compares with is here; all counts are parameters unless the name says millions.
"""

# Section 4.2 and Table 3: Faceptor-Base and Naive Faceptor, in millions.
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

# Table 1, storage: B backbone, O output modules, Q queries, N tasks.
STORAGE = {
    "universal representation + fine-tuning": "N·B + N·O",
    "early all-in-one, Naive Faceptor": "1·B + N·O",
    "Faceptor": "1·B + 1·O + N·Q",
}

# The number of people in a recognition training set, which sizes the classifier of its loss.
IDENTITIES = {"ms1mv3": 93_431}
