"""What `sigmalab data` starts: `python -m trainers.data.prepare prepare <set> ...`, `... write <set>` and `... list`.

Progress goes to stderr, the answer to stdout. Exit codes: 0 done; 1 the data are not as they should be; 2 wrong usage;
130 interrupted.
"""

import argparse
import difflib
import sys
from pathlib import Path

from trainers.data.dataset import Dataset
from trainers.data.manifest import read_header
from trainers.data.manifest_name import SUFFIX
from trainers.data.manifest_set import ManifestConfig
from trainers.data.prepare import SETS
from trainers.data.prepare.preparation import default_name, prepare
from trainers.data.prepare.published_set import PublishedSet
from trainers.data.prepare.summary import overview, overview_json, summary, summary_json, written, written_json
from trainers.data.prepare.written_set import write_set
from trainers.errors import DataError
from trainers.program import run_program, write_json


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        text = _COMMANDS[options.command](options)
    except argparse.ArgumentTypeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except DataError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; nothing was written\n")
        return 130
    if options.json:
        write_json(text)
    else:
        sys.stdout.write(text)
    return 0


def _prepared(options: argparse.Namespace) -> str:
    published = _published_set(options.set)
    output = options.output or options.data_root / default_name(published, options.protocol)
    prepared = prepare(
        published,
        options.root,
        options.protocol,
        output,
        allow_incomplete=options.allow_incomplete,
        stream=sys.stderr,
    )
    if published.dataset is None:
        dataset: Dataset = ManifestConfig(path=_path_in_spec(prepared.file, options.data_root))
    else:
        dataset = published.dataset(_path_in_spec(prepared.folder, options.data_root))
    return summary_json(prepared, dataset) if options.json else summary(published, prepared, dataset)


def _written(options: argparse.Namespace) -> str:
    dataset = write_set(options.set, options.fields, options.output)(_path_in_spec(options.output, options.data_root))
    write = written_json if options.json else written
    return write(dataset, options.output)


def _path_in_spec(output: Path, data_root: Path) -> str:
    """Relative to the data root where it is below: such a spec holds on another machine too."""
    file, root = output.absolute(), data_root.absolute()
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def _listed(options: argparse.Namespace) -> str:
    prepared = {file.name: read_header(file) for file in sorted(options.data_root.glob(f"*{SUFFIX}"))}
    write = overview_json if options.json else overview
    return write(SETS, options.data_root, prepared)


def _published_set(name: str) -> PublishedSet:
    by_name = {published.name: published for published in SETS}
    if name not in by_name:
        nearest = difflib.get_close_matches(name.replace("-", "_").lower(), by_name, n=1, cutoff=0.4)
        meant = f"; did you mean {nearest[0]}?" if nearest else "."
        raise argparse.ArgumentTypeError(f"no data set is called {name!r}{meant} There are: {', '.join(by_name)}")
    return by_name[name]


_COMMANDS = {"prepare": _prepared, "write": _written, "list": _listed}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sigmalab data", description="Data sets and their manifests.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("prepare", help="check a data set and write its manifest")
    one.add_argument("set", help="name of the data set; `list` lists the names")
    one.add_argument("--root", type=Path, required=True, help="folder into which its archives were unpacked")
    one.add_argument("--protocol", choices=("official", "paper"), required=True, help="how to split it")
    one.add_argument(
        "--output",
        type=Path,
        help="where to write the manifest (default: <set>-<protocol>.manifest.parquet, data root)",
    )
    one.add_argument(
        "--allow-incomplete",
        action="store_true",
        help="accept an incomplete data set: missing and broken images are left out",
    )
    drawn = commands.add_parser("write", help="write a generated set to disk, in the layout of a published one")
    drawn.add_argument("set", help="name of the generated set: shapes or shapes_objects")
    drawn.add_argument("fields", nargs="*", metavar="FIELD=VALUE", help="fields of the set, such as num_train=100")
    drawn.add_argument("--output", type=Path, required=True, help="folder to be made")
    every = commands.add_parser("list", help="name the sets, and the manifests in the data root")
    for command in (one, drawn, every):
        command.add_argument(
            "--data-root", type=Path, default=Path(), help="where paths in specs start (default: here)"
        )
        command.add_argument("--json", action="store_true", help="write JSON, for scripts")
    return parser


if __name__ == "__main__":
    run_program(main)
