"""The detector that comes with the package, for the page that runs in a browser."""

from pathlib import Path
from typing import Any

from faceptor.deploy.formats import needed
from faceptor.predict.detectors import centerface, heads


def write_detector(folder: Path) -> dict[str, Any]:
    """Put the detector that comes with the package into a folder, for pictures of any size; returns what it needs.

    The published file is for pictures of 32 x 32, which OpenCV overlooks and onnxruntime does not, and its weights are
    among its inputs.
    """
    onnx = needed("onnx")
    network = onnx.load(centerface.FILE)
    weights = {each.name for each in network.graph.initializer}
    (given,) = [each for each in network.graph.input if each.name not in weights]
    for dimension, name in zip(given.type.tensor_type.shape.dim, ("pictures", None, "height", "width"), strict=True):
        if name:
            dimension.dim_param = name
    del network.graph.input[:]
    network.graph.input.append(given)
    for output in network.graph.output:
        output.type.tensor_type.ClearField("shape")
    del network.graph.value_info[:]
    used = {name for node in network.graph.node for name in node.input}
    kept = [each for each in network.graph.initializer if each.name in used]
    del network.graph.initializer[:]
    network.graph.initializer.extend(kept)
    onnx.save(network, folder / "faces.onnx")
    return {
        "file": "faces.onnx",
        "side": centerface.CenterFace.sides[0],
        "smallest": centerface.CenterFace.smallest,
        "min_score": centerface.MIN_SCORE,
        "patch": centerface.PATCH,
        "patch_face": centerface.PATCH_FACE,
        "patch_score": centerface.PATCH_SCORE,
        "steady_roll": centerface.STEADY_ROLL,
        "looks": centerface.MAX_LOOKS,
        "face_side": heads.SIDE,
        "face_lower": heads.LOWER,
        "eyes_to_mouth": list(heads.EYES_TO_MOUTH),
    }
