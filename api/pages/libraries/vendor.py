"""Browser libraries as their authors publish them: `make vendor` fetches them anew (needs npm).

`package-lock.json` pins each with its sha512, which npm checks. What pages load is bundled and committed, with the
licences beside it, so that neither a service nor the tests need a way out. A new version: change
`package.json`, then `npm install --package-lock-only --ignore-scripts` here.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SERVED = HERE.parent / "browser" / "libraries"
OF_TESTS = HERE.parents[2] / "tests" / "browser_libraries"


def main() -> None:
    """Write all files anew."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("package.json", "package-lock.json", "editor.js"):
            shutil.copy(HERE / file, folder)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)
        packages = folder / "node_modules"
        axe = OF_TESTS / "axe-core"
        axe.mkdir(parents=True, exist_ok=True)
        for file in ("axe.min.js", "LICENSE"):
            shutil.copy(packages / "axe-core" / file, axe)
        bundle(folder, packages / "uplot" / "dist" / "uPlot.esm.js", SERVED / "uplot.js")
        shutil.copy(packages / "uplot" / "dist" / "uPlot.min.css", SERVED / "uplot.css")
        bundle(folder, folder / "editor.js", SERVED / "editor.js")
        licences(packages, SERVED / "LICENSES.txt")


def bundle(folder: Path, entry: Path, target: Path) -> None:
    """One module with all that it imports."""
    target.parent.mkdir(exist_ok=True)
    options = ["--bundle", "--minify", "--format=esm", "--target=es2022", "--legal-comments=none"]
    subprocess.run(["node_modules/.bin/esbuild", str(entry), *options, f"--outfile={target}"], cwd=folder, check=True)


def licences(packages: Path, target: Path) -> None:
    """What the bundled packages are given under."""
    texts = {
        str(file.parent.relative_to(packages)): file.read_text()
        for file in sorted(packages.rglob("LICENSE*"))
        if file.parent.name not in ("axe-core", "esbuild") and "@esbuild" not in file.parts
    }
    target.write_text("".join(f"{name}\n{'=' * len(name)}\n\n{text.strip()}\n\n\n" for name, text in texts.items()))


if __name__ == "__main__":
    main()
