"""Frames of a video, one at a time: every n-th, or one each so many seconds. Decoded by PyAV, of the extra `video`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from faceptor.errors import ConfigError, DataError
from faceptor.io.regular import open_regular

LARGEST_VIDEO = 1 << 42  # bytes
LARGEST_FRAME = 89_000_000  # pixels
# Containers of single files. Lists of other files (HLS, concat) are left out: a video opens nothing but itself.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf,flv,ogg,gif,h264,hevc,m4v,ivf"


@dataclass(frozen=True)
class Every:
    """Which frames are looked at: each `frames`-th, the first included, or one each `seconds` where that is given."""

    frames: int = 1
    seconds: float | None = None

    def __str__(self) -> str:
        return f"{self.frames}" if self.seconds is None else f"{self.seconds:g}s"

    def due(self, number: int, time: float) -> int:
        """Which interval a frame is in; it is looked at where that is another than of the frame looked at before."""
        if self.seconds is None:
            return number // self.frames
        return math.floor(time / self.seconds + 1e-6)  # times are sums of a frame's length, rounded


@dataclass(frozen=True, eq=False)
class Frame:
    """number: of all frames that can be decoded, from 0; seconds: from the beginning."""

    number: int
    seconds: float
    path: Path
    picture: Any

    def pixels(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB, turned as the file says it is to be shown; DataError if it is too large."""
        picture = self.picture
        if picture.width * picture.height > LARGEST_FRAME:
            size = f"{picture.width} x {picture.height}"
            raise DataError(f"{self.path}: frames of {size} pixels are too large; scale the video down")
        return np.ascontiguousarray(np.rot90(picture.to_ndarray(format="rgb24"), round(picture.rotation / 90) % 4))


def parse_every(text: str) -> Every:
    """ "10" -> every tenth frame, "0.5s" -> one each half second; ConfigError for what is neither."""
    text = text.strip()
    if re.fullmatch(r"\d+", text) and int(text):
        return Every(frames=int(text))
    if re.fullmatch(r"\d*\.?\d+\s*s", text) and float(text[:-1]) > 0:
        return Every(seconds=float(text[:-1]))
    raise ConfigError(f"--every {text!r}: expected a number of frames, as 10, or of seconds, as 0.5s")


def frames(path: Path, every: Every) -> Iterator[Frame]:
    """The chosen frames as they are decoded; nothing is kept.

    Raises DataError where the file is no video; where stretches of it are damaged, after the frames of the others.
    """
    with _opened(path) as (av, container):
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate, last, damaged = float(stream.average_rate or 25), None, []
        for number, picture in enumerate(_decoded(av, container, stream, damaged)):
            seconds = _seconds(picture, stream, number / rate)
            interval = every.due(number, seconds)
            if interval != last:
                last = interval
                yield Frame(number, round(seconds, 6), path, picture)
    if damaged:
        raise DataError(f"{path}: {len(damaged)} damaged stretches were left out ({damaged[0]}); the rest is answered")


def _decoded(av: Any, container: Any, stream: Any, damaged: list[str]) -> Iterator[Any]:
    """Pictures of a stream; what cannot be decoded is added to `damaged` and left out."""
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.FFmpegError as error:
                damaged.append(error.strerror if not damaged else "")
    except av.FFmpegError as error:  # of the container: there is no more to be had
        damaged.append(error.strerror if not damaged else "")


def count_frames(path: Path, every: Every) -> int | None:
    """About how many frames `frames` gives, by what the file says of itself; None where it says nothing."""
    try:
        with _opened(path) as (_, container):
            stream = container.streams.video[0]
            seconds = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
            count = stream.frames or round(seconds * float(stream.average_rate or 25))
    except DataError:
        return None
    if not count:
        return None
    wanted = count / every.frames if every.seconds is None else min(count, seconds / every.seconds)
    return max(1, math.ceil(wanted))


def require_av() -> Any:
    """PyAV; ConfigError naming the extra where it is not installed."""
    try:
        import av
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "av":
            raise
        remedy = "pip install 'faceptor[video]', in a clone `make`"
        raise ConfigError(f"a video needs PyAV (av), which is missing: {remedy}") from None
    return av


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """PyAV and the container of a video that has pictures."""
    av = require_av()
    with open_regular(path, largest=LARGEST_VIDEO, remedy="give a video file") as file:
        try:
            container = av.open(file, options={"format_whitelist": CONTAINERS})
        except av.FFmpegError as error:
            raise DataError(f"{path}: expected a video as MP4, MOV, MKV, WebM or AVI ({error.strerror})") from error
        with container:
            if not container.streams.video:
                raise DataError(f"{path}: expected a video, found no pictures in it (sound alone?)")
            yield av, container


def _seconds(picture: Any, stream: Any, otherwise: float) -> float:
    if picture.pts is None or picture.time_base is None:
        return otherwise
    return float((picture.pts - (stream.start_time or 0)) * picture.time_base)
