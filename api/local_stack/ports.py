"""Free ports on loopback."""

import socket

_PORTS_TO_TRY = 20


def free_port(preferred: int | None, *, taken: frozenset[int] = frozenset()) -> int:
    """A port of 127.0.0.1 that nobody listens on: the preferred one, one of the next few, or any.

    Args:
        preferred: the port to try first (`None`: any).
        taken: ports that are promised to somebody who does not listen yet.
    """
    if preferred is not None:
        for port in range(preferred, min(preferred + _PORTS_TO_TRY, 65536)):
            if port not in taken and _is_free(port):
                return port
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def listen(host: str, preferred: int, *, must: bool) -> socket.socket:
    """A listening socket on the preferred port, or on one of the next few.

    Args:
        host: address to bind.
        preferred: the port to try first; 0 takes any.
        must: whether another port won't do.

    Raises:
        OSError: no port of the range is free, or `host` is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last = preferred if must or preferred == 0 else min(preferred + _PORTS_TO_TRY, 65535)
    for port in range(preferred, last + 1):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(128)
        except OSError:
            listener.close()
            if port == last:
                raise
        else:
            return listener
    raise AssertionError("the loop returns or raises")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
