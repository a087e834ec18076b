"""What processes that run a user's own code are given of this one's environment."""

import os


def environment_of_own_code() -> dict[str, str]:
    """All of it but settings of the service (`SIGMALAB_...`), some of which are secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SIGMALAB_")}
