"""A commit's files, as git keeps them: nothing is checked out, and no work tree, index or branch is touched.

Only git's plumbing is asked, which runs no hook, filter or pager. So files are as they were committed, without what a
filter (Git LFS, line ends) would make of them.
"""

import difflib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from trainers.errors import OwnCodeError

_SECONDS = 120.0
_MAX_BYTES = 256 * 2**20
"""Of all files of a commit that are looked at; what of them is kept has a limit of its own."""
_NUM_NEAREST = 3
_DECLARATIONS = ("pyproject.toml", "requirements*.txt")
"""Files at the top of a repository that say what its code needs."""
_OPTIONS = ("--no-pager", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
_LINK, _SUBMODULE = "120000", "160000"


class Repository(NamedTuple):
    """Where a folder lies in its repository."""

    top: Path
    """The work tree."""
    prefix: PurePosixPath
    """The folder, from there on."""
    store: Path
    """Where its objects are (`.git`, of a linked work tree that of the main one)."""


class _File(NamedTuple):
    mode: str
    digest: str
    num_bytes: int
    name: PurePosixPath


def repository_of(folder: Path, written: str) -> Repository:
    """The repository that a folder lies in.

    Args:
        folder: an absolute path.
        written: how its user wrote it.

    Raises:
        OwnCodeError: it lies in none.
    """
    try:
        lines = _git(folder, "rev-parse", "--path-format=absolute", "--show-toplevel", "--git-common-dir")
        prefix = _git(folder, "rev-parse", "--show-prefix")
    except _GitError as error:
        raise OwnCodeError(f"{written!r} is not a folder of a git repository: {error}") from error
    top, _, store = os.fsdecode(lines).removesuffix("\n").partition("\n")
    return Repository(Path(top), PurePosixPath(os.fsdecode(prefix).removesuffix("\n")), Path(store))


def in_repository(folder: Path) -> bool:
    """Whether git is here, and a folder lies in a repository of its."""
    if shutil.which("git") is None:
        return False
    try:
        return _git(folder, "rev-parse", "--is-inside-work-tree").strip() == b"true"
    except _GitError:
        return False


def commit_of(repository: Repository, ref: str) -> str:
    """The commit that a branch, tag or abbreviated commit means: 40 hex digits.

    Raises:
        OwnCodeError: there is none, with the nearest ones.
    """
    try:
        found = _git(repository.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    except _GitError:
        raise OwnCodeError(
            f"there is no commit {ref!r} in {repository.top.name}: {_nearest(repository, ref)}"
        ) from None
    return found.decode().strip()


def has_changes(folder: Path) -> bool:
    """Whether a folder of a work tree differs from its commit, files that git does not know included."""
    return bool(_told(folder, "status", "--porcelain", "--", ".").strip())


def write_commit(repository: Repository, commit: str, into: Path) -> Path:
    """Write the files of the repository's folder, as they are in a commit.

    Args:
        repository: with the folder.
        commit: 40 hex digits.
        into: an empty folder; it gets the layout of the repository, and what its top says of dependencies.

    Returns:
        The folder in there.

    Raises:
        OwnCodeError: the commit does not have the folder, or its files are too many.
        OSError: they can't be written.
    """
    files = list(_files(repository, commit, "-r", "--", f"{repository.prefix}/"))
    if str(repository.prefix) == ".":
        files = list(_files(repository, commit, "-r"))
    if not files:
        raise OwnCodeError(f"{repository.top.name} has no folder {repository.prefix} in {commit[:12]}")
    beside = [file for file in _files(repository, commit) if any(file.name.match(name) for name in _DECLARATIONS)]
    wanted = {file.name: file for file in (*beside, *files) if file.mode != _SUBMODULE}
    num_bytes = sum(file.num_bytes for file in wanted.values())
    if num_bytes > _MAX_BYTES:
        largest = max(wanted.values(), key=lambda file: file.num_bytes)
        raise OwnCodeError(
            f"{repository.top.name} has {num_bytes / 2**20:.0f} MiB in {commit[:12]} (the largest file is "
            f"{largest.name}), at most {_MAX_BYTES / 2**20:.0f} MiB are read: name the folder in it that holds the "
            "packages"
        )
    # Links last: nothing is written through one.
    ordered = sorted(wanted.values(), key=lambda file: file.mode == _LINK)
    for file, content in zip(ordered, _contents(repository, ordered), strict=True):
        place = into / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if file.mode == _LINK:
            place.symlink_to(os.fsdecode(content))
        else:
            place.write_bytes(content)
    return into / repository.prefix


def apply_patch(patch: Path, tree: Path, prefix: PurePosixPath, *, to: str) -> None:
    """Apply a patch to a folder that `write_commit` has written; what it changes elsewhere is left out.

    Args:
        patch: as `git diff` writes it, with paths from the top of the repository on.
        tree: what `write_commit` was to write into.
        prefix: the folder in it.
        to: what it is applied to, in words.

    Raises:
        OwnCodeError: it can't be read, or does not apply.
    """
    only = [] if str(prefix) == "." else [f"--include={prefix}/*"]
    try:
        _git(tree, "apply", "--whitespace=nowarn", *only, "--", str(patch))
    except _GitError as error:
        raise OwnCodeError(f"the patch {patch.name} can't be applied to {to}: {error}") from error


class _GitError(Exception):
    """Git's own words."""


def _git(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    program = shutil.which("git")
    if program is None:
        raise OwnCodeError("git is not installed here, and commits are read with it")
    # A hook that starts sigmalab would tell git of another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        # A folder of ours that lies in somebody's repository is not a part of it.
        "GIT_CEILING_DIRECTORIES": str(folder.parent) if arguments[0] == "apply" else "",
    }
    try:
        ended = subprocess.run(  # noqa: S603  git, with no argument that it could take for an option
            [program, *_OPTIONS, *arguments],
            cwd=folder,
            env=environment,
            input=given,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OwnCodeError(f"`git {arguments[0]}` takes more than {_SECONDS:.0f} s in {folder.name}") from error
    if ended.returncode:
        words = [line for line in ended.stderr.decode(errors="replace").splitlines() if line.strip()]
        raise _GitError("; ".join(words[:3]) or f"git ended with {ended.returncode}")
    return ended.stdout


def _told(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    try:
        return _git(folder, *arguments, given=given)
    except _GitError as error:
        raise OwnCodeError(f"`git {arguments[0]}` failed in {folder.name}: {error}") from error


def _files(repository: Repository, commit: str, *arguments: str) -> Iterator[_File]:
    """Files of a commit, or of its top alone."""
    recursion, paths = ([arguments[0]], list(arguments[1:])) if arguments else ([], [])
    listed = _told(repository.top, "ls-tree", *recursion, "-l", "-z", "--full-tree", commit, *paths)
    for line in filter(None, listed.split(b"\0")):
        facts, _, name = line.partition(b"\t")
        mode, kind, digest, size = facts.decode().split()
        path = PurePosixPath(os.fsdecode(name))
        if path.is_absolute() or ".." in path.parts:
            raise OwnCodeError(f"the commit {commit[:12]} has a file {path}, which leads out of its repository")
        if kind == "blob" or mode == _SUBMODULE:
            yield _File(mode, digest, int(size) if size != "-" else 0, path)


def _contents(repository: Repository, files: list[_File]) -> Iterator[bytes]:
    asked = "".join(f"{file.digest}\n" for file in files).encode()
    answer = _told(repository.top, "cat-file", "--batch", given=asked)
    place = 0
    for file in files:
        end = answer.index(b"\n", place)
        size = answer[place:end].split()[-1]
        if not size.isdigit():
            raise OwnCodeError(f"the repository {repository.top.name} does not have {file.name} here: fetch it whole")
        place = end + 1 + int(size) + 1
        yield answer[end + 1 : place - 1]


def _nearest(repository: Repository, ref: str) -> str:
    kinds = ("refs/heads", "refs/tags", "refs/remotes")
    named = _told(repository.top, "for-each-ref", "--format=%(refname:short)", *kinds).decode(errors="replace").split()
    near = difflib.get_close_matches(ref, named, _NUM_NEAREST, 0.5) or named[:_NUM_NEAREST]
    return f"the nearest are {', '.join(near)}" if near else "it has neither branches nor tags"
