"""The files of a report on this machine, and the lines that say where they are."""

import io
import zipfile
from pathlib import Path

from api.cli.terminal import complain, out
from api.client import Client
from orchestrator.service.views import ExperimentView
from orchestrator.state_folder import state_folder

_MAPS_FIGURE = "receptive_field_maps.png"


def save_report(client: Client, experiment_id: str, folder: Path) -> dict[str, Path]:
    """Write every file of the report into the folder, the same ones as `sigmalab run --output`.

    Returns:
        File name -> file.

    Raises:
        OSError: the folder can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Path] = {}
    with zipfile.ZipFile(io.BytesIO(client.report_file(experiment_id, "zip"))) as archive:
        for entry in archive.infolist():
            # Names only: an archive may not write elsewhere.
            name = Path(entry.filename).name
            files[name] = folder / name
            files[name].write_bytes(archive.read(entry))
    return files


def keep_report(client: Client, view: ExperimentView) -> dict[str, str]:
    """Save an experiment's report in the state folder.

    Returns:
        Where it is, and where else there is something to see, by name.
    """
    folder = state_folder() / "reports" / view.id
    try:
        files = save_report(client, view.id, folder)
    except OSError as error:
        complain(f"{folder} can't be written: {error.strerror}; elsewhere: sigmalab report {view.id} --output FOLDER")
        files = {}
    links = {
        "report": files.get("report.html"),
        "LaTeX table": files.get("table.tex"),
        "what it sees": files.get(_MAPS_FIGURE),
        "API": f"{client.endpoint.shown}/docs",
        "MLflow": view.mlflow_url,
        "page": f"{client.endpoint.shown}/experiments/{view.id}",
    }
    return {name: str(place) for name, place in links.items() if place is not None}


def print_links(links: dict[str, str]) -> None:
    """One line for each."""
    for name, place in links.items():
        out.print(f"{name:<12}  {place}", markup=False)
