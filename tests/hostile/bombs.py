"""Files that promise more than they hold, or that would run code: real encoded bytes, made in memory."""

from __future__ import annotations

import functools
import io
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

SIDE = 60_000  # pixels: 3.6 billion in all


class Touches:
    """Pickled, it creates the canary file when it is loaded by anything that lets pickles call."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return os.mknod, (str(self.canary),)


def canary_pickle(canary: Path) -> bytes:
    return pickle.dumps(([Touches(canary)], [True]), protocol=2)


def canary_npy(canary: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(Touches(canary), object), allow_pickle=True)
    return buffer.getvalue()


def memo_bomb() -> bytes:
    """A list of two references to a list of two references ... 40 deep."""
    return b"\x80\x02" + b"]q\x00" + b"".join(b"](h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1])
                                              for n in range(40)) + b"."  # fmt: skip


def repeated_image(image: bytes, times: int = 200_000) -> bytes:
    """A verification set whose images are all the same array, written once."""
    array = np.frombuffer(image + bytes(1 << 20), np.uint8)
    return pickle.dumps(([array] * (2 * times), [True] * times), protocol=2)


def object_array_bomb() -> bytes:
    """An array of a billion Python objects, by its shape alone."""
    kind = b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb"
    head = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
    return b"\x80\x02" + head + b"(K\x01J" + struct.pack("<i", 1 << 30) + b"\x85" + kind + b"\x89]tb."


@functools.cache
def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", bytes(8 << 20))
    return buffer.getvalue()


# --- images -----------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, pixels: bytes = b"", *, extra: bytes = b"", depth: int = 8, color: int = 2) -> bytes:
    """A PNG with right checksums, whatever it declares."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + body + chunk(b"IEND", b"")


@functools.cache
def png_text_bomb() -> bytes:
    """64 x 64 pixels and a comment that unpacks to 64 MiB."""
    return png(64, 64, bytes(64 * 193), extra=chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(64 << 20))))


@functools.cache
def png_data_bomb() -> bytes:
    """64 x 64 pixels declared, 64 MiB of them in the stream."""
    return png(64, 64, bytes(64 << 20))


def jpeg_giant(image: bytes) -> bytes:
    """The JPEG with 65,535 x 65,535 pixels in its header."""
    data = bytearray(image)
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
    data[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(data)


def bmp_giant() -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 70, 0, 0, 54, 40, SIDE, SIDE, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(16)


def eps() -> bytes:
    """PostScript: a decoder that reads it would start another program."""
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# --- arrays -----------------------------------------------------------------------------------------------------------


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def npy_giant() -> bytes:
    return npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,)}")


@functools.cache
def mat_zeros(name: str, megabytes: int = 512) -> bytes:
    """A compressed variable that unpacks to that many megabytes; one packed megabyte is repeated."""
    size = megabytes << 20
    content = struct.pack("<IIIIIIII", 6, 8, 6, 0, 5, 8, 1, size // 8) + _mat_name(name) + struct.pack("<II", 9, size)
    content = struct.pack("<II", 14, len(content) + size) + content
    packer, zeros = zlib.compressobj(wbits=-15), bytes(1 << 20)
    start = packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    check = functools.reduce(lambda check, _: zlib.adler32(zeros, check), range(megabytes), zlib.adler32(content))
    packed = b"\x78\x9c" + start + block * megabytes + packer.flush() + struct.pack(">I", check)
    return _mat_header() + struct.pack("<II", 15, len(packed)) + packed


def mat_cells(name: str, count: int = 1 << 30) -> bytes:
    """A cell that holds a cell array of a billion cells, by its dimensions alone."""
    inner = struct.pack("<IIIIIIII", 6, 8, 1, 0, 5, 8, 1, count) + _mat_name("")
    inner = struct.pack("<II", 14, len(inner)) + inner
    outer = struct.pack("<IIIIIIII", 6, 8, 1, 0, 5, 8, 1, 1) + _mat_name(name) + inner
    return _mat_header() + struct.pack("<II", 14, len(outer)) + outer


def _mat_header() -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<HH", 0x0100, 0x4D49)


def _mat_name(name: str) -> bytes:
    text = name.encode()
    return struct.pack("<II", 1, len(text)) + text + bytes(-len(text) % 8)


def mat5(content: dict) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, content)
    return buffer.getvalue()
