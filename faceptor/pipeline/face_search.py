"""Where the detector sees the faces of prepared pictures, and how they are then cut.

Looking takes about a tenth of a second a picture, so what was seen is kept in results/detections/<dataset>.json, and a
picture is only searched again if it, or the detector, is another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from faceptor.analysis.pipeline_truth import Views
from faceptor.analysis.task_faces import TaskFaces
from faceptor.config.sections import spelled
from faceptor.io.files import RESULTS, read_json, write_json
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.material import MATERIAL, prepared_of
from faceptor.predict.crops import shared_crop
from faceptor.predict.detector import Detection, detect_faces, detector_version, overlap
from faceptor.predict.framing import face_box
from faceptor.prepared.reading import content_hashes, held_out_split
from faceptor.tasks import TaskSpec
from faceptor.transforms.crop import PlacedCrop
from faceptor.transforms.framing import crop_of, place_face

DECIMALS = 3  # of a pixel
LEAST_OVERLAP = 0.2  # intersection over union of a detected face with the true one, below which it is another


def detections(
    found: Experiment, dataset: str, samples: Sequence[Mapping[str, Any]], *, root: Path
) -> list[list[Detection]]:
    """The detected faces, largest first, of every sample of a data set's validation split, in order."""
    folder = prepared_of(found, dataset, root=root)
    own = folder == root / found.prepared(dataset)
    path = root / (RESULTS if own else MATERIAL) / "detections" / f"{spelled(dataset)}.json"
    facts = {"split": content_hashes(folder)[held_out_split(folder)], "detector": detector_version()}
    kept = read_json(path) if path.is_file() else {}
    seen = kept["faces"] if facts.items() <= kept.items() else {}
    new = {sample["key"]: _plain(detect_faces(sample["image"])) for sample in samples if sample["key"] not in seen}
    if new:
        seen = dict(sorted((seen | new).items()))
        write_json(path, facts | {"faces": seen})
    return [[_detection(text) for text in seen[sample["key"]]] for sample in samples]


def _plain(faces: Sequence[Detection]) -> list[str]:
    """x1, y1, x2, y2, score and roll of each, a line a face."""
    return [" ".join(f"{value:.{DECIMALS}f}" for value in (*one.box, one.score, one.roll)) for one in faces]


def _detection(text: str) -> Detection:
    *box, score, roll = map(float, text.split())
    return Detection(np.array(box), score, roll)


# --- the ways to a crop -----------------------------------------------------------------------------------------------


def views_of(task: TaskFaces, seen: Sequence[Sequence[Detection]]) -> Views:
    """How every face of a task is cut for the network: as its data set's own pictures are, as `faceptor.predict` does
    with the true face box given, as it does with what the detector saw (`detections`, in the order of the faces), and
    as it does with one crop for all tasks of the input group.

    The detected face is the one that overlaps the true box most, or the largest where no label tells that box.
    """
    own, shared = crop_of(task.model, task.spec.name), shared_crop(task.model, task.model.group[task.spec.name])

    def crops(sample: Mapping[str, Any], faces: Sequence[Detection]) -> tuple[PlacedCrop | None, ...]:
        place = partial(place_face, image_size=sample["size"])
        box = labelled_box(task.spec, sample)
        boxed = None if box is None else place(*own, box=box)
        face = _chosen(faces, box)
        found = (place(*way, box=face.box, roll=face.roll) if face else None for way in (own, shared))
        return task.crop.place_sample(sample), boxed, *found

    rows = [crops(sample, faces) for sample, faces in zip(task.samples, seen, strict=True)]
    return Views(*(zip(*rows, strict=True) if rows else ((),) * len(fields(Views))))


def labelled_box(spec: TaskSpec, sample: Mapping[str, Any]) -> np.ndarray | None:
    """The face box that labels tell; None where none does."""
    told = any(sample.get(name) is not None for name in ("landmarks", "points5", "mask"))
    return face_box(spec, sample) if told else None


def _chosen(faces: Sequence[Detection], box: np.ndarray | None) -> Detection | None:
    if box is None or not faces:
        return faces[0] if faces else None
    shared = overlap(box, np.stack([one.box for one in faces]))
    return faces[int(shared.argmax())] if shared.max() > LEAST_OVERLAP else None
