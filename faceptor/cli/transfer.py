"""`faceptor transfer`: teach a trained model an unseen data set."""

from typing import Annotated

import typer

from faceptor.cli.options import PARAMS, Device, Json, ParamsFile, as_json, load
from faceptor.config.sections import unspelled
from faceptor.io.processes import is_rank_0


def transfer(
    dataset: Annotated[str, typer.Argument(help="A data set of transfer.tasks, e.g. aflw19.")],
    mode: Annotated[str, typer.Argument(help="prompt, decoder, full or lora (transfer.modes).")],
    device: Device = "auto",
    params: ParamsFile = PARAMS,
    json: Json = False,
):
    """Teach a trained model an unseen data set in one of several ways, and measure what the old tasks lost by it.

    `prompt` trains the new task's queries, `decoder` also the decoders and output modules, `full` everything (Faceptor,
    section 4.6); `lora`, not in the paper, trains the queries and low-rank adapters of the attention maps. Writes
    results/transfer/<dataset>-<mode>.json and models/transfer/<dataset>-<mode>.

    Example: `faceptor transfer lapa prompt`
    """
    from faceptor.io.files import RESULTS, read_json
    from faceptor.pipeline.launch import launched
    from faceptor.pipeline.patterns import check_transfer
    from faceptor.pipeline.transfer import task_of
    from faceptor.pipeline.transfer import transfer as run

    experiment = load(params)
    check_transfer(experiment, [task_of(experiment, unspelled(dataset))])
    start = experiment.params.transfer.start
    read_json(RESULTS / "evaluate" / "details" / f"{start}.json")  # forgetting is told against it
    arguments = ["transfer", dataset, mode, "--device", device, "--params", str(params), *(["--json"] if json else [])]
    if launched(experiment.params.train, arguments, device=device):
        return
    report = run(experiment, dataset, mode, device=device)
    if json and is_rank_0():
        print(as_json(report))
