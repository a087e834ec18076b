"""Prepares one data set: list, count, verify, split, write."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa

from trainers.data.manifest import COLUMNS, SPLITS, Manifest, ManifestHeader, content_digest, write_manifest
from trainers.data.manifest_name import INCOMPLETE, SUFFIX
from trainers.data.prepare.protocols import Protocol, assign, split_rule
from trainers.data.prepare.published_set import ListedImage, Listing, PublishedSet
from trainers.data.prepare.verification import Checked, Fault, verify
from trainers.data.survey import Survey
from trainers.errors import DataError
from trainers.progress import Progress

NUM_NAMED = 10
"""Faulty images that a message names."""


@dataclass(frozen=True)
class Prepared:
    """What was written."""

    file: Path
    header: ManifestHeader
    num_images: dict[str, int]
    """Split -> images."""
    num_copies: int
    """Images of validation or test whose very bytes are in training too."""
    left_out: tuple[str, ...]
    """Images that are missing or broken, in words."""
    wrong_counts: tuple[str, ...]
    """Counts that are not the published ones, in words."""
    folder: Path
    """Where the set lies."""
    survey: Survey | None
    """Of a set with masks or objects: what whoever reads it finds."""


def prepare(
    published: PublishedSet, root: Path, protocol: Protocol, output: Path, *, allow_incomplete: bool, stream: TextIO
) -> Prepared:
    """Write a manifest of a data set.

    Args:
        published: the set.
        root: the folder where its archives were unpacked.
        protocol: how to split.
        output: the manifest to write; that of a set which is not whole gets `-incomplete` in its name, so that every
            table says so, and so that it never replaces the manifest of the whole set.
        allow_incomplete: leave out what is missing or broken, take the counts as they are.
        stream: for progress.

    Raises:
        DataError: the set is not there, not whole, broken, or the file can't be written.
    """
    _require_protocol(published, protocol)
    _require_writable(output)
    # The headers of ImageNet's tar shards alone take minutes.
    stream.write(f"listing {published.title} in {root.absolute()}\n")
    stream.flush()
    try:
        listing = published.list_images(published, root)
    except OSError as error:
        raise DataError(f"{error.filename or root} can't be read: {error.strerror or error}") from error
    _require_each_once(listing)
    # Before the long work: a set with wrong counts need not be read.
    wrong = _wrong_counts(published, listing)
    if wrong and not allow_incomplete:
        raise DataError(_incomplete(published, listing.folder, wrong))
    survey = None if published.dataset is None else published.dataset(str(listing.folder.absolute())).survey(None)
    rows, left_out = _verified(listing, stream)
    # What reads masks and objects knows no manifest, and would meet them.
    if left_out and not (allow_incomplete and survey is None):
        raise DataError(_faulty(listing, left_out, can_go_without=survey is None))
    labels = np.array([image.label for image, _ in rows], np.int64)
    split = assign(published, protocol, labels, [image.part for image, _ in rows])
    num_images = {name: int((split == name).sum()) for name in SPLITS}
    _require_splits(num_images, listing.folder)
    is_complete = not wrong and not left_out
    if is_complete and protocol == "paper":
        _require_paper_counts(published, num_images)
    if not is_complete:
        output = _incomplete_name(output)
    table = _table(rows, split.tolist())
    header = ManifestHeader(
        data_set=published.name,
        protocol=protocol,
        split_rule=split_rule(published, protocol),
        class_names=listing.class_names,
        images_folder=Path(os.path.relpath(listing.folder.resolve(), output.parent.resolve())).as_posix(),
        is_complete=is_complete,
        digest=content_digest(listing.class_names, table),
        has_labels=published.dataset is None,
    )
    write_manifest(output, header, table)
    num_copies = Manifest(header, table).num_copies()
    return Prepared(output, header, num_images, num_copies, tuple(left_out), tuple(wrong), listing.folder, survey)


def default_name(published: PublishedSet, protocol: Protocol) -> str:
    """Name of a manifest: tables call the data set by it, without the suffix."""
    return f"{published.name}-{protocol}{SUFFIX}"


def _incomplete_name(output: Path) -> Path:
    stem = output.name.removesuffix(SUFFIX).removesuffix(INCOMPLETE)
    return output.with_name(f"{stem}{INCOMPLETE}{SUFFIX}")


def _require_protocol(published: PublishedSet, protocol: Protocol) -> None:
    if protocol not in published.protocols:
        raise DataError(
            f"the paper does not cut {published.title}: it trains and tests on the publisher's parts; take "
            "--protocol official"
        )


def _require_writable(output: Path) -> None:
    folder = output.absolute().parent
    if not folder.is_dir():
        raise DataError(
            f"there is no folder {folder} for the manifest {output.name}; make it, or name another --output"
        )
    if not os.access(folder, os.W_OK):
        raise DataError(
            f"the manifest {output.name} can't be written into {folder} by this user; name another --output"
        )
    if not output.name.endswith(SUFFIX):
        raise DataError(f"a manifest's name ends in {SUFFIX}; {output.name} does not")


def _require_each_once(listing: Listing) -> None:
    repeated = [str(image) for image, times in Counter(image.stored for image in listing.images).items() if times > 1]
    if repeated:
        raise DataError(
            f"the lists in {listing.folder.absolute()} name {len(repeated):,} images twice: "
            f"{', '.join(repeated[:NUM_NAMED])}; training and test would overlap: download the lists again"
        )


def _wrong_counts(published: PublishedSet, listing: Listing) -> list[str]:
    found = Counter(image.part for image in listing.images)
    wrong = []
    if len(listing.class_names) != published.num_classes:
        wrong.append(f"{len(listing.class_names):,} classes instead of {published.num_classes:,}")
    for part, expected in published.num_images.items():
        if found[part] != expected:
            name = "images" if part == "all" else f"{part} images"
            wrong.append(f"{found[part]:,} {name} instead of {expected:,}")
    return wrong


def _incomplete(published: PublishedSet, folder: Path, wrong: Sequence[str]) -> str:
    return (
        f"{folder.absolute()} is not all of {published.title}: {'; '.join(wrong)}. Download or unpack it again; "
        "--allow-incomplete takes it as it is (no result on it compares with published ones)"
    )


def _verified(listing: Listing, stream: TextIO) -> tuple[list[tuple[ListedImage, Checked]], list[str]]:
    """Images that can be used, and the others in words."""
    rows: list[tuple[ListedImage, Checked]] = []
    left_out: list[str] = []
    with Progress("images checked", len(listing.images), stream) as progress:
        found = verify(listing.folder, [image.stored for image in listing.images], progress)
        for image, result in zip(listing.images, found, strict=True):
            if isinstance(result, Fault):
                left_out.append(f"{image.stored} {result.reason}")
            else:
                rows.append((image, result))
    return rows, left_out


def _faulty(listing: Listing, left_out: Sequence[str], *, can_go_without: bool) -> str:
    verb = "image is" if len(left_out) == 1 else "images are"
    lines = [
        f"{len(left_out):,} of {len(listing.images):,} {verb} missing or broken below {listing.folder.absolute()}:"
    ]
    lines.extend(f"  {fault}" for fault in left_out[:NUM_NAMED])
    if len(left_out) > NUM_NAMED:
        lines.append(f"  and {len(left_out) - NUM_NAMED:,} more")
    or_else = "; --allow-incomplete leaves them out" if can_go_without else ""
    lines.append(f"Restore them (unpack or download again){or_else}.")
    return "\n".join(lines)


def _require_splits(num_images: dict[str, int], folder: Path) -> None:
    empty = [name for name in SPLITS if name != "unused" and num_images[name] == 0]
    if empty:
        raise DataError(f"the images in {folder.absolute()} are too few: no image is left for {', '.join(empty)}")


def _require_paper_counts(published: PublishedSet, num_images: dict[str, int]) -> None:
    found = (num_images["train"], num_images["val"], num_images["test"])
    if found != published.paper_counts:
        raise DataError(f"the paper cuts {published.title} into {published.paper_counts}; here it is {found}")


def _table(rows: Sequence[tuple[ListedImage, Checked]], split: Sequence[str]) -> pa.Table:
    columns = {
        "path": [image.stored.path for image, _ in rows],
        "shard": [image.stored.shard for image, _ in rows],
        "offset": [image.stored.offset for image, _ in rows],
        "size": [checked.size for _, checked in rows],
        "label": [image.label for image, _ in rows],
        "split": split,
        "sha256": [checked.sha256 for _, checked in rows],
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in COLUMNS], schema=COLUMNS)
