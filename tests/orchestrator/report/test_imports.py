"""What importing the report costs: whoever shows one trains nothing, runs nothing and tracks nothing."""

import subprocess
import sys

CODE = """
import importlib, pkgutil, sys
import orchestrator.report
modules = [module.name for module in pkgutil.walk_packages(orchestrator.report.__path__, "orchestrator.report.")]
for module in modules:
    importlib.import_module(module)
heavy = {"torch", "timm", "ray", "mlflow", "sqlalchemy", "optuna", "fastapi"}
print(len(modules) > 50, *sorted(heavy & set(sys.modules)))
"""


def test_all_of_the_report_imports_without_torch_ray_and_mlflow() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True\n", "")
