"""Which split a folder's name speaks of."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

SplitName = Literal["train", "val", "test"]

_SPLIT_OF_WORD: dict[str, SplitName] = {
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "valset", "dev", "eval", "evaluation"), "val"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}
_SPLIT_OF_HINT: dict[str, SplitName] = _SPLIT_OF_WORD | {"trainval": "train"}
_FILLERS = frozenset({"set", "data", "dataset", "split", "image", "images", "imgs"})


class _Hint(NamedTuple):
    """A name with a split's word in it."""

    split: SplitName
    rest: tuple[str, ...]
    """Its other words."""


def split_named(folder_name: str) -> SplitName | None:
    """The split that a folder's name speaks of: `Train`, `training_set`, `val2017`, `dev`, ... (`None`: of none)."""
    words = [word for word in _words(folder_name.casefold()) if word not in _FILLERS]
    return _SPLIT_OF_WORD.get(words[0]) if len(words) == 1 else None


def splits_among(names: Sequence[str]) -> dict[str, str]:
    """Of folders side by side, those that must be splits of one set, and what each should be called.

    `pets_train` and `pets_test`, or `trainA` and `testA`: they speak of different splits, and their other words are
    the same, or no folder lies beside them that speaks of none. So `bullet_train` and `test_tube` may be classes
    among others.
    """
    hints = {name: hint for name in names if (hint := _hint(name)) is not None}
    splits_of_rest: dict[tuple[str, ...], set[SplitName]] = defaultdict(set)
    for hint in hints.values():
        splits_of_rest[_folded(hint.rest)].add(hint.split)
    if len(hints) < len(names):
        hints = {name: hint for name, hint in hints.items() if len(splits_of_rest[_folded(hint.rest)]) > 1}
    num_of_split = Counter(hint.split for hint in hints.values())
    if len(num_of_split) < 2:
        return {}
    return {
        # Two sets, each with its splits: of `trainA` and `trainB`, A and B are the classes.
        name: f"{split}/{'_'.join(rest)}" if num_of_split[split] > 1 and rest else split
        for name, (split, rest) in hints.items()
    }


def _hint(name: str) -> _Hint | None:
    """The first word counts: what is for training and validation is not for test."""
    # A new word begins where small letters end, too.
    words = [word for word in _words(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)) if word.casefold() not in _FILLERS]
    splits = [_SPLIT_OF_HINT[word.casefold()] for word in words if word.casefold() in _SPLIT_OF_HINT]
    rest = tuple(word for word in words if word.casefold() not in _SPLIT_OF_HINT)
    return _Hint(splits[0], rest) if splits else None


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text)


def _folded(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.casefold() for word in words)
