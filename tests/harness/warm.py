"""Work that every command does, done once by the fork server: its children inherit the results.

Imported by the fork server before it forks. A run fills the caches of the program and of its libraries: the tree of
commands, compiled statements, validators and patterns. It leaves no thread behind, which a child would lack.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import tempfile
import threading
from pathlib import Path

import structlog

from tests.harness.projects import write_project
from tests.harness.statements import share_statements
from tests.harness.tables import share_tables


def _warm() -> None:
    share_statements()
    share_tables()
    run = importlib.import_module("compozy.cli.main").run
    environ, folder = dict(os.environ), Path.cwd()
    handlers, level = list(logging.root.handlers), logging.root.level
    out = io.StringIO()
    with tempfile.TemporaryDirectory() as project, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        os.chdir(write_project(Path(project)))
        # A port that only system programs may listen on: no server is found.
        os.environ["SERVER_PORT"] = "1"
        statuses = [run(["workflow", "run", "two"]), run(["workflow", "list"]), run(["init", "new"])]
        os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    logging.root.handlers, logging.root.level = handlers, level
    structlog.reset_defaults()
    if any(statuses) or threading.active_count() > 1:
        raise AssertionError(f"statuses {statuses}, threads {threading.enumerate()}: {out.getvalue()}")


_warm()
