"""Broken files of every kind: refused by name, or counted, and nothing else."""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from trainers.data.color import on_white
from trainers.data.decoding import UndecodableError, decode_image, decoder_at_work
from trainers.data.image_header import count_headers
from trainers.data.prepare.verification import Checked, Fault, check
from trainers.data.stored_image import StoredImage
from trainers.data.tree import IMAGE_SUFFIXES, ImageFile
from trainers.errors import DataError


def damaged(content: bytes) -> Iterator[bytes]:
    """The file cut short, and with one to three bytes changed, most often near its start, where lengths are."""
    generator = np.random.default_rng(0)
    for end in generator.integers(0, len(content), 25):
        yield content[:end]
    for number in range(150):
        changed = bytearray(content)
        reach = len(content) if number % 3 == 0 else min(len(content), 200)
        for place in generator.integers(0, reach, 1 + number % 3):
            changed[place] ^= int(generator.integers(1, 256))
        yield bytes(changed)


def turned(image: Image.Image) -> Image.Image:
    return on_white(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_a_damaged_file_is_refused_by_its_name(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    whole = tmp_path / f"whole{suffix}"
    kind = Image.registered_extensions()[suffix]
    Image.fromarray(pixels).convert("1" if suffix == ".pbm" else "RGB").save(whole, format=kind)
    # Else a changed width would take hundreds of megabytes.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    told = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert decode_image(str(whole), "whole", turned).size == (11, 9)
        files = []
        for number, content in enumerate(damaged(whole.read_bytes())):
            file = tmp_path / f"{number}{suffix}"
            file.write_bytes(content)
            files.append(ImageFile(str(file), len(content)))
            assert isinstance(check(tmp_path, StoredImage(file.name)), Checked | Fault)
            try:
                decode_image(str(file), str(file), turned)
            except DataError as error:
                told.append((file, str(error)))
        assert count_headers(files).num_looked_at == len(files)
    assert told
    for file, message in told:
        assert re.fullmatch(rf"{re.escape(str(file))} can't be read as an image: .+; replace or remove it", message)


def test_a_machine_without_memory_is_not_the_files_fault() -> None:
    with pytest.raises(MemoryError), decoder_at_work():
        raise MemoryError
    with pytest.raises(UndecodableError, match=r"^IndexError bytearray index out of range$"), decoder_at_work():
        _ = bytearray()[0]
