"""The workflow files for forges: their structure, and every `run:` block that can run on this machine.

A block runs in the shell that a forge uses, in a copy of the checkout, and the steps of a job run one after another.
The services of a job are replaced: PostgreSQL by the tests' server, Qdrant by our shim. Their addresses come from the
environment, as on a machine where ports are taken. `.venv` is this environment and `docs/node_modules` the one of this
checkout, so that `make setup site-tools` has nothing to do.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import COLLECTED
from tests.docs.test_fences import require_local_model
from tests.harness.postgres import new_database
from tests.harness.qdrant import serve_qdrant
from tests.harness.servers import free_port
from tests.proof import ON_BOTH, PARTS, TESTS, find_part, path_of, selects

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
DOCUMENTS: dict[str, Any] = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FILES}
NOT_HERE = {
    (
        "database-examples",
        "edge-deployment",
        "Build the image",
    ): "needs Docker; tests/integration/edge builds by buildah",
    ("database-examples", "edge-deployment", "Run the image"): "needs Docker; tests/integration/edge runs the program",
    ("tests", "check", "Format, lint, types, walls, generated files"): "is `make check`, which runs before the tests",
    ("release", "wheel", "Try the wheel"): "installs an environment from the network, which takes minutes",
    ("release", "binary", "Build and try the program"): "takes minutes; `make test-binary` is this block itself",
    ("release", "binary", "Name it after its platform"): "names what the block before it builds",
    ("proof", "proof", "Prove"): "is `make proof`, of which these tests are a part",
    ("release", "publish", "Publish the release"): "publishes",
}
# Expressions that a forge fills in.
EXPRESSIONS = {"${{ matrix.driver }}": "sqlite"}
COPIED = (
    *("examples", "src", "requirements", "packaging", "docs", "tests", "schemas", "web"),
    *("Makefile", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md"),
)
SKIPPED = shutil.ignore_patterns(
    *("data", "context", ".env", "__pycache__", "results*"), *("node_modules", ".next", ".source", "out")
)
JOBS = [
    (name, job) for name, document in DOCUMENTS.items() for job in document["jobs"] if "steps" in document["jobs"][job]
]
STEPS = [
    (name, job, step["name"]) for name, job in JOBS for step in DOCUMENTS[name]["jobs"][job]["steps"] if "run" in step
]
EXAMPLES = {folder.name for folder in (ROOT / "examples/database").iterdir() if (folder / "README.md").is_file()}
HERE = [
    (name, job)
    for name, job in JOBS
    if any(step[:2] == (name, job) and step not in NOT_HERE for step in STEPS)
    # Jobs of examples that this checkout does not contain are not run.
    and (name != "database-examples" or job in EXAMPLES)
]


def test_every_example_has_its_job() -> None:
    assert set(DOCUMENTS["database-examples"]["jobs"]) >= EXAMPLES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_actions_are_named_by_their_major_version(path: Path) -> None:
    used = re.findall(r"uses: *(\S+)", path.read_text(encoding="utf-8"))
    assert used
    for action in used:
        if action.startswith("./"):
            assert (ROOT / action).is_file()
            continue
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", action), action


@pytest.mark.parametrize(("name", "job"), JOBS, ids="-".join)
def test_every_job_is_bounded_and_needs_no_key(name: str, job: str) -> None:
    document = DOCUMENTS[name]["jobs"][job]
    assert document["timeout-minutes"] <= 90
    assert all("name" in step for step in document["steps"] if "run" in step)
    secrets = re.findall(r"secrets\.(\w+)", yaml.safe_dump(document))
    # The forge creates this one for each run.
    assert set(secrets) <= {"GITHUB_TOKEN"}
    assert not re.search(r"API_KEY", yaml.safe_dump(document))
    assert "sleep 5" not in yaml.safe_dump(document)


def test_every_part_of_the_proof_is_a_job_and_a_release_needs_them() -> None:
    assert DOCUMENTS["proof"]["jobs"]["proof"]["strategy"]["matrix"]["part"] == list(PARTS)
    release = DOCUMENTS["release"]["jobs"]
    assert release["proof"]["uses"] == "./.github/workflows/proof.yml"
    for job in ("image", "publish"):
        assert {"tests", "proof"} <= set(release[job]["needs"])


@pytest.mark.parametrize("part", TESTS)
def test_every_part_of_the_proof_has_tests(part: str) -> None:
    for start in TESTS[part]:
        path = ROOT / path_of(start)
        assert path.exists()
        function = start.partition("::")[2].partition("[")[0].removeprefix("*")
        assert f"def {function}" in (path.read_text(encoding="utf-8") if function else "def ")


def test_every_prefix_of_the_proof_selects_tests(pytestconfig: pytest.Config) -> None:
    collected = collected_in(pytestconfig)
    starts = [start for starts in TESTS.values() for start in starts]
    known = [start for start in starts if any(test.startswith(path_of(start)) for test in collected)]
    assert [start for start in known if not any(selects(start, test) for test in collected)] == []
    assert "tests/forge/test_workflow_files.py::test_blocks" in known


def test_tests_that_leave_out_postgresql_run_on_sqlite(pytestconfig: pytest.Config) -> None:
    """A test of a feature above the database runs in `make test`, unless another part of the proof contains it."""
    collected = collected_in(pytestconfig)
    elsewhere = {test.partition("[")[0] for test in collected if find_part(test) != "databases"}
    here = [test for test in collected if find_part(test) == "databases" and "postgres" in test.partition("[")[2]]
    assert [test for test in here if test.partition("[")[0] not in elsewhere] == []


def test_the_database_the_engine_and_moves_are_tested_on_both_databases(pytestconfig: pytest.Config) -> None:
    """The parts `databases` and `costly` do not leave out one database only."""
    folders = tuple(f"tests/integration/{folder}/" for folder in ("database", "durable", "transfer"))
    collected = [test for test in collected_in(pytestconfig) if test.startswith((*folders, *ON_BOTH))]
    all_of, rest = functions_by_driver(collected), functions_by_driver(_without_general_parts(collected))
    for driver, other in (("sqlite", "postgres"), ("postgres", "sqlite")):
        assert (rest[driver] & all_of[other]) - rest[other] == set()
    assert [file for file in ON_BOTH if not (ROOT / file).is_file()] == []


def _without_general_parts(tests: list[str]) -> list[str]:
    return [test for test in tests if find_part(test) not in {"databases", "costly"}]


def functions_by_driver(tests: list[str]) -> dict[str, set[str]]:
    """Return the functions that have tests on each database."""
    pairs = [test.partition("[") for test in tests]
    return {driver: {name for name, _, values in pairs if driver in values} for driver in ("sqlite", "postgres")}


def collected_in(config: pytest.Config) -> list[str]:
    """Return the tests of the files that this session has collected, which in `make test` are all files."""
    if any("::" in argument for argument in config.args):
        pytest.skip("single tests were selected")
    # `make test` repeats failed tests, and collects only their files then.
    return list_all_tests() if config.getoption("lf") else config.stash[COLLECTED]


@cache
def list_all_tests() -> list[str]:
    """Return the tests of all files."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n0",
        "--collect-only",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "addopts=-p no:schemathesis -p no:valkey",
    ]
    done = subprocess.run([*command, "--ignore=tests/generated"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if "::" in line]


def test_steps_that_are_not_run_here_exist() -> None:
    assert set(NOT_HERE) <= set(STEPS)
    assert {("database-examples", example) for example in EXAMPLES} <= set(HERE)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "job"), HERE, ids="-".join)
def test_blocks(name: str, job: str, tmp_path: Path) -> None:
    if name == "database-examples" and job in {"sqlite-quickstart", "sqlite-qdrant"}:
        require_local_model()
    checkout = tmp_path / "checkout"
    copy_checkout(checkout)
    document = DOCUMENTS[name]["jobs"][job]
    with services(document, tmp_path) as variables:
        environ = job_environ(tmp_path, variables)
        for step in document["steps"]:
            if "run" in step and (name, job, step["name"]) not in NOT_HERE:
                done = run_block(step["run"], checkout, environ)
                assert done.returncode == 0, f"{step['name']}:\n{done.stdout}"
                added = Path(environ["GITHUB_PATH"]).read_text(encoding="utf-8").split()
                environ["PATH"] = ":".join([*reversed(added), environ["PATH"]])
        if (name, job) == ("release", "image"):
            said = Path(environ["GITHUB_ENV"]).read_text(encoding="utf-8")
            assert said == "IMAGE=ghcr.io/pumps/compozy:try-it\n"
    assert left_behind(checkout) == []


def copy_checkout(checkout: Path) -> None:
    checkout.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, checkout / name, ignore=SKIPPED)
        else:
            shutil.copy(ROOT / name, checkout / name)
    (checkout / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (checkout / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    for stamp in (".base", ".local", ".dev"):
        (checkout / ".venv" / stamp).touch()
    # The packages of the site are already installed if possible.
    if (ROOT / "docs/node_modules/.ready").exists():
        (checkout / "docs/node_modules").symlink_to(ROOT / "docs/node_modules")


@contextlib.contextmanager
def services(document: Any, folder: Path) -> Generator[dict[str, str]]:
    with contextlib.ExitStack() as stack:
        variables: dict[str, str] = {}
        for service in document.get("services", {}):
            if service == "postgres":
                made = stack.enter_context(new_database(migrated=False))
                variables |= {"DB_HOST": str(made.host), "DB_PORT": str(made.port), "DB_NAME": str(made.dbname)}
            else:
                assert service == "qdrant"
                variables["QDRANT_URL"], _ = stack.enter_context(serve_qdrant(folder / "qdrant"))
        yield variables


def job_environ(folder: Path, variables: dict[str, str]) -> dict[str, str]:
    home = folder / "home"
    home.mkdir()
    (home / "path").touch()
    (home / "env").touch()
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "CI": "true",
        "GITHUB_PATH": str(home / "path"),
        "GITHUB_ENV": str(home / "env"),
        "GITHUB_REPOSITORY": "Pumps/Compozy",
        "GITHUB_REF_NAME": "try/it",
        "SERVER_PORT": str(free_port()),
        # Tests inside it are the short ones.
        "PYTEST_ADDOPTS": "-n0 --collect-only -q tests/unit/bench",
        **variables,
    }


def run_block(block: str, checkout: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a block like a forge does: with `bash -e` and values for a job's expressions."""
    for expression, value in EXPRESSIONS.items():
        block = block.replace(expression, value)
    assert "${{" not in block
    # A free port; the file contains the default port.
    block = block.replace(":8080", f":{environ['SERVER_PORT']}")
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", block],
        cwd=checkout,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
        check=False,
    )


def left_behind(checkout: Path) -> list[str]:
    """Return the processes that still run in the copy of the checkout."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink().is_relative_to(checkout):
                found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()!r}")
    return [line for line in found if not line.startswith(f"{os.getpid()} ")]
