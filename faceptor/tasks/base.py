"""What a task is, and what every kind of task must be able to do.

A task is data (`TaskSpec`: a kind, a data set, its label names and a few options). A kind is code (`Kind`): the
target in the crop's frame, the loss, the way back to the image's own pixels and units, the metric, the constant
baseline, the figure, and how an answer is drawn and told. Models, training, evaluation and prediction only ever talk to
these two classes. A kind's file is read by whoever reads params.yaml, so it imports torch, cv2 and matplotlib in the
functions that need them.

Frames: points are xy in float pixels, pixel centres at integers, 0-based.
"""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from pydantic import ValidationError

from faceptor.config.sections import AtKey, Section, all_explained, did_you_mean
from faceptor.errors import ConfigError, DataError
from faceptor.figures.parts import Part, Words
from faceptor.tasks.limits import Limits, check_targets
from faceptor.tasks.metric import Metric

if TYPE_CHECKING:  # the table of tasks is read where torch and matplotlib are not wanted
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from faceptor.datasets.reader import Reader
    from faceptor.datasets.readers.generic import Generic
    from faceptor.figures.plots import Plot

    Sample = Mapping[str, Any]
    Place = Callable[[Sample], Any]  # sample -> PlacedCrop

LARGEST_NUMBER = 1e6  # that a criterion takes
MOST_LABELS = 10_000  # of a task


def _frozen(value: Any) -> Any:
    """Lists become tuples, at any depth, so that options survive JSON and still compare equal."""
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


@dataclass(frozen=True)
class TaskSpec:
    """One task: `<kind>_<dataset>`, with one label per learned query (none for recognition)."""

    name: str
    kind: str
    dataset: str
    labels: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def queries(self) -> int:
        """Learned queries of the task, N_t."""
        return len(self.labels)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, fit for JSON."""
        return {name: getattr(self, name) for name in ("name", "kind", "dataset", "labels", "options")}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> TaskSpec:
        """The inverse of `to_dict`, also after a trip through JSON."""
        return cls(**{key: _frozen(value) for key, value in entry.items()})


class Options(Section):
    """What the options of a kind's tasks may say; nothing, unless a kind has more."""

    def check(self, spec: TaskSpec) -> None:
        """Raise AtKey, with the key below the options, where they do not fit the task's labels."""


class Prediction(ABC):
    """What a task says about one image, in the image's own pixels and units."""

    @abstractmethod
    def to_json(self, spec: TaskSpec) -> dict[str, Any]:
        """Plain numbers and strings only."""

    def magnified(self, k: int) -> Prediction:
        """The same answer in the pixels of an image k times as large; class maps keep their size."""
        return self

    def windowed(self, matrix: np.ndarray, size: tuple[int, int]) -> Prediction:
        """The same answer in the pixels of a window of the image: `matrix` (2, 3) takes the image's pixels to those of
        the window, which has `size` (w, h)."""
        return self


Answer = TypeVar("Answer", bound=Prediction)
Judge = TypeVar("Judge", bound=Metric)


class Kind(ABC, typing.Generic[Answer, Judge]):
    """One kind of task. Stateless: everything that differs between data sets is in the `TaskSpec`."""

    name: ClassVar[str]
    head: ClassVar[str]  # output module: "map" | "value" | "vector"
    inputs: ClassVar[str]  # input group: "dense" | "face"
    columns: ClassVar[tuple[str, ...]]  # prepared columns that can label it, the usual one first; one is enough
    metric_class: ClassVar[type[Any]]  # made of a `TaskSpec`; a kind may override `metric` instead
    headline: ClassVar[str]  # the metric that stands for the kind; `headline_of` for one task
    higher_is_better: ClassVar[bool]
    mirror: ClassVar[bool] = False  # evaluation also runs the mirrored image; `decode` then gets both, stacked
    losses: ClassVar[Mapping[str, Mapping[str, float]]]  # name -> its numbers as published; the first is the default
    options: ClassVar[type[Options]] = Options
    label_count: ClassVar[range] = range(1, MOST_LABELS + 1)  # how many a task may have
    run_length: ClassVar[int] = 1  # neighbouring samples that only mean something beside each other
    labels_move: ClassVar[bool] = False  # with the pixels: only crop and mirror may displace the image
    identities: ClassVar[bool] = False  # labels are people: the criterion has a class centre for each, tests have pairs
    output: ClassVar[str] = ""  # "points" or "rotation" where the numbers are that; a model may have a head for them
    drawn: ClassVar[bool] = False  # over the face, by `draw` and `legend`; else told in words and bars, by `panel`
    on_photograph: ClassVar[bool] = False  # drawn on the photograph as a whole, too
    class_map: ClassVar[bool] = False  # the answer is a picture, `classes`, and is written to a file of its own

    @property
    def column(self) -> str:
        """The usual one of `columns`."""
        return self.columns[0]

    @property
    def heading(self) -> str:
        """Of its answers, for people."""
        return self.name.capitalize()

    def headline_of(self, spec: TaskSpec) -> str:
        """Name of the metric that stands for this task."""
        return spec.options.get("headline", self.headline)

    def check(self, spec: TaskSpec) -> None:
        """Raise ConfigError, naming task and key, where a task from elsewhere (a saved model) cannot be one of it."""
        if spec.queries not in self.label_count:
            least, most = self.label_count[0], self.label_count[-1]
            expected = f"{least}" if least == most else f"{least} to {most}"
            raise ConfigError(f"{spec.name}: labels: expected {expected} of a {self.name} task, found {spec.queries}")
        try:
            self.options.model_validate(spec.options).check(spec)
        except ValidationError as error:
            raise ConfigError(all_explained(error, root=self.options, origin=f"{spec.name}: options")) from None
        except AtKey as error:
            raise ConfigError(f"{spec.name}: options: {error.key}: {error}") from None

    # --- data sets --------------------------------------------------------------------------------------------------

    def own_task(self, dataset: str, reader: Generic) -> TaskSpec | None:
        """The task that a user's own data set makes; None if it has no labels of this kind."""
        if self.column not in reader.columns:
            return None
        labels = tuple(reader.classes.get(self.column, ()))
        return TaskSpec(f"{self.name}_{dataset}", self.name, dataset, labels, self.own_options(reader))

    def own_options(self, reader: Generic) -> dict[str, Any]:
        """Options of such a task."""
        return {}

    def options_on(self, spec: TaskSpec, own: Reader, other: Reader) -> dict[str, Any]:
        """The task's options on the faces of another data set, read by `other`; `own` reads the task's own data set.

        `other` labels one of the columns. Raises `faceptor.tasks.fitting.Misfit` where its labels mean other things.
        """
        return dict(spec.options)

    # --- training ---------------------------------------------------------------------------------------------------

    def check_criterion(self, criterion: Mapping[str, Any]) -> None:
        """Raise AtKey, with the key below `criterion`, for a loss, a number or a value that this kind does not have."""
        name = criterion.get("loss", next(iter(self.losses)))
        if name not in self.losses:
            raise AtKey("loss", f"expected one of {', '.join(self.losses)}, found {name!r}")
        for key, value in criterion.items():
            if key == "loss":
                continue
            if key not in self.losses[name]:
                raise AtKey(key, f"unknown key; {did_you_mean(key, ('loss', *self.losses[name]))} (loss {name})")
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST_NUMBER:
                raise AtKey(key, f"expected a number from 0 to {LARGEST_NUMBER:g}, found {value!r}")

    def criterion(
        self, spec: TaskSpec, *, classes: int | None = None, embedding: int = 512, **criterion: Any
    ) -> nn.Module:
        """The loss: forward(raw, target) -> {"loss": mean over samples (eq. 8), and its named parts}.

        criterion: `loss`, a name of `losses` (else the first), and numbers in place of that loss's own; a ConfigError
        if they do not exist. classes, embedding: number of training identities and width of their centres, for kinds
        whose labels are `identities`. Labels on the CPU are checked by `limits` first.
        """
        try:
            self.check_criterion(criterion)
        except AtKey as error:
            raise ConfigError(f"tasks.{spec.name}.criterion.{error.key}: {error}") from None
        name = criterion.pop("loss", next(iter(self.losses)))
        centres = {"classes": classes, "embedding": embedding} if self.identities else {}
        loss = self.loss(spec, name, **centres, **{**self.losses[name], **criterion})
        loss.limits = self.limits(spec, classes=classes)  # pyright: ignore[reportArgumentType]
        loss.register_forward_pre_hook(partial(_check_labels, spec.name), with_kwargs=True)
        return loss

    def limits(self, spec: TaskSpec, *, classes: int | None = None) -> dict[str, Limits]:
        """What the targets may hold, by their names; a training checks it before a batch goes to the device. classes:
        as for `criterion`. A kind need not say it."""
        return {}

    @abstractmethod
    def loss(self, spec: TaskSpec, name: str, **numbers: Any) -> nn.Module:
        """The loss of that name, with all its numbers."""

    @abstractmethod
    def target(self, spec: TaskSpec, sample: Sample, crop: Any) -> dict[str, np.ndarray]:
        """Labels in the crop's frame, ready to be stacked into a batch."""

    def mirrored(self, spec: TaskSpec, target: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The target of the horizontally mirrored crop; the same where labels know no sides."""
        return target

    # --- evaluation -------------------------------------------------------------------------------------------------

    @abstractmethod
    def decode(self, spec: TaskSpec, raw: Tensor, crop: Any) -> Answer:
        """Raw output for ONE image (no batch axis) -> prediction in the image's own pixels and units."""

    def metric(self, spec: TaskSpec) -> Judge:
        return self.metric_class(spec)

    @abstractmethod
    def constant_baseline(
        self, spec: TaskSpec, train: Any, place: Place | None = None
    ) -> Callable[[Sample, Any], Answer]:
        """The constant baseline from training labels alone: what a model must beat.

        `train` is a prepared split; `place` puts a training sample into its (unjittered) crop, and is needed by the
        kinds whose baseline lives in the crop's frame (landmarks, parsing).
        """

    @abstractmethod
    def figure(self, spec: TaskSpec, metric: Judge) -> Figure: ...

    def plots(self, spec: TaskSpec, metric: Judge) -> list[Plot]:
        """What the figure shows, as data; a kind need not have any."""
        return []

    # --- prediction -------------------------------------------------------------------------------------------------

    def draw(self, spec: TaskSpec, canvas: np.ndarray, prediction: Answer) -> np.ndarray:
        """Overlay on a (H, W, 3) uint8 RGB image, whose pixels the prediction is in; a new array."""
        return canvas.copy()

    def legend(self, spec: TaskSpec, prediction: Answer) -> list[Part]:
        """What stands below such a drawing."""
        return []

    def panel(self, spec: TaskSpec, prediction: Answer) -> list[Part]:
        """What is told of a prediction that is not drawn."""
        return [Words(tuple(self.describe(spec, prediction)))]

    def describe(self, spec: TaskSpec, prediction: Answer) -> list[str]:
        """The prediction in words, one line each, for captions."""
        return []


def label_of(sample: Sample, column: str) -> Any:
    """A label of the sample; a sample without it is an error, never a default."""
    if sample.get(column) is None:
        raise DataError(
            f"{key_of(sample)}: no {column!r} label, found {', '.join(sorted(sample))}; prepare the data set again"
        )
    return sample[column]


def key_of(sample: Sample) -> str:
    """The sample's key, for messages."""
    return str(sample.get("key", "a sample without key"))


def check_within(
    name: str, low: float | np.floating, high: float | np.floating, bounds: tuple[float, float], remedy: str
) -> None:
    """Raise unless bounds[0] <= low and high <= bounds[1]; NaN fails too."""
    if not (low >= bounds[0] and high <= bounds[1]):
        raise DataError(
            f"{name}: expected values in [{bounds[0]:g}, {bounds[1]:g}], found {low:g} .. {high:g}; {remedy}"
        )


def check_finite(what: str, values: Any) -> None:
    """A diverged model must not get a score."""
    if not np.isfinite(values).all():
        raise DataError(
            f"{what}: the prediction is not finite; the model has diverged, start from an earlier checkpoint"
        )


def _check_labels(task: str, loss: Any, given: tuple, named: Mapping[str, Any]) -> None:
    """On a GPU nothing is checked, because that would wait for it: a training does so before a batch goes there."""
    target = named["target"] if "target" in named else given[1]
    if all(target[name].is_cpu for name in loss.limits):
        labels = {name: target[name].detach() for name in loss.limits}  # bfloat16 is a type that NumPy lacks
        numbers = {name: each.double() if each.is_floating_point() else each for name, each in labels.items()}
        check_targets(loss.limits, numbers, where=task)
