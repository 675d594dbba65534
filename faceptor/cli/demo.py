"""`faceptor demo`: the page that runs a model in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from faceptor.io.files import SHIPPED


def demo(
    model: Annotated[Path, typer.Option("--model", help="A model folder.")] = SHIPPED,
    out: Annotated[Path, typer.Option("--out", help="The folder of the page.")] = Path("reports/demo"),
    precision: Annotated[str, typer.Option(help="How weights are stored: fp32, bf16 or int8.")] = "int8",
):
    """Build a page that answers pictures in the visitor's browser: model, runtime and detector in one folder.

    The page (docs/demo) sends nothing anywhere and needs no network. Hand its folder out with any server of files.

    Example: `faceptor demo --out reports/demo`
    """
    from PIL import Image

    from faceptor.deploy.demo import build_demo
    from faceptor.explorer.faces import drawn_picture

    build_demo(out, model=model, precision=precision, example=Image.fromarray(drawn_picture(0).pixels))
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: {size:,} bytes; `python -m http.server --bind 127.0.0.1 --directory {out}` shows it on port 8000")
