from faceptor.synthesis.portrait import Portrait
import numpy as np


def render(face, *, size, frame="wild", rng_seed=None, maps=False) -> Portrait:
    raise NotImplementedError
