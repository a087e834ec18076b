"""Images in Parquet files as the Hub has them: columns `image` (struct of `bytes` and `path`) and `label`."""

import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trainers.data.prepare.published_set import ListedImage, Listing
from trainers.data.stored_image import StoredImage
from trainers.errors import DataError


def list_parquet_shards(folder: Path, shards: Mapping[str, list[Path]]) -> Listing:
    """All rows, part by part, in the order of files and rows.

    Raises:
        DataError: a file can't be read or has other columns; a label has no name.
    """
    class_names = _class_names(next(iter(shards.values()))[0])
    images: list[ListedImage] = []
    numbers: set[int] = set()
    for part, paths in shards.items():
        for path in paths:
            labels, names = _rows(path)
            numbers.update(labels)
            shard = path.relative_to(folder).as_posix()
            images += [
                ListedImage(StoredImage(name or f"row {row}", shard, row), label, part)
                for row, name, label in zip(count(), names, labels)
            ]
    if not numbers:
        raise DataError(f"the shards in {folder.absolute()} hold no rows")
    if min(numbers) < 0:
        raise DataError(f"{folder.absolute()} has rows of training or validation with the label {min(numbers)}")
    if not class_names:
        class_names = tuple(str(number) for number in range(max(numbers) + 1))
    if max(numbers) >= len(class_names):
        raise DataError(f"{folder.absolute()} has the label {max(numbers)}, but names only {len(class_names)} classes")
    return Listing(folder, class_names, images)


def _rows(path: Path) -> tuple[list[int], list[str | None]]:
    """Labels and file names of all rows; does not read the images."""
    try:
        schema = pq.read_schema(path)
        columns = {field.name: field.type for field in schema}
        image = columns.get("image")
        if (
            image is None
            or "label" not in columns
            or not pa.types.is_struct(image)
            or image.get_field_index("bytes") < 0
        ):
            raise DataError(
                f"{path} has the columns {', '.join(f'{name} ({kind})' for name, kind in columns.items())}; expected "
                "image (struct<bytes: binary, path: string>) and label (int64)"
            )
        has_names = image.get_field_index("path") >= 0
        table = pq.ParquetFile(path).read(["label", *(["image.path"] if has_names else [])])
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} can't be read as Parquet: {error}; download it again") from error
    labels = table.column("label").to_pylist()
    if None in labels:
        raise DataError(f"row {labels.index(None)} of {path} has no label")
    names = [row["path"] for row in table.column("image").to_pylist()] if has_names else [None] * len(labels)
    return labels, names


def _class_names(path: Path) -> tuple[str, ...]:
    """The names that the Hub's `datasets` library writes beside the schema; empty where it has not."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} can't be read as Parquet: {error}; download it again") from error
    if b"huggingface" not in metadata:
        return ()
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    except (ValueError, KeyError, TypeError):
        return ()
    return tuple(str(name) for name in names)
