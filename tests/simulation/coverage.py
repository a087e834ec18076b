"""What schedules have reached, over all of them: a simulation that reaches nothing finds nothing."""

from collections import Counter
from dataclasses import dataclass, field

from orchestrator.status import ALLOWED_MOVES

SOMETIMES = (
    "a stale attempt's write was refused",
    "a driver was stopped for its silence",
    "a driver woke up after its replacement had begun",
    "a head's restart lost a job",
    "an attempt was never heard of",
    "attempts in vain were too many, and the experiment failed",
    "an experiment was resumed",
    "a cancel was asked for while a driver started",
    "a cancel was asked for while a driver ran",
    "a trial waited for another experiment's",
    "a trial's training was taken over from another experiment",
    "a trial was lost and tried again",
    "a trial went on from its checkpoint",
    "a trial was lost too often",
    "a finished trial's result was found by the next execution",
    "an epoch was reported twice",
    "a result brought epochs that nobody had reported",
    "a node was avoided",
    "trials waited for the storage",
    "an fsync failed",
    "the leader changed while the old one lived",
    "the shipper changed while the old one lived",
    "a tracker's run was made twice and one discarded",
    "a point was sent twice",
    "a commit's answer was lost",
    "a submission's answer was lost",
    "a submission came late",
    "a stop came late",
    "the database's clock was set back",
    "the database's clock was set forward",
    "all processes died at once",
    "everything stood still",
    "a driver left when it was told to",
)


@dataclass
class Coverage:
    """Counts."""

    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    effects: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(place, before or after) of each effect of a process."""
    crashes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Those where a process died."""
    reached: Counter[str] = field(default_factory=Counter)

    def sometimes(self, what: str) -> None:
        assert what in SOMETIMES, what
        self.reached[what] += 1

    def add(self, other: "Coverage") -> None:
        for name in ("moves", "effects", "crashes", "reached"):
            getattr(self, name).update(getattr(other, name))

    @property
    def missed_moves(self) -> list[str]:
        allowed = {(str(before), str(after)) for before, afters in ALLOWED_MOVES.items() for after in afters}
        return sorted(f"{before} -> {after}" for before, after in allowed - self.moves.keys())

    @property
    def missed_crashes(self) -> list[str]:
        return sorted(f"{when} {place}" for place, when in self.effects.keys() - self.crashes.keys())

    @property
    def missed_sometimes(self) -> list[str]:
        return [what for what in SOMETIMES if not self.reached[what]]

    def lines(self) -> list[str]:
        num_moves = sum(len(afters) for afters in ALLOWED_MOVES.values())
        told = [
            f"moves of status: {num_moves - len(self.missed_moves)} of {num_moves}",
            f"crash points: {len(self.effects) - len(self.missed_crashes)} of {len(self.effects)}",
            f"sometimes: {len(SOMETIMES) - len(self.missed_sometimes)} of {len(SOMETIMES)}",
        ]
        for missed in (self.missed_moves, self.missed_crashes, self.missed_sometimes):
            told += [f"  not reached: {what}" for what in missed]
        return told
