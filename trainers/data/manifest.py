"""The list of a data set's images, with labels, splits and checksums: one Parquet file."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from trainers.atomic_file import replaced_file
from trainers.data.stored_image import StoredImage
from trainers.errors import DataError
from trainers.strict import StrictModel

SPLITS = ("train", "val", "test", "unused")
"""Rows `unused` keep their place in the order (the paper's cuts leave one or two images over)."""
SHA256_BYTES = 32
COLUMNS = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("sha256", pa.binary(SHA256_BYTES), nullable=False),
    ]
)
"""One row per image; `path` to `size` as in `StoredImage`. The row's number is the image's index."""
_HEADER_KEY = b"sigmalab"


class ManifestHeader(StrictModel):
    """What holds for all rows of a manifest."""

    format: Literal[1] = 1
    """Version of this file format."""
    data_set: str = Field(min_length=1)
    """Name of the data set, such as `oxford_pet`."""
    protocol: str = Field(min_length=1)
    """How it was split: `official` or `paper`."""
    split_rule: str
    """The same in words, for reports."""
    class_names: tuple[str, ...] = Field(min_length=1)
    """Names of the classes, in the order of their labels."""
    images_folder: str
    """Folder that `path` and `shard` start from, relative to the manifest's own folder."""
    is_complete: bool
    """Whether all counts were those of the published set."""
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    """See `content_digest`."""
    has_labels: bool = True
    """Whether images have classes; of a set with masks or objects, the manifest says which image is in which split."""


class Manifest:
    """A manifest in memory.

    Its columns are Arrow arrays: unlike a million Python objects, loader workers share them with their parent process.
    """

    def __init__(self, header: ManifestHeader, rows: pa.Table) -> None:
        """Keep rows with the columns `COLUMNS`."""
        self.header = header
        self._columns = {name: rows.column(name).combine_chunks() for name in COLUMNS.names}
        self.labels: npt.NDArray[np.int32] = self._columns["label"].to_numpy()

    def __len__(self) -> int:
        return len(self.labels)

    def indices(self, split: str) -> npt.NDArray[np.int64]:
        """Row numbers of a split, ascending."""
        encoded = self._columns["split"].dictionary_encode()
        values = encoded.dictionary.to_pylist()
        if split not in values:
            return np.empty(0, np.int64)
        return np.flatnonzero(encoded.indices.to_numpy() == values.index(split)).astype(np.int64)

    def stored_image(self, index: int) -> StoredImage:
        """Where an image is."""
        return StoredImage(*(self._columns[name][index].as_py() for name in ("path", "shard", "offset", "size")))

    def sha256(self, index: int) -> bytes:
        """What an image's bytes hash to."""
        return bytes(self._columns["sha256"][index].as_py())

    def num_copies(self) -> int:
        """Images of validation or test whose very bytes are in training too.

        Published sets hold some images twice; where both parts have one, test scores are a little too good.
        """
        digests = self._columns["sha256"]
        trained_on = digests.take(pa.array(self.indices("train")))
        scored = digests.take(pa.array(np.concatenate([self.indices("val"), self.indices("test")])))
        return int(pc.is_in(scored, value_set=trained_on).to_numpy(zero_copy_only=False).sum())


def content_digest(class_names: tuple[str, ...], rows: pa.Table) -> str:
    """SHA-256 over all that can change a number: class names and, in order, each image's label, split and checksum.

    Not over places: the same images, wherever and however they lie, are the same data.
    """
    digest = hashlib.sha256(json.dumps(class_names).encode())
    digest.update(rows.column("label").to_numpy().astype("<i4").tobytes())
    digest.update("\n".join(rows.column("split").to_pylist()).encode())
    digest.update(b"".join(rows.column("sha256").to_pylist()))
    return digest.hexdigest()


def write_manifest(path: Path, header: ManifestHeader, rows: pa.Table) -> None:
    """Write a manifest, whole or not at all.

    Raises:
        DataError: the file can't be written.
    """
    table = rows.replace_schema_metadata({_HEADER_KEY: header.model_dump_json().encode()})
    try:
        with replaced_file(path) as file:
            pq.write_table(table, file, compression="zstd", use_dictionary=["shard", "split", "label"])
    except OSError as error:
        raise DataError(f"{path} can't be written: {error.strerror or error}") from error


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest; kept in memory as long as the file does not change.

    Raises:
        DataError: there is no such file, it is not a manifest, or its rows are not those that it was written with.
    """
    try:
        status = path.stat()
        return _read(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from error


def read_header(path: Path) -> ManifestHeader:
    """Only what holds for all rows.

    Raises:
        DataError: the file can't be read, or is not a manifest.
    """
    try:
        return _header(path, pq.read_schema(path))
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is not a manifest: {error}; write it anew with `sigmalab data prepare`") from error
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from error


@lru_cache(maxsize=4)
def _read(path: Path, modified_ns: int, size: int) -> Manifest:
    header = read_header(path)
    try:
        rows = pq.ParquetFile(path).read()
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is broken: {error}; write it anew with `sigmalab data prepare`") from error
    if not rows.schema.equals(COLUMNS, check_metadata=False):
        raise DataError(
            f"{path} is not a manifest: its columns are {', '.join(rows.schema.names)}, those of a manifest "
            f"{', '.join(COLUMNS.names)}; write it anew with `sigmalab data prepare`"
        )
    if content_digest(header.class_names, rows) != header.digest:
        raise DataError(
            f"{path} was changed after it was written (its rows do not give its digest {header.digest[:20]}); "
            "write it anew with `sigmalab data prepare`"
        )
    return Manifest(header, rows)


def _header(path: Path, schema: pa.Schema) -> ManifestHeader:
    text = (schema.metadata or {}).get(_HEADER_KEY)
    if text is None:
        raise DataError(f"{path} is a Parquet file but not a manifest; `sigmalab data prepare` writes manifests")
    try:
        return ManifestHeader.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise DataError(
            f"{path} was written by another version of sigmalab ({place}: {problem['msg']}); "
            "write it anew with `sigmalab data prepare`"
        ) from error
