"""How far a long piece of work is, on one line of a terminal."""

import time
from typing import Self, TextIO

REDRAW_SECONDS = 0.2
NUM_LINES = 10
"""Where the output is not a terminal (a log file): so many lines altogether."""


class Progress:
    """Counts what is done and says so on a stream; use as a context."""

    def __init__(self, work: str, total: int, stream: TextIO) -> None:
        """Draw nothing yet.

        Args:
            work: what is counted, such as `images checked`.
            total: how many there are.
            stream: where to write.
        """
        self._work, self._total, self._stream = work, total, stream
        self._is_terminal = stream.isatty()
        self._done, self._num_lines = 0, 0
        self._start = self._drawn = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the line where it is being redrawn."""
        if self._is_terminal and self._done:
            self._stream.write("\n")

    def advance(self, number: int) -> None:
        """So many more are done."""
        self._done += number
        now = time.monotonic()
        is_end = self._done == self._total
        if self._is_terminal:
            is_due = is_end or now - self._drawn >= REDRAW_SECONDS
        else:
            is_due = self._done * NUM_LINES // self._total > self._num_lines
        if not is_due:
            return
        self._drawn, self._num_lines = now, self._done * NUM_LINES // self._total
        self._stream.write(f"\r{self.line(now)}\x1b[K" if self._is_terminal else f"{self.line(now)}\n")
        self._stream.flush()

    def line(self, now: float) -> str:
        """Done, total, share, rate, what remains."""
        rate = self._done / max(now - self._start, 1e-9)
        text = f"{self._work} {self._done:,} of {self._total:,}  {100 * self._done / self._total:3.0f} %  {rate:,.0f}/s"
        return text if self._done == self._total else f"{text}  {_duration((self._total - self._done) / rate)} left"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
