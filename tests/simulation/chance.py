"""What goes wrong in a schedule, when and how often: all of it follows from the seed.

Each schedule has a few kinds of faults only, and others at none or full rate: schedules with everything at once reach
less than those with little of it ("swarm testing", Groce et al., ISSTA 2012).
"""

import random
from dataclasses import dataclass, field

KINDS = (
    "crash",
    "power",
    "stop",
    "database",
    "ray",
    "head",
    "mlflow",
    "disk",
    "node",
    "clock",
    "slow",
    "terminate",
    "user",
    "sleep",
)
"""`crash`: between two effects; `power`: of all processes at once; `stop`: SIGSTOP and SIGCONT; `database`, `ray`,
`mlflow`: no answer, or one that is lost after the effect, or a request twice or late; `head`: Ray's head restarts;
`disk`: full, or fsync fails; `node`: one is sick; `clock`: the database's jumps, and hosts differ; `slow`: starts take
minutes; `terminate`: drivers are told to end; `user`: cancels and resumes; `sleep`: everything stands still."""


@dataclass
class Chance:
    """Draws for one schedule."""

    seed: int
    is_calm: bool = False
    """Whether nothing goes wrong any more."""
    kinds: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        draw = random.Random(f"kinds {self.seed}")
        share = draw.choice((0.15, 0.35, 0.6))
        self.kinds = frozenset(kind for kind in KINDS if draw.random() < share)
        self._draw = random.Random(f"faults {self.seed}")
        self._rate = draw.choice((0.01, 0.03, 0.08))
        self._planned: dict[tuple[str, str], int] = {}
        self._met: dict[tuple[str, str], int] = {}

    def has(self, kind: str) -> bool:
        return kind in self.kinds and not self.is_calm

    def happens(self, kind: str, weight: float = 1.0) -> bool:
        """Whether a fault of this kind happens here."""
        return self.has(kind) and self._draw.random() < self._rate * weight

    def crashes_at(self, site: str, when: str) -> bool:
        """Whether a process dies here: places that are seldom met as likely as those that are met all the time."""
        if not self.has("crash"):
            return False
        key = (site, when)
        if key not in self._planned:
            draw = random.Random(f"{self.seed} {site} {when}")
            self._planned[key] = draw.choice((1, 1, 2, 3, 7)) if draw.random() < 0.04 else 0
        self._met[key] = self._met.get(key, 0) + 1
        return self._met[key] == self._planned[key]

    def seconds(self, low: float, high: float) -> float:
        return self._draw.uniform(low, high)

    def choice(self, *values: object) -> object:
        return self._draw.choice(values)
