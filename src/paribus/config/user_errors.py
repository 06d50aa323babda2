"""What the user's own code may raise, and how it is told."""

from __future__ import annotations

RAISED = (Exception, SystemExit, GeneratorExit)
"""Ctrl-C apart, which is the user's. A module that calls `sys.exit` ends its run, not the study."""


def told(error: BaseException) -> str:
    """The error's class and text, in one line.

    >>> told(ValueError("no")), told(SystemExit(3)), told(KeyError())
    ('ValueError: no', 'SystemExit: 3', 'KeyError:')
    """
    name = type(error).__name__
    try:
        text = " ".join(f"{name}: {error}".split())
        return text.encode("utf-8", "backslashreplace").decode()
    except RAISED:  # its own text raises
        return f"{name}, whose text cannot be had"
