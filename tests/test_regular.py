"""Only regular files of a bounded size are read, whatever is named."""

import os
from pathlib import Path

import pytest

from faceptor.errors import ConfigError
from faceptor.io.regular import check_regular, open_regular, read_regular, sha256_of


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def link_to_zero(path: Path) -> Path:
    path.symlink_to("/dev/zero")
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def large(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse
    return path


def unreadable(path: Path) -> Path:
    path.write_bytes(b"x")
    path.chmod(0)
    return path


def ring(path: Path) -> Path:
    path.symlink_to(path)
    return path


WRONG = [fifo, link_to_zero, folder, large, ring, lambda path: path, lambda path: path / ("x" * 300)]


@pytest.mark.parametrize("make", WRONG)
@pytest.mark.parametrize("read", [open_regular, read_regular, check_regular, sha256_of])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, make, read):
    path = make(tmp_path / "named")
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else None
    with pytest.raises(ConfigError) as caught:
        read(path, largest=1000, error=ConfigError, remedy="name another one")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and "name another one" in str(caught.value)
    assert before is None or len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="named"):
        read_regular(unreadable(tmp_path / "named"), largest=1000, error=ConfigError)


def test_a_regular_file_is_read_through_links(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_regular(tmp_path / "link", largest=10) == b"0123456789"
    assert check_regular(str(tmp_path / "link"), largest=10) == 10


def test_a_file_without_a_size_is_bounded_all_the_same():
    """Files of /proc call themselves empty."""
    if Path("/proc/kallsyms").exists():
        with pytest.raises(ConfigError, match="found more"):
            read_regular("/proc/kallsyms", largest=100, error=ConfigError)
