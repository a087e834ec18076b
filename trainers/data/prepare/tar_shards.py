"""Images in tar shards as WebDataset writes them: `key.jpg` and `key.cls` side by side."""

import tarfile
from collections.abc import Mapping
from pathlib import Path

from trainers.data.prepare.published_set import ListedImage, Listing
from trainers.data.stored_image import StoredImage
from trainers.errors import DataError

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp")
LABEL_EXTENSION = "cls"


def list_tar_shards(folder: Path, shards: Mapping[str, list[Path]]) -> Listing:
    """All samples, part by part, in the order of shards and members. Classes are named by their numbers.

    Raises:
        DataError: a shard can't be read; a sample lacks its image or its label.
    """
    samples = [
        (part, stored, label)
        for part, paths in shards.items()
        for path in paths
        for stored, label in _samples(path, path.relative_to(folder).as_posix())
    ]
    if not samples:
        raise DataError(f"the shards in {folder.absolute()} hold no samples")
    num_classes = max(label for *_, label in samples) + 1
    width = len(str(num_classes - 1))
    class_names = tuple(f"{number:0{width}}" for number in range(num_classes))
    return Listing(folder, class_names, [ListedImage(stored, label, part) for part, stored, label in samples])


def _samples(path: Path, shard: str) -> list[tuple[StoredImage, int]]:
    images: dict[str, StoredImage] = {}
    labels: dict[str, int] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, extension = _key(member.name)
                if not member.isfile():
                    continue
                if extension in IMAGE_EXTENSIONS:
                    images[key] = StoredImage(member.name, shard, member.offset_data, member.size)
                elif extension == LABEL_EXTENSION:
                    content = tar.extractfile(member)
                    assert content is not None
                    labels[key] = _label(content.read(), member.name, path)
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"{path} can't be read as a tar file: {error}; download it again") from error
    alone = sorted(set(images) ^ set(labels))
    if alone:
        lacking = f"label (.{LABEL_EXTENSION})" if alone[0] in images else f"image (.{', .'.join(IMAGE_EXTENSIONS)})"
        raise DataError(f"sample {alone[0]!r} of {path} has no {lacking}; every sample needs both")
    return [(stored, labels[key]) for key, stored in images.items()]


def _key(name: str) -> tuple[str, str]:
    """WebDataset's rule: the key is the name up to the first dot of its last part."""
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return folder + slash + stem, extension.lower()


def _label(content: bytes, name: str, path: Path) -> int:
    text = content.decode(errors="replace").strip()
    if not text.isdecimal():
        raise DataError(f"{name} in {path} is {text[:40]!r}; expected the number of a class")
    return int(text)
