"""The kinds of task by name. A new kind is its file and its line here."""

from __future__ import annotations

from typing import Any

from faceptor.errors import ConfigError
from faceptor.tasks.age import Age
from faceptor.tasks.agegroup import AgeGroup
from faceptor.tasks.attributes import Attributes
from faceptor.tasks.base import Kind, TaskSpec
from faceptor.tasks.expression import Expression
from faceptor.tasks.gender import Gender
from faceptor.tasks.landmarks import Landmarks
from faceptor.tasks.parsing import Parsing
from faceptor.tasks.pose import Pose
from faceptor.tasks.race import Race
from faceptor.tasks.rating import Rating
from faceptor.tasks.recognition import Recognition
from faceptor.tasks.visibility import Visibility

KINDS: dict[str, Kind[Any, Any]] = {
    kind.name: kind
    for kind in (
        Landmarks(),
        Parsing(),
        Age(),
        Expression(),
        Attributes(),
        Recognition(),
        Pose(),
        Gender(),
        Race(),
        AgeGroup(),
        Visibility(),
        Rating(),
    )
}


def kind_of(spec: TaskSpec) -> Kind[Any, Any]:
    """The kind of a task; a task from elsewhere (a saved model) may name one that does not exist here."""
    if spec.kind not in KINDS:
        raise ConfigError(f"task {spec.name!r}: kind {spec.kind!r} is unknown; expected one of {', '.join(KINDS)}")
    return KINDS[spec.kind]
