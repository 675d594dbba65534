"""Loads a model, answers a photograph and counts a preset where nothing but the core dependencies can be imported.

`python -m tests.core_only MODULE...`: the modules that the extras bring. Run by `test_environment`.
"""

import sys
import tempfile
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path


class CoreOnly(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in sys.argv[1:] else super().find_spec(name, path, target)


def main() -> None:
    package = Path(find_spec("skimage").origin).parent  # for its photograph; the package itself is no core dependency
    sys.meta_path[sys.meta_path.index(PathFinder)] = CoreOnly
    import numpy as np
    from PIL import Image

    import faceptor
    from faceptor.cli import app
    from faceptor.config import load_preset
    from faceptor.models.build import build_model
    from faceptor.tasks import TASKS
    from faceptor.weights.folder import save_model

    photo = package / "data/astronaut.png"
    with tempfile.TemporaryDirectory() as folder:
        preset = load_preset("embedded")
        save_model(build_model(preset.model, [TASKS[name] for name in preset.stage1.tasks]), folder)
        (face,) = faceptor.predict(faceptor.load(folder), np.array(Image.open(photo).convert("RGB")))
        assert set(face.results) == set(preset.stage1.tasks), face
        verb = ["predict", str(photo), "--model", folder, "--task", "age_morph2", "--out", f"{folder}/out"]
        assert not app(verb, standalone_mode=False)
        assert Path(folder, "out/astronaut.png").is_file()
        assert not app([*verb, "--format", "csv", "--sheet"], standalone_mode=False)
        assert {"faces.csv", "sheet-0001.png"} <= {path.name for path in Path(folder, "out").iterdir()}
    app(["budget", "embedded"], standalone_mode=False)


if __name__ == "__main__":
    main()
