"""What differs between the snapshots that arms ran: the change that is judged, whatever became of its branch."""

import difflib
import filecmp
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from orchestrator.kept_code import code_at
from orchestrator.report.content.code_diff import ChangedFile, CodeDiff
from orchestrator.spec.experiment import Arm, ExperimentSpec
from trainers.own_code.place import files_of

_MAX_LINES = 5_000
"""Of one file that is compared line by line: what is longer is generated, or no code."""

_NUM_SHOWN = 40
"""Changed lines of one file that a report has beside the diff."""


def code_diffs_of(spec: ExperimentSpec, storage: Path | None) -> tuple[CodeDiff, ...]:
    """One for each treatment that runs other code than the control.

    Args:
        spec: as it was handed in.
        storage: of the trials (`None`: it is not at hand, and no difference is known).
    """
    control = spec.control
    arms = [arm for arm in spec.treatments if arm.name in spec.of_other_code]
    return tuple(_diff(spec, arm, control, storage) for arm in arms)


def _diff(spec: ExperimentSpec, arm: Arm, control: Arm, storage: Path | None) -> CodeDiff:
    files: tuple[ChangedFile, ...] = ()
    text, missing = "", "the storage is not at hand"
    if storage is not None:
        mine, others = code_at(spec, storage, arm.name), code_at(spec, storage, control.name)
        missing = "" if mine and others and mine.is_dir() and others.is_dir() else "a snapshot is not there any more"
        if mine is not None and others is not None and not missing:
            files, text = _between(others, mine)
    return CodeDiff(
        arm=arm.name,
        control=control.name,
        code=_words(spec, arm),
        control_code=_words(spec, control),
        files=files,
        text=text,
        file=f"code-{arm.name}.diff",
        missing=missing,
    )


def _words(spec: ExperimentSpec, arm: Arm) -> str:
    if arm.code is not None:
        return arm.code.words
    return "what is installed" if spec.code is None else f"the files in {Path(spec.code.path).name}"


@lru_cache(maxsize=64)
def _between(before: Path, after: Path) -> tuple[tuple[ChangedFile, ...], str]:
    """Files and diff from one snapshot to another; their names are their contents, so it holds for good."""
    files, texts = [], []
    for name in sorted({*_names(before), *_names(after)}):
        old, new = before / name, after / name
        if old.is_file() and new.is_file() and filecmp.cmp(old, new, shallow=False):
            continue
        note = "new" if not old.is_file() else "gone" if not new.is_file() else ""
        lines = _lines(old), _lines(new)
        if lines[0] is None or lines[1] is None:
            files.append(ChangedFile(name=name, num_added=0, num_removed=0, note=note or "no text, or too long"))
            texts.append(f"Files a/{name} and b/{name} differ\n")
            continue
        names = ("/dev/null" if note == "new" else f"a/{name}", "/dev/null" if note == "gone" else f"b/{name}")
        diff = list(difflib.unified_diff(lines[0], lines[1], *names))
        # Behind the two lines that name the files; an empty file that is new has neither.
        changed = [line.rstrip("\n") for line in diff[2:] if line[0] in "+-"]
        removed = sum(line[0] == "-" for line in changed)
        files.append(
            ChangedFile(
                name=name,
                num_added=len(changed) - removed,
                num_removed=removed,
                lines=tuple(line for line in changed if line[1:].strip())[:_NUM_SHOWN],
                note=note or ("" if changed else "line ends alone"),
            )
        )
        texts += [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in diff]
    return tuple(files), "".join(texts)


def _names(folder: Path) -> Iterator[str]:
    return (file.relative_to(folder).as_posix() for file in files_of(folder) if file.is_file())


def _lines(file: Path) -> list[str] | None:
    """Of a file of text (`None`: it is none, or too long); none where there is no such file."""
    if not file.is_file():
        return []
    try:
        # Not `splitlines`, which ends lines where neither git nor `patch` does.
        lines = file.read_bytes().decode().split("\n")
    except UnicodeDecodeError:
        return None
    if len(lines) > _MAX_LINES or "\0" in lines[0]:
        return None
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
