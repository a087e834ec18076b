"""Settings: read from the environment, and handed whole to a driver in another folder."""

import os
import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from orchestrator.settings import Settings, WrongSettingsError, settings_here
from orchestrator.state_folder import state_folder
from orchestrator.tracking.trackers import trackers_on


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SIGMALAB_HOME", "SIGMALAB_DATABASE_URL", "SIGMALAB_TRACKERS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMALAB_HOME", "/srv/lab")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    settings = Settings()
    assert settings.effective_database_url == "sqlite:////srv/lab/sigmalab.db"
    assert settings.effective_storage == Path("/srv/lab/trials")
    assert settings.mlflow_tracking_uri == "http://mlflow:5000"


def test_every_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMALAB_UMASK", "9")
    monkeypatch.setenv("SIGMALAB_MAX_DRIVER_ATTEMPTS", "-1")
    with pytest.raises(WrongSettingsError) as caught:
        settings_here()
    assert {variable for variable, _ in caught.value.problems} == {
        "SIGMALAB_UMASK=9",
        "SIGMALAB_MAX_DRIVER_ATTEMPTS=-1",
    }
    assert "Value error" not in str(caught.value)


def test_relative_places_become_absolute(tmp_path: Path) -> None:
    settings = Settings(home=Path("state"), storage=Path("trials"), data_root=Path("data"))
    assert settings.effective_database_url == f"sqlite:///{tmp_path}/state/sigmalab.db"
    assert settings.effective_storage == tmp_path / "trials"
    assert settings.effective_data_root == tmp_path / "data"
    assert Settings(database_url="sqlite:///a.db").effective_database_url == f"sqlite:///{tmp_path}/a.db"


def test_the_data_root_is_the_services_own_folder_if_none_is_set(tmp_path: Path) -> None:
    assert Settings().effective_data_root == tmp_path


def test_a_server_url_stays_as_it_is() -> None:
    url = "postgresql://ann:pw@db/lab"
    assert Settings(database_url=url).effective_database_url == url


def test_a_driver_elsewhere_gets_the_same_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = Settings(
        home=Path("state"),
        mlflow_tracking_uri="http://mlflow:5000",
        trackers=("tensorboard", "mlflow"),
        heartbeat_timeout_seconds=67.5,
        api_token="secret",
        ray_auth_token="secret",
    )
    environment = settings.driver_environment()
    assert "secret" not in environment.values()
    expected = [
        settings.effective_database_url,
        settings.effective_storage,
        settings.effective_data_root,
        settings.mlflow_tracking_uri,
        settings.trackers,
        settings.effective_tensorboard_dir,
        settings.heartbeat_timeout_seconds,
    ]
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    driver = Settings()
    assert expected == [
        driver.effective_database_url,
        driver.effective_storage,
        driver.effective_data_root,
        driver.mlflow_tracking_uri,
        driver.trackers,
        driver.effective_tensorboard_dir,
        driver.heartbeat_timeout_seconds,
    ]


def test_trackers_are_named_with_commas_between(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().trackers == ("mlflow",)
    # Without a server MLflow gets nothing; TensorBoard needs none.
    for written, names, on in (
        ("mlflow", ("mlflow",), []),
        (" mlflow , tensorboard,", ("mlflow", "tensorboard"), ["tensorboard"]),
        ("tensorboard,tensorboard", ("tensorboard",), ["tensorboard"]),
        ("", (), []),
    ):
        monkeypatch.setenv("SIGMALAB_TRACKERS", written)
        assert Settings().trackers == names
        assert [kind.name for kind in trackers_on(Settings())] == on
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    monkeypatch.setenv("SIGMALAB_TRACKERS", "mlflow,tensorboard")
    assert [kind.name for kind in trackers_on(Settings())] == ["mlflow", "tensorboard"]


def test_a_tracker_that_there_is_not_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMALAB_TRACKERS", "mlflow,tensorbord")
    told = r"there is not a tracker `tensorbord`; did you mean `tensorboard`\? Valid: mlflow, tensorboard"
    with pytest.raises(ValidationError, match=told):
        Settings()


@pytest.mark.parametrize("field", ["max_driver_attempts", "max_concurrent_experiments"])
def test_limits_are_positive(field: str) -> None:
    with pytest.raises(ValidationError, match="greater than"):
        Settings(**{field: 0})


@pytest.mark.parametrize("field", ["heartbeat_timeout_seconds", "driver_start_timeout_seconds"])
def test_a_driver_gets_at_least_a_minute(field: str) -> None:
    """It may wait half of that for a database that others write to."""
    with pytest.raises(ValidationError, match="greater than or equal to 60"):
        Settings(**{field: 59.0})


def test_the_state_lies_in_this_folder_if_it_does_so_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    assert Settings().home == tmp_path / "user" / ".sigmalab"
    (tmp_path / ".sigmalab").mkdir()
    assert Settings().home == state_folder() == tmp_path / ".sigmalab"
    monkeypatch.setenv("SIGMALAB_HOME", str(tmp_path / "named"))
    assert Settings().home == state_folder() == tmp_path / "named"


def test_a_user_without_a_home_keeps_the_state_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number which no passwd file knows."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 4_321_987)
    assert Settings().home == state_folder() == tmp_path / ".sigmalab"


def test_links_lead_where_browsers_get_and_carry_no_password() -> None:
    inside = Settings(mlflow_tracking_uri="http://ann:secret@mlflow:5000", ray_dashboard_url="http://head:8265")
    assert (inside.mlflow_link, inside.ray_link) == ("http://mlflow:5000", "http://head:8265")
    outside = {"mlflow_public_url": "https://lab.example/mlflow", "ray_public_url": "https://lab.example/ray"}
    reachable = inside.model_copy(update=outside)
    assert (reachable.mlflow_link, reachable.ray_link) == tuple(outside.values())
    assert reachable.driver_environment()["SIGMALAB_MLFLOW_PUBLIC_URL"] == "https://lab.example/mlflow"
    assert Settings(mlflow_tracking_uri=None).mlflow_link is None


def test_a_tilde_is_the_home_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file of variables, as systemd and Docker read it, goes through no shell."""
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("SIGMALAB_HOME", "~/lab")
    monkeypatch.setenv("SIGMALAB_STORAGE", "~/trials")
    monkeypatch.setenv("SIGMALAB_DATA_ROOT", "~")
    settings = Settings()
    assert state_folder() == settings.home == tmp_path / "me" / "lab"
    assert settings.effective_storage == tmp_path / "me" / "trials"
    assert settings.effective_data_root == tmp_path / "me"
    monkeypatch.setenv("SIGMALAB_DATABASE_URL", "sqlite:///~/lab.db")
    assert Settings().database_file == tmp_path / "me" / "lab.db"


def test_passwords_reach_a_driver_in_files_that_nobody_else_reads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = Settings(
        home=tmp_path / "home",
        database_url="postgresql://ann:hunter2@db/lab",
        mlflow_tracking_uri="http://ann:hunter3@mlflow:5000",
        mlflow_public_url="https://ann:hunter4@lab.example/mlflow",
    )
    environment = settings.driver_environment()
    assert not any("hunter" in value for value in environment.values())
    assert {"SIGMALAB_DATABASE_URL", "MLFLOW_TRACKING_URI"}.isdisjoint(environment)
    settings.write_driver_secrets()
    folder = Path(environment["SIGMALAB_SECRETS_DIR"])
    assert folder.is_relative_to(settings.effective_storage)
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    driver = Settings()
    assert driver.effective_database_url == settings.effective_database_url
    assert driver.mlflow_tracking_uri == settings.mlflow_tracking_uri
    # What the head's own environment says goes first.
    monkeypatch.setenv("SIGMALAB_DATABASE_URL", "postgresql://head@db/lab")
    assert Settings().effective_database_url == "postgresql://head@db/lab"


def test_another_password_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    for password in ("old", "new"):
        Settings(home=tmp_path, database_url=f"postgresql://db/lab?user=ann&password={password}").write_driver_secrets()
    files = [file for file in (tmp_path / "trials").rglob("*") if file.is_file()]
    assert ["new" in file.read_text() for file in files] == [True]


def test_without_a_password_no_file_is_written(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="postgresql:///lab", mlflow_tracking_uri="http://mlflow:5000")
    settings.write_driver_secrets()
    assert list(tmp_path.iterdir()) == []
    assert settings.driver_environment()["SIGMALAB_DATABASE_URL"] == "postgresql:///lab"
    assert "SIGMALAB_SECRETS_DIR" not in settings.driver_environment()


def test_a_folder_of_secrets_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIGMALAB_SECRETS_DIR", str(tmp_path / "gone"))
    with pytest.raises(ValidationError, match=r"the folder of secrets .*gone can't be read: No such file"):
        Settings()


def test_a_mask_is_read_as_chmod_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().umask == 0o077
    assert Settings().driver_environment()["SIGMALAB_UMASK"] == "077"
    monkeypatch.setenv("SIGMALAB_UMASK", "0027")
    assert Settings().umask == 0o027
    for wrong, why in (("abc", "not a mask in octal digits"), ("0777", "less than or equal to 63")):
        monkeypatch.setenv("SIGMALAB_UMASK", wrong)
        with pytest.raises(ValidationError, match=why):
            Settings()
