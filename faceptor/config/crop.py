"""The crop that a network sees, as params.yaml and model folders say it; `faceptor.transforms.crop` places it."""

from typing import Annotated, Literal

from pydantic import Field

from faceptor.config.sections import Flag, Real, Section

LARGEST_SCALE = 100.0


class Crop(Section):
    """From a photograph to the network's square input.

    kind       "box": the sample's box stretched to the crop; "align5", "arcface": similarity that takes five
               points to the FaRL or the ArcFace template; "whole": whole image, aspect not kept; "square":
               centre square
    scale      magnification about the crop's centre after that; at 0.8 a "box" crop shows 1.25 times the box
    warp       factor f of the tanh warp: 0 = none, 0.8 for LaPa
    antialias  smooth by area before shrinking. The reference does not: at 512 pixels hardly anything shrinks.
               Small inputs need it. "whole" and "square" always resize with antialias.
    """

    kind: Literal["box", "align5", "whole", "square", "arcface"]
    scale: Annotated[Real, Field(ge=1 / LARGEST_SCALE, le=LARGEST_SCALE)] = 1.0
    warp: Annotated[Real, Field(ge=0, le=1)] = 0.0
    antialias: Flag = False
