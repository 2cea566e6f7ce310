"""Fixtures of all tests: the command line in this process and in other processes, and the parts of `make proof`."""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from tests.harness.costs import Costs, cpu_s
from tests.harness.postgres import LIFE
from tests.harness.processes import Commands, Finished
from tests.harness.shared_forks import start_shared, use_shared
from tests.harness.statements import share_statements
from tests.harness.tables import run_migrations, share_tables
from tests.proof import PARTS, find_part

# Variables that a developer's environment may contain. Tests set the variables that they need.
_FOREIGN = ("DB_", "SERVER_", "OPENAI_", "ANTHROPIC_", "GOOGLE_", "GROQ_", "COMPOZY_", "NO_COLOR", "RUNTIME_")

# The port at which commands look for a server. Only system programs may listen on it, so that tests do not find a
# server of the developer.
CLOSED_PORT = "1"

# Number of threads of the local embedder and of numpy. Threads of OpenMP wait for each other in a loop: with more of
# them than free processors, an embedding takes six times the processor time.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")

# New objects before a collection of the youngest ones, and collections of each generation before one of the next. With
# Python's 700 new objects, tests of the HTTP API spent a tenth of their processor time on them.
_GC_THRESHOLDS = (20_000, 20, 20)

RunCli = Callable[..., Finished]
_DRIVERS = frozenset({"sqlite", "postgres"})
# Number of shards of the kill tests. `make test` runs one of them, counted from 1, a different one each day.
KILL_SHARDS = 6
_SHARD = "TEST_SHARD"
_SHARDED = "test_a_run_is_resumed_after_a_kill_at_any_commit"
COLLECTED = pytest.StashKey[list[str]]()
"""Node IDs of all tests before any is deselected."""

settings.register_profile("test", max_examples=25, deadline=None)
settings.register_profile("proof", max_examples=300, deadline=None)
settings.load_profile("test")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--driver` and `--part`, which select tests, and `--costs`, which writes their processor time to a file."""
    parser.addoption("--driver", choices=sorted(_DRIVERS), help="only tests of this kind of database")
    parser.addoption("--part", choices=PARTS, help="only tests of this part of `make proof`")
    parser.addoption("--costs", metavar="FILE", help="write the processor time of each test to this file")


def pytest_configure(config: pytest.Config) -> None:
    """Set what all processes of this session share: the server's lifetime, the shard, a closed port, threads."""
    config.pluginmanager.register(Costs(config.getoption("--costs")))
    share_statements()
    share_tables()
    # A shell ignores SIGINT in what it starts in the background, and other processes inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Modules and collected tests are never garbage.
    gc.disable()
    os.environ["SERVER_PORT"] = CLOSED_PORT
    for name in _THREADS:
        os.environ[name] = "1"
    os.environ.setdefault(LIFE, str(os.getpid()))
    os.environ.setdefault(_SHARD, str(int(time.time() // 86400) % KILL_SHARDS + 1))
    if hasattr(config, "workerinput"):
        use_shared()
    # Where few tests run, few workers start a process.
    elif config.getoption("numprocesses", None) and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        with pytest.MonkeyPatch.context() as environ:
            clean(environ)
            start_shared()


def pytest_collection_finish() -> None:
    """Exempt everything that was collected from garbage collection, which would search it again and again."""
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """Run two workers per processor: half of the time, tests wait for processes, leases and deadlines."""
    return 2 * (os.cpu_count() or 1)


def pytest_report_header() -> str:
    """Print the shard, so that a failure can be repeated on another day."""
    return f"kills: shard {os.environ[_SHARD]} of {KILL_SHARDS} is part of `make test`; {_SHARD}=N chooses another"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files of which `make test` runs no test: each worker would import them, and Playwright with them."""
    if config.getoption("-m") != "not proof":
        return None
    return True if find_part(collection_path.relative_to(config.rootpath).as_posix()) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of `make proof`, and deselect tests that `--driver` and `--part` exclude."""
    driver, part = config.getoption("--driver"), config.getoption("--part")
    config.stash[COLLECTED] = [item.nodeid for item in items]
    chosen: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        its_part = find_part(item.nodeid)
        if its_part and not _is_shard_of_today(item):
            item.add_marker("proof")
        is_chosen = driver in {None, _driver_of(item)} and part in {None, its_part}
        (chosen if is_chosen else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = chosen


def _is_shard_of_today(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or item.originalname != _SHARDED:
        return False
    return str(item.callspec.params["shard"]) == os.environ[_SHARD]


def _driver_of(item: pytest.Item) -> str:
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return "sqlite"
    values = list(item.callspec.params.values())
    return "postgres" if any(value == "postgres" for value in values if isinstance(value, str)) else "sqlite"


# Limit of the processor time of a test in `make test`, including the processes that it waits for: 10 s on an idle
# machine, and twice as much where others share its processors: two threads of one core each take twice the time.
MAX_CPU_S = 20.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that is too expensive for each push. It belongs to a part of `make proof`."""
    before_s = cpu_s()
    result = yield
    took_s = cpu_s() - before_s
    if took_s > MAX_CPU_S and item.get_closest_marker("proof") is None:
        pytest.fail(f"took {took_s:.1f} s of processor time, more than {MAX_CPU_S:g}: name it in tests/proof.py")
    return result


def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove variables from the environment that would change the behavior of the program."""
    for name in tuple(os.environ):
        if name.startswith(_FOREIGN):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SERVER_PORT", CLOSED_PORT)
    # Set by --no-color; deleted again by the teardown.
    monkeypatch.setenv("NO_COLOR", "")


@pytest.fixture
def clean_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove variables that would change the behavior of the program, and restore them after the test."""
    clean(monkeypatch)


@pytest.fixture
def real_migrations() -> Iterator[None]:
    """Migrate new SQLite databases as the program does, see `tests/harness/tables.py`."""
    run_migrations()
    yield
    share_tables()


@pytest.fixture
def port_of_file(monkeypatch: pytest.MonkeyPatch, clean_environ: None) -> None:
    """Let commands look for a server at the port in the project's file, which the variable would override."""
    monkeypatch.delenv("SERVER_PORT")


@pytest.fixture
def commands(tmp_path_factory: pytest.TempPathFactory, clean_environ: None) -> Iterator[Commands]:
    """Yield a starter of real processes, all of which end with the test."""
    started = Commands(tmp_path_factory.mktemp("commands"))
    yield started
    started.end()


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], clean_environ: None
) -> Iterator[RunCli]:
    """Yield `compozy` in this process, called in the test's folder: `cli("workflow", "list").out`."""
    from compozy.cli.main import run

    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level

    def call(*arguments: str) -> Finished:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["compozy", *arguments])
        status = run(list(arguments))
        captured = capsys.readouterr()
        return Finished(status=status, out=captured.out, err=captured.err)

    yield call
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()
