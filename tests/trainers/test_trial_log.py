"""What a trial puts out is in its folder, whoever writes it and however it ends."""

import logging
import os
import signal
import subprocess
import sys

import pytest

from trainers.trial_log import LOG, kept_output, shorten


def test_everything_is_kept_in_the_order_in_which_it_came(tmp_path, capfd):
    with kept_output(tmp_path / "trial"):
        print("printed café \udce9")
        logging.getLogger("trainers.training.trial").info("news")
        logging.getLogger("somebody").warning("a warning")
        os.write(2, b"written by C++\n")
        subprocess.run([sys.executable, "-c", "print('written by a child')"], check=True)
    print("after")
    lines = (tmp_path / "trial" / LOG).read_text().splitlines()
    assert "begins" in lines[0]
    assert lines[1:-1] == [
        "printed café \\udce9",
        "INFO trainers.training.trial: news",
        "WARNING somebody: a warning",
        "written by C++",
        "written by a child",
    ]
    assert "ends" in lines[-1]
    assert capfd.readouterr().out == "after\n"


def test_a_second_execution_writes_after_the_first_and_an_error_is_kept(tmp_path):
    with kept_output(tmp_path):
        print("first")
    with pytest.raises(ValueError, match="broken"), kept_output(tmp_path):
        raise ValueError("broken")
    text = (tmp_path / LOG).read_text()
    assert text.index("first") < text.index("ValueError: broken")
    assert text.count("begins") == text.count("ends") == 2


def test_a_killed_process_leaves_all_that_it_has_written(tmp_path):
    program = (
        "import os, pathlib, signal, warnings\n"
        "from trainers.trial_log import kept_output\n"
        f"with kept_output(pathlib.Path({str(tmp_path)!r})):\n"
        "    warnings.warn('too slow')\n"
        "    print('the last words')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    text = (tmp_path / LOG).read_text()
    assert "UserWarning: too slow" in text
    assert text.endswith("the last words\n")


def test_a_long_log_keeps_its_newer_half(tmp_path):
    (tmp_path / "log").write_text("".join(f"line {number:04}\n" for number in range(1000)))
    file = os.open(tmp_path / "log", os.O_RDWR | os.O_APPEND)
    shorten(file, most_bytes=2000)
    os.write(file, b"line 1000\n")
    os.close(file)
    first, *lines = (tmp_path / "log").read_text().splitlines()
    assert lines == [f"line {number:04}" for number in range(901, 1001)]
    assert first == "== 9010 bytes before this line were too many to keep"


def test_without_a_folder_nothing_changes(capfd):
    with kept_output(None):
        print("as before")
    assert capfd.readouterr().out == "as before\n"
