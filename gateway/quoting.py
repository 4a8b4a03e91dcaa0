"""What somebody else has written, as part of one line of text: it cannot break the line, forge another or fill it."""

from typing import Final

BITS_MAX: Final = 64
"""Of an integer that is shown as it is."""


def shown(value: object) -> str:
    """Return a value for a line of text: one line, not a long one, whatever it is."""
    if isinstance(value, int) and value.bit_length() > BITS_MAX:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, dict):
        text = ", ".join(f"{shown(name)}: {shown(one)}" for name, one in value.items())
        return f"{{{line(text)}}}"
    if not isinstance(value, (bool, int, float, str)):
        return f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def line(text: str) -> str:
    """Return one line of a text that may quote what somebody else has written."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:500])
