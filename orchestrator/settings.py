"""The deployment's environment: where state lives and which servers to talk to."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from environment variables `SIGMALAB_*` (and Ray's and MLflow's own names for theirs)."""

    model_config = SettingsConfigDict(
        env_prefix="SIGMALAB_", frozen=True, use_attribute_docstrings=True, populate_by_name=True
    )

    home: Path = Field(default_factory=lambda: Path.home() / ".sigmalab")
    """State folder: database, trial storage, reports, logs."""
    database_url: str | None = None
    """SQLAlchemy URL; without it SQLite at `<home>/sigmalab.db`."""
    storage: Path | None = None
    """Folder for checkpoints and predictions, seen by every node; without it `<home>/trials`."""
    data_root: Path | None = None
    """Folder that relative data set paths start from; without it the current folder of the process."""
    ray_dashboard_url: str = "http://127.0.0.1:8265"
    """Ray's dashboard (Jobs API), used by the service."""
    ray_auth_token: str | None = None
    """Token for Ray's dashboard, if the cluster asks for one."""
    mlflow_tracking_uri: str | None = Field(default=None, validation_alias="MLFLOW_TRACKING_URI")
    """MLflow server; without it nothing is tracked and all rows wait in the store."""
    api_token: str | None = None
    """Token that every request must carry; required when the API listens beyond loopback."""
    max_driver_attempts: int = 5
    """How often a driver that died is started again."""
    heartbeat_timeout_seconds: float = 60.0
    """A driver that has not been heard of for so long is taken for dead."""

    @property
    def effective_database_url(self) -> str:
        """The database to open."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'sigmalab.db'}"

    @property
    def effective_storage(self) -> Path:
        """The folder that holds one subfolder per trial identity."""
        return self.storage or self.home.absolute() / "trials"
