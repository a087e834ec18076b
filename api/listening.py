"""Where the service may be reached: beyond this machine only with a token."""

from orchestrator.loopback import is_loopback


def may_listen(host: str, token: str | None) -> bool:
    """Whether the service may be reached at this address: beyond loopback only with a token."""
    return bool(token) or is_loopback(host)


def refusal(host: str) -> str:
    """Why the service does not listen at this address."""
    return (
        f"refusing to listen at {host}, which other machines can reach, without a token: "
        "set SIGMALAB_API_TOKEN to a long random text, or listen at 127.0.0.1"
    )
