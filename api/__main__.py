"""The API process: `python -m api [--host H] [--port P]`, or `--fd N` for a socket that a parent listens on."""

import argparse
import logging
import os
import socket

import uvicorn
from uvicorn.config import LOGGING_CONFIG

from api.app import create_app
from api.listening import may_listen, refusal
from orchestrator.logs import configure
from orchestrator.settings import WrongSettingsError, settings_here
from trainers.program import run_program

# Long enough for an answer that is being written; event streams are cut and reconnect elsewhere.
_GRACE_SECONDS = 3


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m api", description="Serve the HTTP interface.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at")
    parser.add_argument("--fd", type=int, help="descriptor of a listening socket, instead of host and port")
    arguments = parser.parse_args()
    try:
        settings = settings_here()
    except WrongSettingsError as error:
        parser.exit(2, f"{error}\n")
    configure(settings.log_format, level=logging.INFO, text_format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "alembic.runtime.plugins"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    os.umask(settings.umask)
    listener = socket.socket(fileno=arguments.fd) if arguments.fd is not None else None
    host = listener.getsockname()[0] if listener else arguments.host
    if not may_listen(host, settings.api_token):
        parser.exit(2, f"{refusal(host)}\n")
    config = uvicorn.Config(
        create_app(settings),
        host=arguments.host,
        port=arguments.port,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        server_header=False,
        # As all else is logged, one object a line; for people its own words are the usual ones.
        log_config=None if settings.log_format == "json" else LOGGING_CONFIG,
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listener] if listener else None)
    return 0 if server.started else 1


if __name__ == "__main__":
    run_program(main)
