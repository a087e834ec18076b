"""What is counted of a folder, in numbers and in one line."""

import os
import shutil
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data import copies, fingerprint, image_header
from trainers.data.account import DataAccount
from trainers.data.folder import FolderConfig
from trainers.data.image_header import count_headers
from trainers.data.tree import IMAGE_SUFFIXES, ImageFile

GENERATOR = np.random.default_rng(0)


def photo(path: Path, *, orientation: int | None = None, mode: str = "RGB", **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(GENERATOR.integers(0, 256, (12, 10, 3), dtype=np.uint8)).convert(mode)
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    image.save(path, **options)
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    folder = tmp_path / "pets"
    for split, num_images in (("train", 9), ("val", 3), ("test", 3)):
        for name in ("cat", "dog"):
            for number in range(num_images):
                photo(folder / split / name / f"{number}.png")
    return folder


def account(folder: Path) -> DataAccount:
    found = FolderConfig(path=str(folder)).survey(None).account
    assert found is not None
    return found


def test_an_ordinary_folder_needs_few_words(pets: Path) -> None:
    assert str(account(pets)) == "2 classes, 18/6/6 images"


def test_everything_that_is_not_read_or_looks_otherwise_is_counted(pets: Path) -> None:
    for number in range(20):
        (pets / f"{number}.txt").touch()
    for number, orientation in enumerate((1, 3, 6, 8)):
        photo(pets / "train" / "cat" / f"turned{number}.jpg", orientation=orientation)
    photo(pets / "train" / "dog" / "logo.png", mode="RGBA")
    first, second = (Image.new("L", (9, 9), level) for level in (0, 255))
    first.save(pets / "train" / "dog" / "film.gif", save_all=True, append_images=[second])
    (pets / "val" / "dog" / "broken.jpg").write_text("no image")
    (pets / "train" / "dog" / "again.png").symlink_to("logo.png")
    photo(pets / "val" / "overview.png")
    photo(pets / "test" / "cat" / "black" / "1.png")
    (pets / ".DS_Store").touch()
    shutil.copy(pets / "train" / "dog" / "1.png", pets / "test" / "dog" / "copied.png")
    assert str(account(pets)) == (
        "2 classes, 24/7/8 images, 20 files of other kinds (.txt 20), 1 hidden file or folder, "
        "1 image in no class folder (not read), 1 link to what is read already, 1 image below its class's folder, "
        "1 copy of a training image in val or test, 3 turned by EXIF (ignored), 1 with alpha (laid on white), "
        f"1 of several frames (the first is read), 1 unreadable ({pets / 'val' / 'dog' / 'broken.jpg'})"
    )


def test_many_kinds_are_named_by_the_commonest() -> None:
    counts = {"": 2, ".txt": 9, ".json": 1, ".heic": 4, ".mp4": 4}
    found = DataAccount(num_classes=2, num_images=(1, 1, 1), other_files=counts)
    assert "20 files of other kinds (.txt 9, .heic 4, .mp4 4, ...)" in str(found)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif"])
def test_turned_images_are_those_that_pillow_would_turn(tmp_path: Path, suffix: str, orientation: int) -> None:
    from PIL import ImageOps

    file = photo(tmp_path / f"image{suffix}", orientation=orientation)
    with Image.open(file) as image:
        # TIFFs are turned while they are decoded, by every reader that uses Pillow.
        stored, shown = image.convert("RGB"), ImageOps.exif_transpose(image).convert("RGB")
    counts = count_headers([ImageFile(str(file), file.stat().st_size)])
    assert counts.num_turned == (stored.tobytes() != shown.tobytes())
    assert counts.num_turned == (orientation > 1 and suffix != ".tif")


def test_exif_behind_the_pixels_of_a_png_is_found(tmp_path: Path) -> None:
    file = photo(tmp_path / "late.png", orientation=6)
    content = file.read_bytes()
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    moved = content[:start] + content[end:-12] + content[start:end] + content[-12:]
    file.write_bytes(moved)
    assert count_headers([ImageFile(str(file), len(moved))]).num_turned == 1


@pytest.mark.parametrize("text", [b"XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation='6'/>", b"Comment\0\0\0\0\0nothing"])
def test_a_png_is_decoded_only_where_it_speaks_of_an_orientation(tmp_path: Path, text: bytes) -> None:
    file = photo(tmp_path / "text.png")
    content = file.read_bytes()
    text = text.replace(b"'", b'"')
    chunk = len(text).to_bytes(4, "big") + b"iTXt" + text + zlib.crc32(b"iTXt" + text).to_bytes(4, "big")
    file.write_bytes(content[:-12] + chunk + content[-12:])
    assert count_headers([ImageFile(str(file), 0)]).num_turned == (b"Orientation" in text)


def test_broken_headers_end_nothing(tmp_path: Path) -> None:
    """Every byte of a header, changed: counted somehow, never raised."""
    whole = [photo(tmp_path / "a.jpg", orientation=6), photo(tmp_path / "a.png", orientation=6, mode="RGBA")]
    whole += [photo(tmp_path / "a.gif"), photo(tmp_path / "a.webp", orientation=3), photo(tmp_path / "a.tif")]
    files = []
    for file in whole:
        content = file.read_bytes()
        for place in range(min(len(content), 150)):
            changed = file.with_name(f"{place}{file.suffix}")
            changed.write_bytes(content[:place] + bytes([content[place] ^ 0xA5]) + content[place + 1 :])
            files.append(ImageFile(str(changed), len(content)))
            cut = file.with_name(f"cut{place}{file.suffix}")
            cut.write_bytes(content[:place])
            files.append(ImageFile(str(cut), place))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counts = count_headers(files)
    assert counts.num_looked_at == len(files)
    assert 0 < len(counts.unreadable) < len(files)


def test_a_changed_file_is_looked_at_again(tmp_path: Path) -> None:
    file = photo(tmp_path / "a.png", mode="RGBA")
    assert count_headers([ImageFile(str(file), file.stat().st_size)]).num_with_alpha == 1
    photo(file)
    assert count_headers([ImageFile(str(file), file.stat().st_size)]).num_with_alpha == 0


def test_of_a_large_set_a_sample_is_looked_at_and_that_is_said(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(pets / "train" / "dog" / "1.png", pets / "test" / "dog" / "0.png")
    monkeypatch.setattr(fingerprint, "MAX_BYTES_READ", 100)
    monkeypatch.setattr(fingerprint, "NUM_FILES_SAMPLED", 4)
    whole = account(pets)
    assert (whole.num_copies, whole.num_sought, whole.num_looked_at) == (1, None, None)
    monkeypatch.setattr(image_header, "NUM_LOOKED_AT", 10)
    monkeypatch.setattr(copies, "NUM_SOUGHT", 6)
    sampled = account(pets)
    assert (sampled.num_sought, sampled.num_looked_at) == (6, 10)
    assert str(sampled).endswith(
        "; looked for EXIF, alpha and frames of 10 images and copies of 6 images of val and test"
    )


def test_copies_are_found_without_reading_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equal size are all; of equal ends few; of equal bytes two."""

    def files(name: str, contents: list[bytes]) -> list[ImageFile]:
        (tmp_path / name).mkdir()
        for number, content in enumerate(contents):
            (tmp_path / name / f"{number}.bmp").write_bytes(content)
        return [
            ImageFile(str(tmp_path / name / f"{number}.bmp"), len(content)) for number, content in enumerate(contents)
        ]

    body = [bytes([number]) * 6000 for number in range(20)]
    train = files("train", body)
    scored = files("val", [body[3], body[7], b"x" + body[5][1:], b"y" * 6000, b"short"])
    assert copies.seek_copies(train, scored, {}) == (2, 5)
    monkeypatch.setattr(copies, "NUM_FILES_OPENED", 10)
    # Only the short one can be judged.
    assert copies.seek_copies(train, scored, {}) == (0, 1)


def test_files_with_equal_ends_are_read_once_and_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawings with a white lower edge: all ends are alike, and only whole files tell."""
    read: list[str] = []

    def noted(path: str) -> bytes:
        read.append(path)
        return fingerprint.content_digest(path)

    def drawings(name: str, levels: range) -> list[ImageFile]:
        (tmp_path / name).mkdir()
        files = [ImageFile(str(tmp_path / name / f"{level}.bmp"), 6000) for level in levels]
        for level, file in zip(levels, files, strict=True):
            Path(file.path).write_bytes(bytes([level]) * 1000 + b"\xff" * 5000)
        return files

    train, scored = drawings("train", range(60)), drawings("val", range(50, 90))
    monkeypatch.setattr(copies, "content_digest", noted)
    assert copies.seek_copies(train, scored, {}) == (10, 40)
    assert sorted(read) == sorted(file.path for file in (*train, *scored))
    read.clear()
    monkeypatch.setattr(copies, "NUM_BYTES_READ", 100 * 6000 - 1)
    assert copies.seek_copies(train, scored, {}) == (0, 0)
    assert not read
    # What is told apart by its end needs no more.
    other = tmp_path / "other.bmp"
    other.write_bytes(b"z" * 6000)
    assert copies.seek_copies(train, [*scored, ImageFile(str(other), 6000)], {}) == (0, 1)


def test_names_that_are_no_text_are_told_and_sent_by_their_bytes(tmp_path: Path) -> None:
    for name in (b"cat", b"d\xf8g"):
        folder = tmp_path / "pets" / os.fsdecode(name)
        folder.mkdir(parents=True)
        for number in range(10):
            image = folder / os.fsdecode(b"\xe9%d.ppm" % number)
            image.write_text(f"P2 1 1 255 {number + len(name)}" if number else "broken")
            image.with_name(os.fsdecode(b"%d.\xff" % number)).touch()
    config = FolderConfig(path=str(tmp_path / "pets"))
    found = config.survey(None)
    assert found.fingerprint == config.fingerprint(None)
    line = str(found.account)
    assert r"20 files of other kinds (.\xff 20)" in line
    assert rf"2 unreadable ({tmp_path}/pets/cat/\xe90.ppm, ...)" in line
    line.encode()
    assert found.account is not None
    assert DataAccount.model_validate_json(found.account.model_dump_json()) == found.account


def test_the_docs_name_every_ending_that_is_read_and_every_limit() -> None:
    docs = (Path(__file__).parents[3] / "docs" / "data-sets.md").read_text()
    told = docs.partition("**What is read**: files that end in ")[2].partition(", in any case")[0]
    assert sorted(told.replace(" and ", ", ").replace("\n", " ").replace("  ", " ").split(", ")) == sorted(
        IMAGE_SUFFIXES
    )
    for limit in (image_header.NUM_LOOKED_AT, copies.NUM_SOUGHT, copies.NUM_FILES_OPENED):
        assert f"{limit:,}" in docs
    assert f"of more than {fingerprint.MAX_BYTES_READ // 2**20} MiB" in docs
    assert f"reading {copies.NUM_BYTES_READ // 2**20} MiB at most" in docs.replace("\n", " ")
