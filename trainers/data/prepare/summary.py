"""What the user reads: of a prepared set, of all sets; as text and as JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainers.data.dataset import Dataset
from trainers.data.manifest import ManifestHeader
from trainers.data.prepare.preparation import NUM_NAMED, Prepared
from trainers.data.prepare.published_set import PublishedSet
from trainers.strict import kind_of

_HEADINGS = ("set", "classes", "images", "protocols", "name")


def summary(published: PublishedSet, prepared: Prepared, dataset: Dataset) -> str:
    """Classes, images of each split, digest, and the line for a spec."""
    header, counts = prepared.header, prepared.num_images
    images = "  ".join(f"{name} {number:,}" for name, number in counts.items() if number or name != "unused")
    lines = [
        f"{published.title}, {header.protocol} protocol",
        f"  classes   {len(header.class_names):,}",
        f"  images    {images}",
        f"  split     {header.split_rule}",
        f"  digest    {header.digest[:20]}",
        f"  manifest  {prepared.file.absolute()}",
    ]
    if prepared.survey is not None:
        lines += [f"  found     {prepared.survey.account}", f"  read as   fingerprint {prepared.survey.fingerprint}"]
    if prepared.num_copies:
        lines.append(
            f"  copies    {prepared.num_copies:,} images of validation or test are, byte for byte, in training too"
        )
    if not header.is_complete:
        lines.append(f"  NOT WHOLE {'; '.join((*prepared.wrong_counts, *prepared.left_out[:NUM_NAMED]))}")
        if len(prepared.left_out) > NUM_NAMED:
            lines.append(f"            and {len(prepared.left_out) - NUM_NAMED:,} more images left out")
    lines += ["", "In a spec:", f'  "datasets": [{json.dumps(_in_a_spec(dataset))}]', ""]
    return "\n".join(lines)


def summary_json(prepared: Prepared, dataset: Dataset) -> str:
    """The same for scripts; `dataset` is the object for a spec."""
    header = prepared.header
    content = {
        "data_set": header.data_set,
        "protocol": header.protocol,
        "split_rule": header.split_rule,
        "num_classes": len(header.class_names),
        "num_images": prepared.num_images,
        "num_copies": prepared.num_copies,
        "is_complete": header.is_complete,
        "wrong_counts": prepared.wrong_counts,
        "left_out": prepared.left_out,
        "digest": header.digest[:20],
        "fingerprint": None if prepared.survey is None else prepared.survey.fingerprint,
        "found": None if prepared.survey is None else str(prepared.survey.account),
        "manifest": str(prepared.file.absolute()),
        "dataset": _in_a_spec(dataset),
    }
    return json.dumps(content, indent=2) + "\n"


def written(dataset: Dataset, folder: Path) -> str:
    """Where a generated set was written, and the line for a spec."""
    return f'written to {folder.absolute()}\n\nIn a spec:\n  "datasets": [{json.dumps(_in_a_spec(dataset))}]\n'


def written_json(dataset: Dataset, folder: Path) -> str:
    """The same for scripts."""
    return json.dumps({"folder": str(folder.absolute()), "dataset": _in_a_spec(dataset)}, indent=2) + "\n"


def _in_a_spec(dataset: Dataset) -> dict[str, object]:
    """As a spec needs it."""
    return {"kind": kind_of(type(dataset))} | dataset.model_dump(mode="json", exclude_defaults=True)


def overview(sets: Sequence[PublishedSet], data_root: Path, prepared: Mapping[str, ManifestHeader]) -> str:
    """All sets, and the manifests in the data root by file name."""
    rows = [_HEADINGS]
    for published in sets:
        total = sum(published.num_images.values())
        protocols = ", ".join(published.protocols)
        rows.append((published.name, f"{published.num_classes:,}", f"{total:,}", protocols, published.title))
    lines = [
        f"{name:<14} {classes:>7}  {images:>9}  {protocols:<15}  {title}"
        for name, classes, images, protocols, title in rows
    ]
    lines += ["", f"prepared in {data_root.absolute()} (the data root)"]
    for name, header in prepared.items():
        note = "" if header.is_complete else "  NOT WHOLE"
        lines.append(f"  {name}  digest {header.digest[:20]}{note}")
    if not prepared:
        lines.append("  nothing yet: sigmalab data prepare <set> --root <its folder> --protocol official")
    return "\n".join(lines) + "\n"


def overview_json(sets: Sequence[PublishedSet], data_root: Path, prepared: Mapping[str, ManifestHeader]) -> str:
    """The same for scripts, with each set's source and layout."""
    known = [
        {
            "name": published.name,
            "title": published.title,
            "num_classes": published.num_classes,
            "num_images": dict(published.num_images),
            "protocols": published.protocols,
            "source": published.source,
            "layout": published.layout.strip("\n"),
        }
        for published in sets
    ]
    found = [
        {
            "path": name,
            "data_set": header.data_set,
            "protocol": header.protocol,
            "is_complete": header.is_complete,
            "digest": header.digest[:20],
        }
        for name, header in prepared.items()
    ]
    content = {"sets": known, "data_root": str(data_root.absolute()), "prepared": found}
    return json.dumps(content, indent=2) + "\n"
