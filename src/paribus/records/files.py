"""Files that stand whole or not at all, in folders that somebody else may have filled."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLLOWS_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new, empty file beside a path; when the block ends, it takes the path's place.

    Its name cannot be guessed and it is made anew, so that no link in a folder that was received leads what is written
    elsewhere; a link that stands at the path itself is replaced, not followed. Raises OSError where it cannot be made.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "a.txt") as part:
    ...         _ = part.write_text("whole")
    ...     [(one.name, one.read_text()) for one in Path(folder).iterdir()]
    [('a.txt', 'whole')]
    """
    part = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}.part")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _FOLLOWS_NO_LINK, 0o666))
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def remove_parts(folder: Path) -> None:
    """Remove what a process that was killed has left of `replacing` in a folder, where nobody else writes now; what an
    older version left too, which began with no dot."""
    for part in folder.glob("*.part"):
        part.unlink(missing_ok=True)


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a path in a folder leads out of it, by a link or by `..`.

    >>> leads_out(Path("s/events/a"), Path("s")), leads_out(Path("s/../a"), Path("s"))
    (False, True)
    """
    return not path.resolve().is_relative_to(folder.resolve())
