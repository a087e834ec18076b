"""Real git repositories with a package, for code of arms that are commits."""

import subprocess
from pathlib import Path

from tests.orchestrator.own_net import NET

WITHOUT_USER = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "nobody",
    "GIT_AUTHOR_EMAIL": "nobody@example.org",
    "GIT_COMMITTER_NAME": "nobody",
    "GIT_COMMITTER_EMAIL": "nobody@example.org",
    "PATH": "/usr/bin:/bin:/usr/local/bin",
}

TANH = NET.replace("GELU", "Tanh")


def git(repository: Path, *arguments: str) -> str:
    """What git answers."""
    ended = subprocess.run(
        ["git", *arguments], cwd=repository, env=WITHOUT_USER, check=True, capture_output=True, text=True
    )
    return ended.stdout


def repository_with_branches(place: Path, package: str, *, folder: str = ".") -> Path:
    """A repository whose `main` has a network with GELU, and whose `tanh`, checked out nowhere, has one with Tanh."""
    net = place / folder / package / "net.py"
    net.parent.mkdir(parents=True)
    git(place, "init", "--quiet", "--initial-branch=main")
    net.write_text(NET)
    (place / "pyproject.toml").write_text('[project]\nname = "lab"\ndependencies = ["torch>=2"]\n')
    _commit(place)
    git(place, "checkout", "--quiet", "-b", "tanh")
    net.write_text(TANH)
    _commit(place)
    git(place, "checkout", "--quiet", "main")
    return place


def commit_dependencies(repository: Path, branch: str, dependencies: str) -> None:
    """A branch from where it stands whose pyproject.toml has other dependencies."""
    git(repository, "checkout", "--quiet", "-b", branch, "tanh")
    (repository / "pyproject.toml").write_text(f'[project]\nname = "lab"\ndependencies = {dependencies}\n')
    _commit(repository)
    git(repository, "checkout", "--quiet", "main")


def _commit(repository: Path) -> None:
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "a change")
