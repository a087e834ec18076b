"""All figures in one go, within a time: `python -m bench.gpu.measure --output FOLDER [--small] [--only steps]`.

Writes performance.json and performance.md. What there was no time for, or what failed, stands in both.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from bench.gpu import checkpoints, dense, fields, loading, steps, throughput
from bench.gpu.figure import Figure
from trainers.version import library_versions

# The most wanted first: time may run out.
PARTS: dict[str, Callable[..., Iterator[Figure]]] = {
    "steps": steps.measure,
    "throughput": throughput.measure,
    "rates": throughput.measure_rates,
    "fields": fields.measure,
    "checkpoints": checkpoints.measure,
    "loading": loading.measure,
    "dense": dense.measure,
    # Compiling takes half a minute for each arm, and more.
    "compiled": steps.measure_compiled,
    "compiled-throughput": throughput.measure_compiled,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for both files")
    parser.add_argument("--small", action="store_true", help="on a CPU, in a minute: shows only that it works")
    parser.add_argument("--seconds", type=float, default=270, help="no part starts after so long (default: 270)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to measure (default: all)")
    options = parser.parse_args()
    if not options.small and not torch.cuda.is_available():
        print("measure: torch sees no CUDA device here; --small does the same on a CPU", file=sys.stderr)
        return 2
    device = torch.device("cpu" if options.small else "cuda")
    if options.small:
        torch.set_num_threads(1)
    figures: list[Figure] = []
    missing: dict[str, str] = {}
    started = time.monotonic()
    for name in options.only:
        if time.monotonic() - started > options.seconds:
            missing[name] = "the time was over"
            continue
        try:
            for figure in PARTS[name](device, is_small=options.small):
                print(line(figure), flush=True)
                figures.append(figure)
                # A lease may end at any moment.
                write(options.output, machine(device), figures, missing)
                if time.monotonic() - started > options.seconds:
                    missing[name] = "the time was over in the middle"
                    break
        except Exception as error:  # noqa: BLE001  one part's fault must not cost the others: a GPU is lent for minutes
            missing[name] = f"{type(error).__name__}: {error}".partition("\n")[0]
            print(f"{name} failed: {missing[name]}", file=sys.stderr, flush=True)
    write(options.output, machine(device), figures, missing)
    return 1 if any(not reason.startswith("the time") for reason in missing.values()) else 0


def machine(device: torch.device) -> dict[str, str]:
    """What the figures were measured on."""
    facts = {"card": "none (CPU)", "cores": str(os.cpu_count()), "python": platform.python_version()}
    if device.type == "cuda":
        facts["card"] = torch.cuda.get_device_name(device)
        facts["driver"] = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.partition("\n")[0]
        facts["cuda"] = str(torch.version.cuda)
        facts["cudnn"] = str(torch.backends.cudnn.version())
    return facts | library_versions()


def line(figure: Figure) -> str:
    spread = f" ({figure.low:.3g} to {figure.high:.3g})" if figure.low != figure.high else ""
    return f"{figure.what}: {figure.value:.3g} {figure.unit}{spread}"


def write(folder: Path, facts: dict[str, str], figures: list[Figure], missing: dict[str, str]) -> None:
    """Both files, in place of older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"machine": facts, "figures": [asdict(figure) for figure in figures], "not_measured": missing}
    (folder / "performance.json").write_text(json.dumps(content, indent=1) + "\n")
    rows = [
        f"| {figure.what} | {figure.value:.3g} {figure.unit} | {figure.low:.3g} to {figure.high:.3g} | {figure.goal} "
        f"| {figure.note} |"
        for figure in figures
    ]
    text = [
        ", ".join(f"{name} {value}" for name, value in facts.items()),
        "",
        "| what | median | quartiles | goal | |",
        "|---|---|---|---|---|",
        *rows,
        "",
        *(f"* not measured: {name} ({reason})" for name, reason in missing.items()),
    ]
    (folder / "performance.md").write_text("\n".join(text).rstrip() + "\n")


if __name__ == "__main__":
    sys.exit(main())
