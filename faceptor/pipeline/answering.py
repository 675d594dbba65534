"""What answers the images of tests and validations: the engine of `faceptor.predict`, as `evaluate` says."""

from typing import Any

from faceptor.config.params import Evaluation
from faceptor.predict.engine import Engine


def answering(model: Any, settings: Evaluation) -> Engine:
    """The model as an engine that computes in `evaluate.precision`, on a GPU by captured graphs of `evaluate.batch`
    images. Its weights are those of now, so that a model that learns on needs a new one each time; an engine is
    returned as it is."""
    if isinstance(model, Engine):
        return model
    return Engine(model, precision=settings.precision, batch_sizes=(settings.batch,))
