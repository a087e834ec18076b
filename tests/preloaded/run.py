"""Stands in for a program: its run happens in a copy of the server at the given socket, with all that this process has.

Signals are handed on; the run's end is this process' end, by the same exit code or signal; killed, it takes the run
along. Imports next to nothing: that is its point.
"""

import marshal
import os
import signal
import socket
import sys


def main(address: str, arguments: list[str]) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.connect(address)
    request = marshal.dumps((arguments, os.getcwd(), dict(os.environ)))  # noqa: PTH109 (pathlib takes long)
    # Standard streams that are closed stay closed.
    given = [number for number in (0, 1, 2) if is_open(number)]
    socket.send_fds(server, [len(request).to_bytes(8, "big")], given)
    server.sendall(bytes([len(given), *given]) + request)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: server.send(bytes([number])))
    answer = server.recv(4)
    if len(answer) < 4:
        sys.exit("the server of preloaded programs has ended")
    code = int.from_bytes(answer, "big", signed=True)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
