"""Checks the steps of a reader of the database guide: follow it, copy from it, read its error, click its links.

`test_fences.py` and `test_links.py` already execute the fences and follow the links of every page. These tests check
that the pages contain the steps, so that no edit removes them or marks them `norun`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from compozy.config.layers import VARIABLES
from compozy.config.settings import DatabaseSettings
from compozy.config.timespan import parse_duration_s
from tests.conftest import RunCli
from tests.docs import test_fences, test_links
from tests.docs.pages import DOCS, ROOT, Fence, page_name, read_page

GUIDES = {"postgres": DOCS / "database/postgresql.mdx", "sqlite": DOCS / "database/sqlite.mdx"}
PAGES = [
    *(DOCS / f"database/{name}.mdx" for name in ("overview", "postgresql", "sqlite", "move-and-backup")),
    *(DOCS / f"troubleshooting/{name}.mdx" for name in ("overview", "database")),
    *(DOCS / f"deployment/{name}.mdx" for name in ("production", "scaling")),
    DOCS / "configuration/database.mdx",
    DOCS / "cli/start.mdx",
    DOCS / "cli/migrate.mdx",
    DOCS / "getting-started/installation.mdx",
    DOCS / "getting-started/quickstart.mdx",
    DOCS / "knowledge-bases/vector-databases.mdx",
    DOCS / "security/overview.mdx",
]
# Pages, and anchors of their sections, that other pages link to or that are promised.
SECTIONS = {
    "database/overview": {"choosing-your-database", "when-to-use-postgresql", "when-to-use-sqlite"},
    "database/postgresql": {"from-nothing-to-a-finished-workflow", "tls", "pgvector", "tuning", "production"},
    "database/sqlite": {"vector-database-requirement", "why-not-pgvector", "pragmas", "limits", "backup"},
    "troubleshooting/database": {"postgresql", "sqlite", "database-is-locked", "diagnostics", "reference"},
    "configuration/database": {"database-driver-selection", "postgresql", "sqlite"},
    "cli/start": {"db-driver", "db-path"},
    "cli/migrate": {"multi-database-support"},
    "getting-started/installation": {"quick-start-with-sqlite"},
    "getting-started/quickstart": {"5-minute-setup-sqlite"},
}
CRITERIA = (
    *("Use case", "Concurrency", "Scalability", "Vector search", "Deployment", "Setup complexity", "Performance"),
    *("Backup", "Recommended for"),
)
PGVECTOR = "pgvector provider is incompatible with SQLite driver"
FINISHED = re.compile(r"^\$ compozy workflow run .*\nWorkflow '\w+' completed successfully\nResult: ", re.MULTILINE)
# Other tests execute examples that need their own server.
ELSEWHERE = {"sqlite-qdrant": ROOT / "tests/integration/knowledge/test_walkthrough.py"}
_CODED = re.compile(r"`([^`]+)`")
_VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)\}")


def config_examples() -> list[Fence]:
    """Return the examples of the two guides that a reader may copy into a compozy.yaml."""
    fences = [fence for guide in GUIDES.values() for fence in read_page(guide).fences]
    return [fence for fence in fences if fence.kind in {"yaml project", "yaml fragment"}]


@pytest.mark.parametrize("driver", GUIDES)
def test_the_guide_starts_from_nothing_and_ends_with_a_result(driver: str) -> None:
    """`test_fences.test_commands` executes it. Here: it starts from nothing and ends with a result on this database."""
    fences = read_page(GUIDES[driver]).fences
    assert GUIDES[driver] in test_fences.PAGES
    followed = [fence for fence in fences if "norun" not in fence.meta]
    first = next(at for at, fence in enumerate(followed) if fence.kind == "console")
    assert followed[first].meta.get("dir") == "empty"
    assert followed[first].text.startswith("$ compozy init ")
    project = followed[first + 1]
    assert (project.kind, project.meta.get("title")) == ("yaml project", "compozy.yaml")
    assert yaml.safe_load(project.text)["database"]["driver"] == driver
    run = followed[first + 2]
    assert run.kind == "console"
    assert run.meta.get("postgres", "") == ("yes" if driver == "postgres" else "")
    assert FINISHED.search(run.text)


@pytest.mark.parametrize("fence", config_examples(), ids=lambda fence: fence.place)
def test_a_copied_configuration_works_as_it_is(
    cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fence: Fence
) -> None:
    """A whole file replaces the one that `compozy init` created; sections replace its sections."""
    assert cli("init").status == 0
    path = tmp_path / "compozy.yaml"
    if fence.kind == "yaml project":
        path.write_text(fence.text, encoding="utf-8")
    else:
        made: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.write_text(yaml.safe_dump(made | yaml.safe_load(fence.text)), encoding="utf-8")
    for name in _VARIABLE.findall(fence.text):
        monkeypatch.setenv(name, "something-that-is-set")
    done = cli("config", "validate")
    assert (done.status, done.err) == (0, ""), done.err
    assert done.out.startswith("compozy.yaml is valid: ")


def test_the_guides_contain_examples() -> None:
    drivers = [yaml.safe_load(fence.text)["database"].get("driver", "postgres") for fence in config_examples()]
    assert drivers.count("postgres") >= 4
    assert drivers.count("sqlite") >= 4


@pytest.mark.parametrize(
    "page",
    ["database/sqlite", "troubleshooting/database", "configuration/database", "knowledge-bases/vector-databases"],
)
def test_sqlite_with_pgvector_is_reported_with_the_message_of_the_page(cli: RunCli, tmp_path: Path, page: str) -> None:
    fences = read_page(DOCS / f"{page}.mdx").fences
    at = next(n for n, fence in enumerate(fences) if fence.kind == "yaml wrong" and "pgvector" in fence.text)
    assert cli("init").status == 0
    made: dict[str, Any] = yaml.safe_load((tmp_path / "compozy.yaml").read_text(encoding="utf-8"))
    # The part that the page leaves out is placed after the part that it shows, so that line numbers stay the same.
    rest = yaml.safe_dump({"llm": made["llm"]})
    (tmp_path / "compozy.yaml").write_text(fences[at].text + rest, encoding="utf-8")
    done = cli("workflow", "run", "hello")
    assert done.status == 5
    assert done.err.splitlines() == [*fences[at + 1].text.splitlines(), "Error: 1 problem found"]
    assert PGVECTOR in done.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("folder", sorted((ROOT / "examples/database").iterdir()), ids=lambda folder: folder.name)
def test_an_example_is_executed_as_its_readme_shows(folder: Path) -> None:
    """`test_fences.test_commands` executes it in a copy of the folder. Here: it contains commands."""
    readme = folder / "README.md"
    assert readme in test_fences.PAGES
    if folder.name in ELSEWHERE:
        assert folder.name in ELSEWHERE[folder.name].read_text(encoding="utf-8")
        return
    consoles = [fence for fence in read_page(readme).fences if fence.kind == "console" and "norun" not in fence.meta]
    assert any(re.search(r"^\$ (compozy|\./\w)", fence.text, re.MULTILINE) for fence in consoles)


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_pages_end_with_next_steps(path: Path) -> None:
    """`test_links.test_links` follows the links. Here: every page ends with next steps."""
    page = read_page(path)
    assert path in test_links.PAGES
    headings = [(number, line) for number, line in page.prose if line.startswith("## ")]
    last = next(
        number for number, line in reversed(headings) if line in {"## Read on", "## Where to go on", "## Next steps"}
    )
    assert last == headings[-1][0]
    assert len([number for number, _ in page.links if number > last]) >= 2


@pytest.mark.parametrize("name", SECTIONS)
def test_the_sections_exist(name: str) -> None:
    assert SECTIONS[name] - read_page(DOCS / f"{name}.mdx").anchors == set()


def test_the_decision_matrix_has_every_criterion() -> None:
    rows = [line for _, line in read_page(DOCS / "database/overview.mdx").prose if line.startswith("| **")]
    named = {row.split("**")[1]: [cell.strip() for cell in row.split("|")[2:4]] for row in rows}
    assert set(CRITERIA) - set(named) == set()
    assert all(all(cells) for cells in named.values())


def test_every_database_key_has_its_row() -> None:
    """Variables and default match the program. A row may have two keys, or a key and its synonym."""
    lines = [line for _, line in read_page(DOCS / "configuration/database.mdx").prose if line.startswith("| `")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    told = {key: (row[3], _CODED.findall(row[4])) for row in rows for key in _CODED.findall(row[0])}
    for name, field in DatabaseSettings.model_fields.items():
        default, variables = told[name]
        assert set(VARIABLES[f"database.{name}"]) <= set(variables), name
        if field.default is not None:
            assert _plain(default.strip("`")) == field.default, name
    synonyms = {"name", "ssl_mode"}
    assert told.keys() == DatabaseSettings.model_fields.keys() | synonyms


def _plain(text: str) -> object:
    """Return the value of text such as `true`, `25`, `30m` or `full`."""
    if text in {"true", "false"}:
        return text == "true"
    if text.isdigit():
        return int(text)
    return parse_duration_s(text) if text[0].isdigit() else text
