"""Examples of docstrings as code on the site: griffe's extension (mkdocs.yml, `extensions`).

A paragraph that begins with `>>>` ends at the next empty line; Markdown would make a quotation of it.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


class Doctests(griffe.Extension):
    """Puts fences around the examples of every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each object that is read."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """The text with fences around its examples.

    >>> print(fenced("One.\\n\\n>>> 1 + 1\\n2\\n\\nTwo."))
    One.
    <BLANKLINE>
    ```pycon
    >>> 1 + 1
    2
    ```
    <BLANKLINE>
    Two.
    """
    return re.sub(r"^>>> .*(?:\n.+)*", lambda found: f"```pycon\n{found.group()}\n```", text, flags=re.MULTILINE)
