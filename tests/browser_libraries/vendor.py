"""Browser libraries of the tests, as their authors have packed them: `make vendor` fetches them anew and checks each.

Committed, so that tests need no network. A new version: change version and digest (`npm view axe-core dist.integrity`).
"""

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Package(NamedTuple):
    name: str
    version: str
    sha512: str
    """Of the packed file, in base 64, as the registry tells it."""
    files: tuple[str, ...]
    """What is kept, the licence among it."""


PACKAGES = (
    Package(
        "axe-core",
        "4.14.1",
        "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
        ("axe.min.js", "LICENSE"),
    ),
)


def fetch(package: Package) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--pack-destination", folder, f"{package.name}@{package.version}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (packed,) = Path(folder).iterdir()
        found = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
        if found != package.sha512:
            sys.exit(f"{package.name} {package.version} is not the file that was checked: sha512 {found}")
        place = HERE / package.name
        place.mkdir(exist_ok=True)
        with tarfile.open(packed) as archive:
            for name in package.files:
                member = archive.extractfile(f"package/{name}")
                assert member is not None
                (place / name).write_bytes(member.read())


if __name__ == "__main__":
    for package in PACKAGES:
        fetch(package)
        print(f"{package.name} {package.version}: {', '.join(package.files)}")
