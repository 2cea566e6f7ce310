"""Drops root privileges in a container, after the volume was handed over to the ordinary user."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Set by the image, never by people: whom root becomes, and which folder that user needs.
USER = "COMPOZY_RUN_AS"
FOLDER = "COMPOZY_HAND_OVER"
_FAILED = 2


def drop_privileges() -> None:
    """Hand the folder over and become the user that the image names; nothing where this is not root, or no image.

    A folder that belongs to that user already is not looked through again: commands and health checks begin here too.
    """
    user, folder = os.environ.get(USER), os.environ.get(FOLDER)
    if not user or os.getuid() != 0:
        return
    number = int(user)
    try:
        if folder:
            _hand_over(Path(folder), number)
        os.setgroups([])
        os.setgid(number)
        os.setuid(number)
    except OSError as error:
        sys.stderr.write(
            f"Error: cannot become user {number} and hand {folder} over: {error.strerror}\n"
            f"  start the container as that user: --user {number}, with a folder that is theirs\n"
        )
        sys.exit(_FAILED)


def _hand_over(folder: Path, user: int) -> None:
    if folder.stat().st_uid == user:
        return
    for root, folders, files in os.walk(folder, followlinks=False):
        for name in (*folders, *files):
            # A link is handed over itself, never what it leads to.
            os.lchown(f"{root}/{name}", user, user)
    # The last one: were this cut, it would be done again.
    os.chown(folder, user, user)
