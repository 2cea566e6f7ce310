"""Notes about files that changed since a server read them."""

from __future__ import annotations

import os

from compozy.cli.find import Found, Search, current_folder
from compozy.cli.output import print_note
from compozy.errors import CompozyError


def note_changed_files(found: Found, search: Search) -> None:
    """Report changed files of the server's project, with their errors if they have any."""
    if search.quiet or not found.project.get("files_changed"):
        return
    url = found.client.url
    if (error := _find_error(search)) is not None:
        print_note(f"note: the server at {url} uses the last valid version of the project's files, which have errors:")
        print_note(str(error))
        return
    print_note(
        f"note: the project's files changed since the server at {url} read them; it uses the changes after a restart "
        "(`compozy dev` restarts it)"
    )


def _find_error(search: Search) -> CompozyError | None:
    """Return why no server could start with the files of the project; None for the files of a server that is named."""
    if search.server or os.environ.get("COMPOZY_BASE_URL"):
        return None
    # Imported here, because a server usually runs what the files say.
    from compozy.project.load import load_project

    try:
        load_project(
            search.config,
            cwd=current_folder(),
            overrides=search.overrides,
            environ=os.environ,
            files=search.files,
        )
    except CompozyError as error:
        return error
    return None
