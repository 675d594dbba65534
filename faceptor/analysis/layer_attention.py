"""Which encoder layers a task's queries prefer, and where they look on real faces (paper section 3.3, eq. 6 and 7).

Two quantities, for every decoder layer l, head and query, by encoder layer:

* preference Q.L_t / sqrt(d): what the level vectors alone add to the scores. Q = W_q (H^(l-1) + E_de-pos) + b_q is the
  query as the decoder layer sees it (H^0 = Q_t), L_t goes through W_k, both split into heads of width d. In decoder
  layer 1 it is the same for every image, later it depends on what the queries have read. Only its differences
  between encoder layers matter, so it is given centred on its mean over them.
* mass: the attention a query spends on an encoder layer, summed over positions; sums to 1 over encoder layers.

A frame has the columns task, state, decoder_layer (from 1), head (from 1), query (from 0), label, encoder_layer
(1-based number in the encoder), mass, mass_std (over faces), preference, prior (the softmax of the preferences: the
mass that would follow if all tokens matched alike), and faces, the number of faces that these are means over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import pad

from faceptor.analysis.configured import Configured
from faceptor.datasets.subset import spread
from faceptor.errors import ConfigError, DataError, WeightsError
from faceptor.io.files import read_json
from faceptor.models.faceptor import Faceptor
from faceptor.models.textbook import AttentionReport
from faceptor.prepared.reading import held_out_split, open_split
from faceptor.tasks import TaskSpec
from faceptor.transforms.tensors import to_tensor
from faceptor.weights.folder import model_hash, read_description
from faceptor.weights.loading import load_strictly

NUMBERED = 12  # faces that a number chooses from
STAGE1, UNTRAINED, STAGE2 = STATES = ("stage 1", "untrained L_t", "stage 2")
MEASURED = (UNTRAINED, STAGE2)  # in stage 1 the top layer gets everything, by definition


# --- what was trained -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trained:
    """Stage 2 of one task, kept or not: its tensors by their names in a model, and the verdict on it."""

    task: str
    mode: str
    tensors: Mapping[str, Tensor]
    verdict: Mapping
    origin: str


def load_trained(folder: Path | str, tasks: Iterable[str]) -> dict[str, Trained]:
    """What stage 2 left below `folder` (models/stage2-tasks) for these tasks."""
    tasks = list(tasks)
    if not tasks:
        raise ConfigError("stage2.tasks: expected at least one task whose Layer-Attention was trained, found none")
    return {name: _load_one(Path(folder) / name, name) for name in tasks}


def _load_one(folder: Path, name: str) -> Trained:
    verdict, weights = folder / "verdict.json", folder / "layer_attention.safetensors"
    for file in (verdict, weights):
        if not file.is_file():
            raise WeightsError(f"{file}: not found; `faceptor train stage2 --task {name}` or `dvc pull` makes it")
    facts = read_json(verdict)
    return Trained(name, facts["mode"], load_file(weights), facts, str(weights))


def verdicts(trained: Mapping[str, Trained]) -> pd.DataFrame:
    """Rows (task, validation samples that judged it, skill before and after, gain and its 95 % interval, kept, trained
    parameters)."""
    rows = [
        {
            "task": name,
            "mode": state.mode,
            "judged on": state.verdict.get("samples", 0),
            "skill, stage 1": state.verdict.get("skill_stage1"),
            "skill, stage 2": state.verdict.get("skill_stage2"),
            "gain": state.verdict.get("gain"),
            "at least": state.verdict.get("interval", [None, None])[0],
            "at most": state.verdict.get("interval", [None, None])[1],
            "kept": state.verdict["kept"],
            "trained parameters": state.verdict["trainable_parameters"],
        }
        for name, state in trained.items()
    ]
    return pd.DataFrame(rows)


def origin(folder: Path | str) -> pd.Series:
    """What the figures rest on: the hashes of a model folder and of the model it started from, seed and stage."""
    facts = read_description(folder)["provenance"]
    plain = {key: facts[key] for key in ("stage", "seed") if key in facts}
    start = {"start": facts["start"][:12]} if "start" in facts else {}
    return pd.Series({"model": model_hash(folder)[:12], **start, **plain}, name="origin", dtype=object)


# --- faces ----------------------------------------------------------------------------------------------------------


def validation_faces(experiment: Configured, spec: TaskSpec, *, root: Path, count: int) -> Tensor:
    """Up to `count` faces spread evenly over the task's validation split (the test split where everything else was
    trained on), cropped as for testing: (B, 3, S, S) in [0, 1]."""
    folder = root / experiment.prepared(spec.dataset)
    split = open_split(folder, held_out_split(folder))
    if not len(split):
        raise DataError(f"{split.folder}: the val split is empty; raise data.validation and preprocess again")
    crop = experiment.crop(spec.name, "test")
    samples = (split[index] for index in spread(len(split), count))
    return torch.stack([to_tensor(crop.place_sample(each).image(each["image"])) for each in samples])


def one_face_each(
    experiment: Configured, model: Faceptor, queries: Iterable[str], *, root: Path, number: int
) -> dict[str, Tensor]:
    """Task -> one of its validation faces, (3, S, S) in [0, 1], for the tasks of these queries (task:label) that the
    model has. number: which of NUMBERED faces, spread over the split."""
    tasks = dict.fromkeys(query.partition(":")[0] for query in queries)
    found = {}
    for task in (name for name in tasks if name in model.tasks):
        faces = validation_faces(experiment, model.tasks[task], root=root, count=NUMBERED)
        found[task] = faces[number % len(faces)]
    return found


# --- measuring ------------------------------------------------------------------------------------------------------


@contextmanager
def in_state(model: Faceptor, state: str, trained: Trained, *, seed: int) -> Iterator[Faceptor]:
    """The model with its task in one of STATES; afterwards it sees the top layer only.

    "untrained L_t" is what training started from: drawn anew from the seed.
    """
    model.disable_layer_attention(trained.task)
    try:
        if state != STAGE1:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                model.enable_layer_attention(trained.task, trained.mode)
        if state == STAGE2:
            load_strictly(model.layer_attention[trained.task], _own(trained), origin=trained.origin)
        yield model
    finally:
        model.disable_layer_attention(trained.task)


def _own(trained: Trained) -> dict[str, Tensor]:
    """Tensors of this task, named as in its entry of `model.layer_attention`."""
    prefix = f"layer_attention.{trained.task}."
    return {name.removeprefix(prefix): tensor for name, tensor in trained.tensors.items() if name.startswith(prefix)}


@torch.no_grad()
def measure(model: Faceptor, name: str, faces: Tensor, *, batch: int) -> pd.DataFrame:
    """One task in the model's present state: a frame without task and state. faces (B, 3, H, W) in [0, 1]."""
    totals: dict[str, Tensor] = {}
    for images in faces.split(batch):
        report = model.attention(images.to(model.decoder.level.device), name)
        for key, values in _statistics(report).items():
            totals[key] = totals.get(key, 0) + values.double().sum(dim=1).cpu()
    means = {key: total / len(faces) for key, total in totals.items()}
    return _frame(model, report, means).assign(faces=len(faces))


def _statistics(report: AttentionReport) -> dict[str, Tensor]:
    """What is averaged over faces, each (D, B, H, N, L)."""
    mass = report.per_layer()
    preference = report.preference - report.preference.mean(dim=-1, keepdim=True)
    return {"mass": mass, "square": mass.double() ** 2, "preference": preference, "prior": preference.softmax(dim=-1)}


def _frame(model: Faceptor, report: AttentionReport, means: Mapping[str, Tensor]) -> pd.DataFrame:
    depth, heads, queries, _ = means["mass"].shape
    places = {
        "decoder_layer": range(1, depth + 1), "head": range(1, heads + 1), "query": range(queries),
        "encoder_layer": model.layers,
    }  # fmt: skip
    unseen = (len(model.layers) - len(report.layers), 0)  # lower layers, which carry no mass and have no preference
    blank = {"preference": float("nan")}
    values = {key: pad(mean, unseen, value=blank.get(key, 0.0)) for key, mean in means.items()}
    spread = (values.pop("square") - values["mass"] ** 2).clamp(min=0).sqrt()
    columns = {key: tensor.ravel().numpy() for key, tensor in {**values, "mass_std": spread}.items()}
    return pd.DataFrame(columns, index=pd.MultiIndex.from_product(places.values(), names=places)).reset_index()


def measure_states(
    model: Faceptor, trained: Trained, faces: Tensor, *, batch: int, seed: int, labels: tuple[str, ...], states=MEASURED
) -> pd.DataFrame:
    """One task in some states: the full frame."""
    frames = []
    for state in states:
        with in_state(model, state, trained, seed=seed):
            frames.append(measure(model, trained.task, faces, batch=batch).assign(task=trained.task, state=state))
    table = pd.concat(frames, ignore_index=True)
    table["label"] = table["query"].map(dict(enumerate(labels)))
    return table


def measure_tasks(
    model: Faceptor, trained: Mapping[str, Trained], experiment: Configured, *, root: Path, faces: int, batch: int
) -> pd.DataFrame:
    """All trained tasks in the states of MEASURED, on validation faces of each task's own data set."""
    tables, seed = [], experiment.params.seed
    for name, state in trained.items():
        spec = model.require_task(name)
        images = validation_faces(experiment, spec, root=root, count=faces)
        tables.append(measure_states(model, state, images, batch=batch, seed=seed, labels=spec.labels))
    return pd.concat(tables, ignore_index=True)


# --- summaries ------------------------------------------------------------------------------------------------------

_LAYER = ["task", "state", "decoder_layer"]


def mass_by_layer(table: pd.DataFrame) -> pd.DataFrame:
    """Mean mass over heads and queries: rows (task, state, decoder_layer, encoder_layer, mass)."""
    return _mean(table, [*_LAYER, "encoder_layer"], ["mass", "prior"])


def mass_by_head(table: pd.DataFrame) -> pd.DataFrame:
    """Mean mass over queries: rows (task, state, decoder_layer, head, encoder_layer, mass)."""
    return _mean(table, [*_LAYER, "head", "encoder_layer"], ["mass"])


def by_query(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over heads: rows (task, state, decoder_layer, query, label, encoder_layer, mass, preference)."""
    return _mean(table, [*_LAYER, "query", "label", "encoder_layer"], ["mass", "preference"])


def use_of_layers(table: pd.DataFrame) -> pd.DataFrame:
    """Rows (task, state) with the mean mass of every encoder layer, and how many layers are in use: the exponential
    of the entropy of that mean (1: one layer alone; L: all alike)."""
    mass = _mean(table, ["task", "state", "encoder_layer"], ["mass"])
    wide = mass.pivot(index=["task", "state"], columns="encoder_layer", values="mass")
    entropy = -(wide * np.log(wide.where(wide > 0, 1.0))).sum(axis=1)
    order = pd.MultiIndex.from_product([list(dict.fromkeys(table["task"])), STATES], names=["task", "state"])
    return wide.assign(**{"layers in use": np.exp(entropy)}).reindex(order).dropna(how="all")


def _mean(table: pd.DataFrame, keys: list[str], values: list[str]) -> pd.DataFrame:
    return table.groupby(keys, sort=False, as_index=False)[values].mean()


def conclusions(table: pd.DataFrame, trained: Mapping[str, Trained]) -> list[str]:
    """One sentence per task: what stage 2 changed, from the numbers; and one about the tasks together."""
    use = use_of_layers(table)
    layers = [column for column in use.columns if column != "layers in use"]
    top, sentences = layers[-1], []
    trained_rows = table[table["state"] == STAGE2]
    prior = trained_rows.groupby(["task", "encoder_layer"])["prior"].mean()
    counts = trained_rows.groupby("task")["faces"].first()
    for name, state in trained.items():
        before, after = use.loc[(name, UNTRAINED)], use.loc[(name, STAGE2)]
        change = (after[layers] - before[layers]).astype(float)
        alone = prior[name]
        verdict = "kept" if state.verdict["kept"] else "not kept"
        gain = "not judged, for want of validation samples"
        if state.verdict["judged"]:
            gain = f"validation skill {state.verdict['gain']:+.4f}"
        sentences.append(
            f"{name}, {counts[name]} faces: {100 * (1 - after[top]):.0f} % of the attention goes below the top layer "
            f"after stage 2 (untrained {100 * (1 - before[top]):.0f} %, stage 1 none), most to encoder layer "
            f"{after[layers].astype(float).idxmax()} ({100 * after[layers].max():.0f} %); training moved layer "
            f"{change.abs().idxmax()} most ({100 * change[change.abs().idxmax()]:+.1f} points); Q·L_t alone asks most "
            f"for layer {alone.idxmax()} ({100 * alone.max():.0f} %); {after['layers in use']:.1f} layers in use; "
            f"{gain}, {verdict}."
        )
    kept = [name for name, state in trained.items() if state.verdict["kept"]]
    together = f"Layer-Attention was kept for {len(kept)} of {len(trained)} tasks: {', '.join(kept) or 'none'}."
    return [*sentences, together]
