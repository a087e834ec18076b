"""Code that single arms run: which folder an arm's words mean, as files, before any of it is kept."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.declared_dependencies import declared_dependencies, differing_dependencies
from orchestrator.errors import Problem, SpecError
from orchestrator.git_revision import (
    Repository,
    apply_patch,
    commit_of,
    has_changes,
    in_repository,
    repository_of,
    write_commit,
)
from orchestrator.spec.code import ArmCode
from orchestrator.spec.experiment import ExperimentSpec
from trainers.errors import OwnCodeError
from trainers.own_code.place import outside


class PlacedCode:
    """An arm's code as a folder.

    Attributes:
        code: what the arm means, with the commit that was found.
        root: the folder that holds its packages.
        dependencies: what it declares, see `declared_dependencies`.
    """

    def __init__(self, code: ArmCode, root: Path, top: Path) -> None:
        self.code, self.root = code, root
        self.dependencies = declared_dependencies([top, root])


def codes_of(spec: ExperimentSpec) -> dict[str, ArmCode]:
    """Name of an arm -> its code, with what it takes over from the control or the spec.

    Raises:
        SpecError: an arm names no repository, or has no code where others have.
    """
    control = spec.control.code or ArmCode()
    shared = spec.code.path if spec.code is not None else control.repo
    codes, problems = {}, []
    if spec.code is None and any(arm.code is not None for arm in spec.arms):
        problems = [
            Problem(f"/arms/{i}", f"the arm `{arm.name}` names no code, and others do: give it `code`, or the spec one")
            for i, arm in enumerate(spec.arms)
            if arm.code is None
        ]
    for i, arm in enumerate(spec.arms):
        if arm.code is None:
            continue
        repo, ref = arm.code.repo or shared, arm.code.ref
        if repo is None:
            problems.append(Problem(f"/arms/{i}/code", "no repository is named: write `repo` here, or in the control"))
            continue
        if arm.code.patch is not None and ref is None:
            ref = control.ref if repo == (control.repo or shared) and control.ref else "HEAD"
        codes[arm.name] = arm.code.model_copy(update={"repo": repo, "ref": ref})
    if problems:
        raise SpecError(problems)
    return codes


@contextmanager
def placed(code: ArmCode, folder: Path, roots: tuple[Path, ...] | None) -> Iterator[PlacedCode]:
    """The files that an arm's code means, for as long as they are looked at.

    Args:
        code: see `codes_of`.
        folder: its `repo`, followed, which may be read.
        roots: folders whose code may be run (`None`: any).

    Raises:
        OwnCodeError: there is no such commit, or it can't be read or patched.
    """
    assert code.repo is not None
    if not folder.is_dir():
        raise OwnCodeError(f"there is no folder {code.repo}: name the repository that holds your package or module")
    if code.ref is None:
        yield _as_it_lies(code, folder)
        return
    repository = repository_of(folder, code.repo)
    _require_within(repository, code.repo, roots)
    commit = commit_of(repository, code.ref)
    with tempfile.TemporaryDirectory(prefix="sigmalab-commit-") as name:
        tree = Path(name).resolve()
        root = write_commit(repository, commit, tree)
        if code.patch is not None:
            to = f"{code.ref} ({commit[:12]})"
            apply_patch(_patch_file(code.patch, roots), tree, repository.prefix, to=to)
        yield PlacedCode(code.model_copy(update={"commit": commit}), root, tree)


def require_one_environment(spec: ExperimentSpec, found: dict[str, dict[str, str]]) -> None:
    """See that all arms can run in one environment.

    Args:
        spec: the experiment.
        found: name of an arm -> what its code declares.

    Raises:
        SpecError: an arm declares what its control does not.
    """
    problems = []
    for i, arm in enumerate(spec.arms):
        if arm.name not in found or spec.control.name not in found:
            continue
        differing = differing_dependencies(found[arm.name], found[spec.control.name])
        if differing:
            problems.append(
                Problem(
                    f"/arms/{i}/code",
                    f"it declares other dependencies than `{spec.control.name}`: {differing}. Both arms run in one "
                    "environment, so a pair would compare libraries that one of them was not written for: give both "
                    "the same",
                )
            )
    if problems:
        raise SpecError(problems)


def _as_it_lies(code: ArmCode, folder: Path) -> PlacedCode:
    assert code.repo is not None
    if not in_repository(folder):
        return PlacedCode(code, folder, folder)
    repository = repository_of(folder, code.repo)
    try:
        commit = commit_of(repository, "HEAD")
    except OwnCodeError:
        # Nothing was committed yet.
        return PlacedCode(code, folder, repository.top)
    return PlacedCode(
        code.model_copy(update={"commit": commit, "has_changes": has_changes(folder)}), folder, repository.top
    )


def _require_within(repository: Repository, written: str, roots: tuple[Path, ...] | None) -> None:
    """A folder that may be read may lie in a repository that may not, or say that its objects lie elsewhere."""
    if roots is None:
        return
    for place in (repository.top, repository.store):
        if not any(place.resolve().is_relative_to(root.resolve()) for root in roots):
            raise OwnCodeError(outside(written, roots))


def _patch_file(written: str, roots: tuple[Path, ...] | None) -> Path:
    path = Path(written)
    if not path.is_absolute():
        raise OwnCodeError(f"the patch {written!r} is a relative path: write an absolute one")
    real = path.resolve()
    if roots is not None and not any(real.is_relative_to(root.resolve()) for root in roots):
        raise OwnCodeError(outside(written, roots))
    if not real.is_file():
        raise OwnCodeError(f"there is no patch {written}")
    return real
