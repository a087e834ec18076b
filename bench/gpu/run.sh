#!/usr/bin/env bash
# All that waits for a GPU, in one command of at most 8 minutes: the tests of tests/gpu, then the figures.
#
#     bench/gpu/run.sh [--small] [--output FOLDER] [--seconds N] [--only PART...]
#
# Needs Python with torch, torchvision, timm, numpy, scipy, scikit-learn, psutil and pytest; no network, no Ray, no
# MLflow. Where pydantic is missing it is taken from bench/gpu/.wheels (see wheels.sh). `--small` is the same on a CPU,
# in a minute: it shows that the command works, its figures mean nothing. `--only`, last, chooses parts: tests, and those
# of measure.py (steps, rates, fields, ...). `--seconds` is how long the figures may take (240).
# Writes tests.log, performance.json and performance.md into the folder ($OUT if set, else bench/gpu/results).
set -uo pipefail
cd "$(dirname "$0")/../.."

small=() parts=() seconds=240 output="${OUT:-bench/gpu/results}"
has_tests=yes has_figures=yes
while [ $# -gt 0 ]; do
    case "$1" in
        --small) small=(--small) ;;
        --output) shift; output="${1:?--output needs a folder}" ;;
        --seconds) shift; seconds="${1:?--seconds needs a number}" ;;
        --only)
            shift
            has_tests=no has_figures=no
            for part in "${@:?--only needs a part}"; do
                if [ "$part" = tests ]; then has_tests=yes; else has_figures=yes parts+=("$part"); fi
            done
            break ;;
        *) echo "run.sh: unknown argument $1; valid: --small, --output FOLDER, --seconds N, --only PART..." >&2; exit 2 ;;
    esac
    shift
done
mkdir -p "$output"

python="${PYTHON:-python3}"
if ! "$python" -c "import pydantic" 2>/dev/null; then
    site="$(mktemp -d)"
    trap 'rm -rf "$site"' EXIT
    "$python" -m pip install --quiet --no-index --no-deps --target "$site" bench/gpu/.wheels/*.whl || {
        echo "pydantic is missing; run bench/gpu/wheels.sh where there is a network, and bring bench/gpu/.wheels" >&2
        exit 1
    }
    export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

tests=0 measured=0
if [ $has_tests = yes ]; then
    # The project's own configuration names plugins that such a machine need not have.
    timeout 180 "$python" -m pytest -c bench/gpu/pytest.ini --rootdir=. --confcutdir=tests/gpu -q -ra --durations=8 \
        tests/gpu 2>&1 | tee "$output/tests.log"
    tests=${PIPESTATUS[0]}
    # 5: all tests are left out, as on a CPU.
    [ "$tests" -eq 5 ] && tests=0
fi
if [ $has_figures = yes ]; then
    [ ${#parts[@]} -gt 0 ] && parts=(--only "${parts[@]}")
    timeout $((seconds + 50)) "$python" -m bench.gpu.measure "${small[@]}" --output "$output" --seconds "$seconds" "${parts[@]}"
    measured=$?
fi
echo "tests: exit $tests; figures: exit $measured; all in $output"
exit $((tests > measured ? tests : measured))
