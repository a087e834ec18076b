"""The deployment's environment: where state lives and which servers to talk to."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from orchestrator.addresses import without_password
from orchestrator.logs import LogFormat
from orchestrator.private_folder import UMASK
from orchestrator.secret_files import SECRETS_VARIABLE, folder_for, is_secret, write_secrets
from orchestrator.spec.complaints import suggestion
from orchestrator.state_folder import state_folder
from orchestrator.tracking.trackers import TRACKERS
from trainers.fence import Fence
from trainers.user_path import user_home, user_path

UserPath = Annotated[Path, AfterValidator(lambda path: user_path(str(path), None))]
"""A path in which `~` is the home of this process's user: no shell has replaced it in a file of variables."""


def _octal(written: object) -> object:
    """A mask as chmod and systemd write it."""
    if not isinstance(written, str):
        return written
    try:
        return int(written, 8)
    except ValueError:
        raise ValueError(f"{written!r} is not a mask in octal digits, such as 077 or 027") from None


def _readable_folder(path: Path) -> Path:
    try:
        with os.scandir(path):
            return path
    except OSError as error:
        raise ValueError(
            f"the folder of secrets {path} can't be read: {error.strerror}; it must be there, for this user, on every "
            "machine that runs a driver"
        ) from None


def _folders(written: object) -> object:
    """Folders as PATH lists them."""
    if not isinstance(written, str):
        return written
    return tuple(user_path(part, None).absolute() for part in written.split(os.pathsep) if part)


def tracker_names(written: str) -> tuple[str, ...]:
    """Names with commas between.

    Raises:
        ValueError: one of them is not a tracker.
    """
    names = tuple(dict.fromkeys(name.strip() for name in written.split(",") if name.strip()))
    for name in names:
        if name not in TRACKERS:
            raise ValueError(f"there is not a tracker `{name}`{suggestion(name, TRACKERS)}")
    return names


def _trackers(written: object) -> object:
    return tracker_names(written) if isinstance(written, str) else written


DataRoots = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_folders)]
TrackerNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_trackers)]
Umask = Annotated[int, BeforeValidator(_octal), Field(ge=0, le=0o077)]


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
    data_roots: DataRoots | None = None
    """Folders that data sets and weights must lie in, links followed, separated by `:`. Without it the service reads
    below its user's home, `data_root` and the trials' storage; commands that run in a terminal read anything."""
    allow_code: DataRoots = ()
    """Folders, separated by `:`, that code of the users' own may lie in: with `code`, or named as an object of an
    installed package. Whoever may reach the service then runs what they like as its user, and that of the cluster.
    Without it the service runs none; commands that run in a terminal run any."""
    data_max_entries: int = Field(default=10_000_000, ge=1)
    """At most this many entries of folders are looked at for one request."""
    data_max_seconds: float = Field(default=600.0, gt=0)
    """At most this long the service reads data for one request."""
    checkpoint_minutes: float = Field(default=5.0, ge=0, allow_inf_nan=False)
    """How often a trial saves its state, and so what the loss of its process costs at most."""
    ray_dashboard_url: str = "http://127.0.0.1:8265"
    """Ray's dashboard (Jobs API), used by the service."""
    ray_auth_token: str | None = None
    """Token for Ray's dashboard, if the cluster asks for one."""
    trackers: TrackerNames = ("mlflow",)
    """Where curves are sent for people to look at, names with commas between; what one lacks waits in the store."""
    mlflow_tracking_uri: str | None = Field(default=None, validation_alias="MLFLOW_TRACKING_URI")
    """MLflow server; without it MLflow gets nothing, and all rows wait in the store."""
    mlflow_public_url: str | None = None
    """MLflow as people's browsers reach it, for links (without it MLFLOW_TRACKING_URI, which may be known to the
    servers only: 127.0.0.1, a name inside a cluster)."""
    tensorboard_dir: UserPath | None = None
    """Folder of TensorBoard's event files, the same one for the service and its drivers; without it
    `<home>/tensorboard`."""
    ray_public_url: str | None = None
    """Ray's dashboard as people's browsers reach it, for links (without it `ray_dashboard_url`)."""
    secrets_dir: Annotated[UserPath, AfterValidator(_readable_folder)] | None = None
    """Folder with one file for each setting that is a secret, named like its variable (`SIGMALAB_DATABASE_URL`), as
    Docker and Kubernetes lay secrets out; what the environment says itself goes first."""
    umask: Umask = UMASK
    """What servers, drivers and trials keep from others in files that they make, in octal: 077 (all) or, where a group
    shall read them, 027."""
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
    """When this many trials in a row fail with the same error, their experiment is stopped: the others would fail,
    too."""
    max_concurrent_experiments: int = Field(default=4, ge=1)
    """At most this many drivers run at the same time; further experiments wait in the queue."""
    cancel_grace_seconds: float = Field(default=20.0, ge=0)
    """How long a driver may take to end by itself after a cancel, before its job is stopped."""
    reconcile_interval_seconds: float = Field(default=1.0, gt=0)
    """Pause between two rounds of the reconciler, which starts and ends drivers."""
    report_processes: int = Field(default=1, ge=0)
    """Processes that build reports beside the API's own, each some 550 MB from the first report on, and one more for
    single images once a pair's page is looked at (0: none; a large report then keeps all other requests waiting)."""
    trial_silence_hours: float = Field(default=24.0, gt=0)
    """How long a trial may train without ending an epoch before it is taken for hung, ended, and tried again."""
    log_format: LogFormat = "text"
    """Lines of the logs of service and drivers: `text` for people, `json` for what collects them (one object a line,
    with the ids of experiment, attempt and trial)."""
    retention_days: float = Field(default=90.0, gt=0)
    """How long after an experiment's end the values of single epochs (that the trackers have) and the events of single
    trials stay in the database; results, statuses and ends stay."""
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
    def effective_tensorboard_dir(self) -> Path:
        """The folder that holds one subfolder per experiment."""
        return (self.tensorboard_dir or self.home / "tensorboard").absolute()

    @property
    def effective_data_root(self) -> Path:
        """Where relative data set paths start; absolute, because the driver runs in another folder."""
        return (self.data_root or Path.cwd()).absolute()

    @property
    def service_data_roots(self) -> tuple[Path, ...]:
        """Folders that the service, and the drivers that it starts, may read for whoever asks."""
        if self.data_roots is not None:
            return self.data_roots
        home = user_home()
        usual = (*(() if home is None else (home.absolute(),)), self.effective_data_root, self.effective_storage)
        # A service that was started in `/`, or whose user has it for a home, means no folder by it.
        return tuple(dict.fromkeys(path for path in usual if path != path.parent))

    def service_fence(self, is_cancelled: Callable[[], bool]) -> Fence:
        """What the service may read for one request."""
        return Fence(
            self.service_data_roots,
            max_entries=self.data_max_entries,
            max_seconds=self.data_max_seconds,
            is_cancelled=is_cancelled,
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, then the folder of secrets that it names."""
        folder = os.environ.get(SECRETS_VARIABLE)
        # One that is not there is complained of as the field that it is.
        given = folder and user_path(folder, None)
        if not given or not given.is_dir():
            return init_settings, env_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=given)

    @property
    def _driver_secrets(self) -> dict[str, str]:
        """What a driver needs and nobody else may read: variable -> value."""
        addresses = {"SIGMALAB_DATABASE_URL": self.effective_database_url}
        if self.mlflow_tracking_uri is not None:
            addresses["MLFLOW_TRACKING_URI"] = self.mlflow_tracking_uri
        return {name: url for name, url in addresses.items() if is_secret(url)}

    def write_driver_secrets(self) -> None:
        """Put what `driver_environment` leaves out where the driver reads it; nothing, if that is nothing.

        Raises:
            OSError: the storage can't be written.
        """
        if self._driver_secrets:
            write_secrets(folder_for(self.effective_storage, self._driver_secrets), self._driver_secrets)

    def driver_environment(self) -> dict[str, str]:
        """Environment variables that give a driver in another process the same settings.

        Whoever may ask Ray for its jobs may read them. So they are without the tokens of the API and of Ray's
        dashboard, which a driver does not need, and without any password: these are in files (`write_driver_secrets`).
        """
        environment = {
            "SIGMALAB_HOME": str(self.home.absolute()),
            "SIGMALAB_DATABASE_URL": self.effective_database_url,
            "SIGMALAB_UMASK": f"{self.umask:03o}",
            "SIGMALAB_STORAGE": str(self.effective_storage),
            "SIGMALAB_DATA_ROOT": str(self.effective_data_root),
            "SIGMALAB_DATA_ROOTS": os.pathsep.join(map(str, self.service_data_roots)),
            "SIGMALAB_CHECKPOINT_MINUTES": str(self.checkpoint_minutes),
            "SIGMALAB_HEARTBEAT_TIMEOUT_SECONDS": str(self.heartbeat_timeout_seconds),
            "SIGMALAB_TRIAL_SILENCE_HOURS": str(self.trial_silence_hours),
            "SIGMALAB_MAX_EQUAL_FAILURES": str(self.max_equal_failures),
            "SIGMALAB_LOG_FORMAT": self.log_format,
            "SIGMALAB_TRACKERS": ",".join(self.trackers),
            "SIGMALAB_TENSORBOARD_DIR": str(self.effective_tensorboard_dir),
        }
        if self.mlflow_tracking_uri is not None:
            environment["MLFLOW_TRACKING_URI"] = self.mlflow_tracking_uri
        if self.mlflow_public_url is not None:
            environment["SIGMALAB_MLFLOW_PUBLIC_URL"] = without_password(self.mlflow_public_url)
        if self._driver_secrets:
            environment[SECRETS_VARIABLE] = str(folder_for(self.effective_storage, self._driver_secrets))
        return {name: value for name, value in environment.items() if name not in self._driver_secrets}


class WrongSettingsError(ValueError):
    """The environment has a setting that can't be used.

    Attributes:
        problems: variable, as it was set, and what was wrong with it.
    """

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"{variable}: {message}" for variable, message in problems))


def settings_here() -> Settings:
    """The settings of this process's environment.

    Raises:
        WrongSettingsError: with every variable that can't be used.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise WrongSettingsError([_told(each) for each in error.errors(include_url=False)]) from None


def _told(each: ErrorDetails) -> tuple[str, str]:
    field = str(each["loc"][0]) if each["loc"] else "*"
    # A variable with a name of its own is called by it.
    variable = field if field.isupper() else f"SIGMALAB_{field.upper()}"
    return f"{variable}={each['input']}", each["msg"].removeprefix("Value error, ")
