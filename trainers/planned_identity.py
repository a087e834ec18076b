"""What a trial was planned as: whoever trains it has the same code and data, or refuses.

The identity is made twice, by the service and by the worker. A node with another checkout, or a checkout that changed
while an experiment runs, would else put its numbers under the name of other code.
"""

from trainers.errors import DataError, OtherVersionError
from trainers.strict import StrictModel


class PlannedIdentity(StrictModel):
    """The trial that was asked for."""

    trial: str
    """See `trainers.config.trial_identity`."""
    code: str | None
    """See `trainers.version.used_code` (`None`: planned by a version that did not keep it)."""

    def require(self, *, trial: str, code: str, data: str) -> None:
        """Refuse to take another trial for this one.

        Args:
            trial: what it is where it is trained.
            code: there.
            data: their fingerprint there.

        Raises:
            OtherVersionError: the code is another.
            DataError: the data are others.
        """
        if trial == self.trial:
            return
        if code == self.code:
            raise DataError(
                f"the data here (fingerprint {data}) are not those that trial {self.trial} was planned with: every "
                "node must see the same data as the service"
            )
        raise OtherVersionError(
            f"the code here (version {code}) is not that which trial {self.trial} was planned with (version "
            f"{self.code or 'unknown'}): install the same sigmalab and libraries for the service and on every node, "
            "and change none while an experiment runs"
        )
