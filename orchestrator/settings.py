"""The deployment's environment: where state lives and which servers to talk to."""

import sys
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestrator.addresses import without_password
from orchestrator.home import state_folder
from trainers.user_path import user_path

UserPath = Annotated[Path, AfterValidator(lambda path: user_path(str(path), None))]
"""A path in which `~` is the home of this process's user: no shell has replaced it in a file of variables."""


class Settings(BaseSettings):
    """Read from environment variables `SIGMALAB_*` (and Ray's and MLflow's own names for theirs)."""

    model_config = SettingsConfigDict(
        env_prefix="SIGMALAB_", frozen=True, use_attribute_docstrings=True, populate_by_name=True
    )

    home: UserPath = Field(default_factory=state_folder)
    """State folder: database, trial storage, reports, logs; without it `.sigmalab` in the current folder if that is
    there, else `~/.sigmalab`."""
    database_url: str | None = None
    """SQLAlchemy URL; without it SQLite at `<home>/sigmalab.db`."""
    storage: UserPath | None = None
    """Folder for checkpoints and predictions, seen by every node; without it `<home>/trials`."""
    data_root: UserPath | None = None
    """Folder that relative data set paths start from; without it the current folder of the process."""
    checkpoint_minutes: float = Field(default=5.0, ge=0, allow_inf_nan=False)
    """How often a trial saves its state, and so what the loss of its process costs at most."""
    ray_dashboard_url: str = "http://127.0.0.1:8265"
    """Ray's dashboard (Jobs API), used by the service."""
    ray_auth_token: str | None = None
    """Token for Ray's dashboard, if the cluster asks for one."""
    mlflow_tracking_uri: str | None = Field(default=None, validation_alias="MLFLOW_TRACKING_URI")
    """MLflow server; without it nothing is tracked and all rows wait in the store."""
    mlflow_public_url: str | None = None
    """MLflow as people's browsers reach it, for links (without it MLFLOW_TRACKING_URI, which may be known to the
    servers only: 127.0.0.1, a name inside a cluster)."""
    ray_public_url: str | None = None
    """Ray's dashboard as people's browsers reach it, for links (without it `ray_dashboard_url`)."""
    api_token: str | None = None
    """Token that every request must carry; required when the API listens beyond loopback."""
    max_driver_attempts: int = Field(default=5, ge=1)
    """Drivers that may crash, or fall silent, one after another without progress (no trial ended, no new epoch). One
    that is told to terminate, is lost with Ray's head, or never said a word does not count."""
    heartbeat_timeout_seconds: float = Field(default=180.0, ge=60)
    """A driver that was heard of, and then not for so long, is taken for dead; it speaks six times in this time, and
    may wait half a minute for a busy database."""
    driver_start_timeout_seconds: float = Field(default=600.0, ge=60)
    """How long a driver's job may run before its first sign of life."""
    max_equal_failures: int = Field(default=8, ge=2)
    """So many trials that fail one after another with the same error stop their experiment, before the others do."""
    max_concurrent_experiments: int = Field(default=4, ge=1)
    """Drivers at once; further experiments wait in the queue."""
    cancel_grace_seconds: float = Field(default=20.0, ge=0)
    """How long a driver may take to end by itself after a cancel, before its job is stopped."""
    reconcile_interval_seconds: float = Field(default=1.0, gt=0)
    """Pause between two looks of the reconciler."""
    ray_python: str = sys.executable
    """Python that runs the driver on the cluster's head; the service's own one, if both are on one machine."""
    ray_working_dir: str | None = None
    """URI of the code for clusters where sigmalab is not installed (`s3://...zip`, see Ray's `working_dir`)."""

    @property
    def heartbeat_seconds(self) -> float:
        """Pause between two signs of life of a driver."""
        return self.heartbeat_timeout_seconds / 6

    @property
    def effective_database_url(self) -> str:
        """The database to open."""
        prefix = "sqlite:///"
        url = self.database_url or f"{prefix}{self.home / 'sigmalab.db'}"
        # A relative file means another one in a process that runs in another folder.
        return f"{prefix}{user_path(url.removeprefix(prefix), None).absolute()}" if url.startswith(prefix) else url

    @property
    def database_file(self) -> Path | None:
        """The file of an SQLite database (`None`: a server has it)."""
        file = self.effective_database_url.removeprefix("sqlite:///")
        return None if file == self.effective_database_url else Path(file)

    @property
    def mlflow_link(self) -> str | None:
        """Where links to MLflow start; never with a user and password (`None`: there is no MLflow)."""
        return without_password(self.mlflow_public_url or self.mlflow_tracking_uri or "") or None

    @property
    def ray_link(self) -> str:
        """Where links to Ray's dashboard lead."""
        return without_password(self.ray_public_url or self.ray_dashboard_url)

    @property
    def effective_storage(self) -> Path:
        """The folder that holds one subfolder per trial identity."""
        return (self.storage or self.home / "trials").absolute()

    @property
    def effective_data_root(self) -> Path:
        """Where relative data set paths start; absolute, because the driver runs in another folder."""
        return (self.data_root or Path.cwd()).absolute()

    def driver_environment(self) -> dict[str, str]:
        """Environment variables that give a driver in another process the same settings.

        Without the tokens of the API and of Ray's dashboard, which a driver does not need. The database URL is among
        them: whoever may read the cluster's jobs may read its password.
        """
        environment = {
            "SIGMALAB_HOME": str(self.home.absolute()),
            "SIGMALAB_DATABASE_URL": self.effective_database_url,
            "SIGMALAB_STORAGE": str(self.effective_storage),
            "SIGMALAB_DATA_ROOT": str(self.effective_data_root),
            "SIGMALAB_CHECKPOINT_MINUTES": str(self.checkpoint_minutes),
            "SIGMALAB_HEARTBEAT_TIMEOUT_SECONDS": str(self.heartbeat_timeout_seconds),
            "SIGMALAB_MAX_EQUAL_FAILURES": str(self.max_equal_failures),
        }
        if self.mlflow_tracking_uri is not None:
            environment["MLFLOW_TRACKING_URI"] = self.mlflow_tracking_uri
        if self.mlflow_public_url is not None:
            environment["SIGMALAB_MLFLOW_PUBLIC_URL"] = self.mlflow_public_url
        return environment
