"""Numbers of things in sentences that people read."""


def counted(number: float, one: str, many: str | None = None) -> str:
    """The number with its noun: `1 image`, `1,200 images`, `0.5 CPUs`.

    Args:
        number: whole or not.
        one: the noun of one.
        many: that of others, if it is not `one` with an s.
    """
    text = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{text} {one if number == 1 else many or one + 's'}"
