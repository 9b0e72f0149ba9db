"""Foreign text made into one printable line: what the cloud or a stranger says. Pure."""

from __future__ import annotations


def one_line(text: object, most: int) -> str:
    """Its first `most` characters; what cannot be seen (an escape, a line's end) is `?`."""
    shown = str(text)[: most + 1]
    line = "".join(one if one.isprintable() else "?" for one in shown[:most])
    return line + "…" if len(shown) > most else line
