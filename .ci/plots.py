# /// script
# requires-python = ">=3.11"
# dependencies = ["vl-convert-python==1.9.0.post1"]
# ///
"""The page of `dvc plots show` without a network: writes .dvc/plots/offline.html, with Vega-Lite inside, and names it
in .dvc/config.local. Run by `make` in an environment of its own (`uv run --script .ci/plots.py`), because what it needs
is used here alone. Vega, Vega-Lite and Vega-Embed are under the BSD 3-clause licence.
"""

import configparser
from pathlib import Path

VEGA_LITE = "5.8"  # the major version that DVC's templates are written in
PLACE = "plots/offline.html"  # below .dvc

PAGE = """<!DOCTYPE html>
<html>
<head>
    <meta charset="utf-8">
    {refresh_tag}
    <title>Plots</title>
    <script type="module">%s</script>
    <script>
    // The library above is a module, which runs after the page is read: remember the plots until then.
    window.waiting = [];
    window.vegaEmbed = (...plot) => window.waiting.push(plot);
    </script>
    <script type="module">window.waiting.forEach((plot) => window.vegaEmbed(...plot));</script>
    <style>
        body { font-family: sans-serif; }
        table { border-spacing: 15px; }
    </style>
</head>
<body>
    {plot_divs}
</body>
</html>
"""


def template(library: str) -> str:
    """A page for DVC to fill in, which loads nothing: `library` is JavaScript that sets `window.vegaEmbed`."""
    return PAGE.replace("%s", library.replace("</script", r"<\/script"))


def install(library: str, folder: Path) -> None:
    """Write the page below `folder` (.dvc) and set plots.html_template for this checkout; other settings stay."""
    page = folder / PLACE
    page.parent.mkdir(exist_ok=True)
    page.write_text(template(library), encoding="utf-8")
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(folder / "config.local")
    settings["plots"] = {"html_template": PLACE}
    with open(folder / "config.local", "w", encoding="utf-8") as file:
        settings.write(file)


if __name__ == "__main__":
    from vl_convert import javascript_bundle

    install(javascript_bundle(vl_version=VEGA_LITE), Path(".dvc"))
