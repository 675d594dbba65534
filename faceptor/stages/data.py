"""The data stages: generate a data set's faces, prepare a data set."""

from faceptor.config import Params
from faceptor.data.prepare import prepare
from faceptor.stages.files import RESULTS, write_json
from faceptor.synthesis import synthesize


def synthesize_set(params: Params, name: str, *, workers: int = 0) -> dict:
    """Faces of one data set, in its published layout, below data.root; a contact sheet under results/."""
    settings = params.synthesis[name].model_dump(exclude_none=True)
    return synthesize(
        name,
        params.data.root / params.datasets[name].path,
        seed=params.seed,
        workers=workers,
        sheet=RESULTS / "synthesis" / f"{name}.png",
        **settings,
    )


def preprocess_set(params: Params, name: str) -> dict:
    """Prepared shards of one data set and its passport, which also goes to results/preprocess/."""
    block = params.datasets[name]
    passport = prepare(
        name,
        params.data.root / block.path,
        params.prepared(name),
        validation=params.data.validation if block.validation is None else block.validation,
        seed=params.seed,
        max_rejects=params.max_rejects(name),
        follow_links=params.data.follow_links,
        reader=block.reader,
        options=block.options | ({"verification": list(block.verification)} if block.verification else {}),
    )
    write_json(RESULTS / "preprocess" / f"{name}.json", passport)
    return passport
