"""The line that says why: of logs as servers write them."""

from pathlib import Path

import pytest

from api.local_stack.causes import RaySessions, last_words

DASHBOARD = """\
2026-11-26 18:50:29,945\tERROR module.py:234 -- Error creating module MetricsHead
Traceback (most recent call last):
  File "ray/_private/utils.py", line 1760, in validate_socket_filepath
    raise OSError(
OSError: validate_socket_filename failed: AF_UNIX path length cannot exceed 107 bytes: /tmp/x/dash_MetricsHead
"""
GCS = """\
[2026-11-26 18:52:36,015 I 10393 10393] (gcs_server) gcs_server_main.cc:98: Ray cluster metadata ray_version=2.60.0
[2026-11-26 18:52:36,118 C 10393 10393] (gcs_server) gcs_server.cc:951: Unsupported GCS storage type: nonsense
*** StackTrace Information ***
/usr/lib/ray/gcs_server(+0x14c3daa) [0x557f6e81fdaa] ray::operator<<()
"""
PREAMBLE = "An unexpected system state has occurred. You have likely discovered a bug in Ray. Check failed: "
GCS_CAUSE = "Unsupported GCS storage type: nonsense"


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ""),
        ("2026-11-26 18:46:35,623\tINFO scripts.py:1088 -- Next steps\n--------\n\n", ""),
        ("INFO: one\nno such file: mlflow.db\nINFO: two\n", "no such file: mlflow.db"),
        (f"{DASHBOARD}\nreal 0m1 s", DASHBOARD.splitlines()[-1]),
        ("Traceback:\n    assert x\n    ^^^^^^^^\nAssertionError\n", "AssertionError"),
        ("sqlite3.DatabaseError: not a database\n(Background on this)", "sqlite3.DatabaseError: not a database"),
    ],
)  # fmt: skip
def test_the_line_that_says_most(log: str, words: str) -> None:
    assert last_words(log) == words


def write_log(folder: Path, session: str, name: str, text: str) -> None:
    logs = folder / session / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / name).write_text(text)


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("dashboard_MetricsHead.log", DASHBOARD, DASHBOARD.splitlines()[-1]),
        ("gcs_server.out", GCS, GCS_CAUSE),
        ("gcs_server.out", GCS.replace(" C ", " W "), ""),
        ("raylet.out", GCS.replace("Unsupported", f"{PREAMBLE}status3.has_value() Unsupported"), GCS_CAUSE),
        ("raylet.out", GCS.replace("Unsupported", f"{PREAMBLE}server_ Unsupported"), GCS_CAUSE),
        ("dashboard_MetricsHead.log", DASHBOARD.replace("Error creating", "Created"), ""),
    ],
)
def test_what_a_part_of_ray_says(tmp_path: Path, name: str, text: str, cause: str) -> None:
    sessions = RaySessions(tmp_path)
    assert sessions.fatal() == ""
    write_log(tmp_path, "session_2026-11-26_1", name, text)
    assert sessions.fatal() == cause


def test_an_earlier_start_says_nothing_of_this_one(tmp_path: Path) -> None:
    write_log(tmp_path, "session_2026-11-26_1", "gcs_server.out", GCS)
    tmp_path.joinpath("session_latest").symlink_to("session_2026-11-26_1")
    sessions = RaySessions(tmp_path)
    assert sessions.fatal() == ""
    write_log(tmp_path, "session_2026-11-26_2", "raylet.out", GCS.replace("nonsense", "other"))
    assert sessions.fatal() == "Unsupported GCS storage type: other"


def test_the_logs_of_the_newest_session_are_kept(tmp_path: Path) -> None:
    sessions = RaySessions(tmp_path / "ray")
    kept = tmp_path / "kept"
    sessions.keep(kept)
    assert not kept.exists()
    for number in (1, 2):
        write_log(tmp_path / "ray", f"session_2026-11-26_{number}", f"{number}.log", "x")
    sessions.keep(kept)
    assert [log.name for log in kept.iterdir()] == ["2.log"]
