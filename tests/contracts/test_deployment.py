"""What `deploy/` says, without a cluster: against the settings, against itself, and against those who read it.

`make lint` checks the image, compose.yaml and Kubernetes' own kinds. KubeRay's schemas lie beside the checkout
(`../shared/schemas`), or their tests are skipped.
"""

import re
import shlex
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ray.autoscaler._private.util import prepare_config, validate_config
from ruamel.yaml import YAML
from sqlalchemy import make_url

from orchestrator.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERAY = Path(__file__).parents[3] / "shared" / "schemas" / "kuberay"
SECRETS = {
    "SIGMALAB_API_TOKEN",
    "SIGMALAB_RAY_AUTH_TOKEN",
    "SIGMALAB_DATABASE_URL",
    "MLFLOW_BACKEND_STORE_URI",
    "postgres_password",
}
KNOWN = {str(field.validation_alias or f"SIGMALAB_{name.upper()}") for name, field in Settings.model_fields.items()}


def documents(name: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(DEPLOY / name))


def compose() -> dict[str, Any]:
    return documents("compose.yaml")[0]


def manifests() -> list[dict[str, Any]]:
    files = sorted(path.relative_to(DEPLOY) for path in DEPLOY.glob("kubernetes/*.yaml"))
    return [document for file in files for document in documents(str(file))]


def found(tree: object, key: str) -> list[Any]:
    """All values of a key, however deep."""
    if isinstance(tree, dict):
        return [value for name, value in tree.items() if name == key] + found(list(tree.values()), key)
    return [value for part in tree for value in found(part, key)] if isinstance(tree, list) else []


def variables(text: str) -> set[str]:
    return set(re.findall(r"\b(SIGMALAB_[A-Z_]+|MLFLOW_TRACKING_URI)\b", text))


def test_the_settings_file_lists_every_setting() -> None:
    listed = set(re.findall(r"^#?([A-Z_]+)=", (DEPLOY / "sigmalab.env").read_text(), flags=re.MULTILINE))
    assert listed >= KNOWN
    assert listed - KNOWN == {"RAY_ADDRESS"}


@pytest.mark.parametrize(
    "name", ["Dockerfile", "compose.yaml", "new-secrets", "ray-up.yaml", "kubernetes/service.yaml"]
)
def test_every_variable_is_a_setting(name: str) -> None:
    # The first is the command line's, the second what Kubernetes would set if the manifest did not forbid it.
    assert variables((DEPLOY / name).read_text()) - {"SIGMALAB_URL", "SIGMALAB_PORT"} <= KNOWN


def test_all_containers_run_one_image_of_this_version() -> None:
    image = f"sigmalab:{version('sigmalab')}"
    ours = {
        name for name in found([compose(), manifests(), documents("ray-up.yaml")], "image") if "postgres" not in name
    }
    assert ours == {image}
    assert f"--tag {image} " in (DEPLOY / "Dockerfile").read_text()
    assert found(documents("kubernetes/kustomization.yaml"), "newTag") == [version("sigmalab")]


def test_the_image_has_the_uv_of_the_makefile_and_a_python_that_may_run_us() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    (pinned,) = re.findall(r"^UV_VERSION := (.+)$", (DEPLOY.parent / "Makefile").read_text(), flags=re.MULTILINE)
    assert f"uv=={pinned}" in text
    pythons = re.findall(r"^FROM python:(\S+)", text, flags=re.MULTILINE)
    assert len(pythons) == 2
    assert len(set(pythons)) == 1


def test_the_image_takes_in_every_package_and_no_secret() -> None:
    kept = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        part
        for line in re.findall(r"^COPY (?!--)(.+)$", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
        for part in line.split()[:-1]
    }
    assert copied == kept
    assert {"trainers", "orchestrator", "api"} <= kept
    assert not kept & {"deploy", ".venv", ".sigmalab"}


def test_rays_version_is_the_one_that_is_installed() -> None:
    assert set(found(manifests(), "rayVersion")) == {version("ray")}


def test_state_and_data_are_mounted_wherever_trials_or_the_api_run() -> None:
    services = compose()["services"]
    for name in ("head", "worker", "api"):
        storage, data = services[name]["volumes"]
        assert storage.endswith(":/storage"), name
        assert data.endswith(":/data:ro"), name
    for pod in found(manifests(), "containers"):
        (container,) = pod
        places = {mount["mountPath"]: mount.get("readOnly", False) for mount in container.get("volumeMounts", [])}
        if container["name"] in {"ray-head", "ray-worker", "api"}:
            assert (places["/storage"], places["/data"]) == (False, True), container["name"]
    image = (DEPLOY / "Dockerfile").read_text()
    assert "SIGMALAB_STORAGE=/storage/trials" in image
    assert "SIGMALAB_HOME=/storage/service" in image


def test_every_secret_that_is_asked_for_is_made(tmp_path: Path) -> None:
    assert set(compose()["secrets"]) == SECRETS
    used = {name for service in compose()["services"].values() for name in service.get("secrets", [])}
    assert used == SECRETS
    # KubeRay makes its own token, so the cluster's secret of Ray is not ours.
    keys = {item["key"] for items in found(manifests(), "items") for item in items}
    keys |= {reference["key"] for reference in found(manifests(), "secretKeyRef")}
    assert keys == SECRETS - {"SIGMALAB_RAY_AUTH_TOKEN"} | {"auth_token"}


def test_secrets_are_made_once_for_their_user_alone(tmp_path: Path) -> None:
    script = tmp_path / "new-secrets"
    script.write_bytes((DEPLOY / "new-secrets").read_bytes())
    script.chmod(0o755)
    subprocess.run([script, "db.example"], check=True, capture_output=True)
    folder = tmp_path / "secrets"
    made = {file.name: file.read_text() for file in folder.iterdir()}
    assert set(made) == SECRETS
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert re.fullmatch("[0-9a-f]{64}", made["SIGMALAB_API_TOKEN"])
    assert len({made[name] for name in ("SIGMALAB_API_TOKEN", "SIGMALAB_RAY_AUTH_TOKEN", "postgres_password")}) == 3
    assert make_url(made["SIGMALAB_DATABASE_URL"]).password == made["postgres_password"]
    assert make_url(made["MLFLOW_BACKEND_STORE_URI"]).host == "db.example"
    subprocess.run([script, "elsewhere"], check=True, capture_output=True)
    assert made == {file.name: file.read_text() for file in folder.iterdir()}


def test_the_settings_read_a_folder_of_these_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in compose()["services"]["api"]["secrets"]:
        (tmp_path / name).write_text(f"postgresql://ann:{name}@db/a" if name.endswith("URL") else name)
    monkeypatch.setenv("SIGMALAB_SECRETS_DIR", str(tmp_path))
    settings = Settings()
    assert settings.api_token == "SIGMALAB_API_TOKEN"
    assert settings.ray_auth_token == "SIGMALAB_RAY_AUTH_TOKEN"
    assert settings.database_url == "postgresql://ann:SIGMALAB_DATABASE_URL@db/a"


def test_ray_takes_the_machines_of_ray_up() -> None:
    (config,) = documents("ray-up.yaml")
    prepared = prepare_config(config)
    validate_config(prepared)
    assert prepared["max_workers"] == len(config["provider"]["worker_ips"])


@pytest.mark.parametrize(
    ("schema", "name"), [("ray.io_rayclusters", "raycluster"), ("ray.io_rayjobs", "rayjob")]
)  # fmt: skip
def test_kuberay_takes_its_manifests(schema: str, name: str) -> None:
    if not KUBERAY.is_dir():
        pytest.skip("KubeRay's schemas are not beside the checkout")
    definition = YAML(typ="safe").load(KUBERAY / f"{schema}.yaml")
    (first,) = [part for part in definition["spec"]["versions"] if part["name"] == "v1"]
    openapi = first["schema"]["openAPIV3Schema"]
    closed(openapi)
    openapi["properties"]["metadata"] = {"type": "object"}
    (manifest,) = documents(f"kubernetes/{name}.yaml")
    check = jsonschema.Draft202012Validator(openapi)
    assert [f"{list(error.path)}: {error.message}" for error in check.iter_errors(manifest)] == []
    manifest["spec"]["wokerGroupSpecs"] = []
    assert "wokerGroupSpecs" in "".join(error.message for error in check.iter_errors(manifest))


def closed(schema: object) -> None:
    """A field that KubeRay does not know is dropped by the cluster in silence: here it is an error."""
    if isinstance(schema, dict):
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            closed(part)
    if isinstance(schema, list):
        for part in schema:
            closed(part)


def test_what_is_applied_is_there_and_rayjobs_are_not_among_it() -> None:
    (listed,) = documents("kubernetes/kustomization.yaml")
    files = {path.name for path in DEPLOY.glob("kubernetes/*.yaml")}
    helpers = {"kustomization.yaml", *listed["configurations"]}
    assert set(listed["resources"]) == files - helpers - {"rayjob.yaml"}


def test_whatever_opens_the_database_on_a_shared_volume_is_told_of_a_server() -> None:
    for manifest in manifests():
        for pod in found(manifest, "containers"):
            (container,) = pod
            drives = container["name"] == "api" or (container["name"] == "ray-head" and manifest["kind"] == "RayJob")
            told = {variable["name"] for variable in container.get("env", [])}
            assert drives == ("SIGMALAB_SECRETS_DIR" in told), container["name"]


def test_a_job_of_the_cluster_is_a_command_that_exists() -> None:
    (job,) = documents("kubernetes/rayjob.yaml")
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[:4] == ["python", "-m", "orchestrator", "run"]
    mounted = {mount["mountPath"] for mounts in found(job, "volumeMounts") for mount in mounts}
    assert str(Path(words[4]).parent) in mounted
