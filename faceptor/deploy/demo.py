"""The page that runs a model in a browser: the files of docs/demo, and beside them a model with what it needs.

The page needs no network and no server of its own: whatever hands out files will do.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from faceptor.datasets.labels import landmark_scheme
from faceptor.deploy.demo_detector import write_detector
from faceptor.deploy.export import beside, export_model
from faceptor.errors import ConfigError
from faceptor.figures.drawing import class_colours
from faceptor.figures.plots import PALETTE
from faceptor.io.files import SHIPPED, read_json, write_json
from faceptor.io.paths import replace_folder

PAGE = Path("docs/demo")  # in the checkout
RUNTIME = "runtime/runtime.json"
CLOSED = ("eye", "lip")  # groups of points that are outlines


def build_demo(
    out: Path, *, model: Path | str = SHIPPED, precision: str = "int8", example: Image.Image | None = None
) -> dict[str, Any]:
    """Write the page with a model into the folder `out`, whole or not at all; returns the model's description.

    precision: how its weights are stored; example: a picture that a visitor can try. Raises ConfigError outside a
    checkout.
    """
    if not (PAGE / "index.html").is_file():
        raise ConfigError(f"{PAGE}: not found here; run it in the folder of the repository, which holds the page")
    runtime = read_json(PAGE / RUNTIME)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        partial = shutil.copytree(PAGE, Path(scratch) / out.name)
        folder = partial / "model"
        folder.mkdir()
        about = export_model(model, folder / "model.onnx", precision=precision)
        about |= {"runtime": runtime["version"], "drawing": drawing_of(about["tasks"]), "example": example is not None}
        about["detector"] = write_detector(folder)
        if example is not None:
            example.save(folder / "example.png")
        write_json(beside(folder / "model.onnx"), about)
        replace_folder(partial, out)
    return about


def drawing_of(tasks: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Task -> how its answer is drawn: groups of points with their colours, colours of classes."""
    found: dict[str, dict[str, Any]] = {}
    for name, task in tasks.items():
        options = task["options"]
        if task["kind"] == "landmarks":
            groups = landmark_scheme(options["scheme"]).groups
            found[name] = {
                "groups": [
                    {"first": first, "last": last, "closed": part.endswith(CLOSED), "colour": PALETTE[i % len(PALETTE)]}
                    for i, (part, (first, last)) in enumerate(groups.items())
                ]
            }
        elif task["kind"] == "parsing":
            colours = class_colours(len(task["labels"])).tolist()
            found[name] = {"colours": colours, "background": options["background"]}
    return found
