#!/usr/bin/env bash
# Puts the wheels that a GPU machine without network lacks into bench/gpu/.wheels (ignored by git, about 3 MB):
# pydantic and what it needs, and what dense tasks need, for CPython 3.12 on Linux x86-64, in the versions of the lock file.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=.venv/bin/python
version() { "$python" -c "import importlib.metadata as m; print(m.version('$1'))"; }
rm -rf bench/gpu/.wheels
names=()
for name in pydantic pydantic-core annotated-types typing-inspection typing-extensions \
    segmentation-models-pytorch faster-coco-eval; do
    names+=("$name==$(version "$name")")
done
python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --dest bench/gpu/.wheels "${names[@]}"
ls -l bench/gpu/.wheels
