"""What can go wrong between `sigmalab serve` and three healthy servers.

StackError
|- AlreadyRunningError   another stack uses this state folder; carries its URL
|- ServerFailedError     a server ended, or did not become healthy; carries the end of its log
   |- PortTakenError     another program was faster; other ports will do
"""


class StackError(Exception):
    """The local stack can't start or go on."""


class AlreadyRunningError(StackError):
    """Another stack uses this state folder."""

    def __init__(self, url: str | None, pid: int | None) -> None:
        self.url = url
        where = f"at {url}" if url else "(still starting)"
        whose = f", process {pid}" if pid else ""
        super().__init__(
            f"sigmalab is already running here {where}{whose}; stop it first, or set another SIGMALAB_HOME"
        )


class ServerFailedError(StackError):
    """A server ended, or did not become healthy in time."""

    def __init__(self, name: str, what: str, log: str, log_end: str) -> None:
        self.name = name
        super().__init__(f"{name} {what}\nThe end of {log}:\n{log_end or '(the log is empty)'}")


class PortTakenError(ServerFailedError):
    """Another program has taken a port between its choice and its use."""
