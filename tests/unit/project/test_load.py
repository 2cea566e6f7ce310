"""Loading projects: the seeds' formats, precedence, paths, which files are read, and which errors are raised."""

from __future__ import annotations

from pathlib import Path

import pytest
from loadedprojects import HELLO, POSTGRES, QDRANT, QUICKSTART, errors_of, load, write

from compozy.errors import NotFoundError, ProjectError, SourceLocation, UsageError
from compozy.project.load import load_project
from compozy.task.kinds.basic import BasicTask


def test_sqlite_quickstart(tmp_path: Path) -> None:
    write(tmp_path, {"compozy.yaml": QUICKSTART, "workflows/hello-world.yaml": HELLO})
    project = load(tmp_path)
    assert (project.name, project.version, project.root) == (tmp_path.name, "1.0", tmp_path)
    assert (project.database.driver, project.database.path) == ("sqlite", str(tmp_path / "data/compozy.db"))
    assert project.server.port == 8080
    assert [provider.id for provider in project.providers] == ["openai"]
    assert project.providers[0].api_key is None
    assert project.missing_keys == {"openai": "OPENAI_API_KEY"}
    workflow = project.workflow("hello-world")
    task = workflow.config.tasks[0]
    assert isinstance(task, BasicTask)
    assert task.prompt == 'Say hello to {{ .input.name | default "World" }}'
    assert workflow.file == tmp_path / "workflows/hello-world.yaml"
    file = "workflows/hello-world.yaml"
    assert workflow.locate(("tasks", 0, "agent", "llm")) == SourceLocation(file=file, line=8, col=12)
    assert workflow.text_locator(("tasks", 0, "prompt"))(13) == SourceLocation(file=file, line=6, col=27)
    assert workflow.text_locator(("tasks", 0))(13) == SourceLocation(file=file, line=5, col=5)


def test_a_key_that_is_set(tmp_path: Path) -> None:
    write(tmp_path, {"compozy.yaml": QUICKSTART})
    project = load(tmp_path, OPENAI_API_KEY="sk-secret")
    assert project.missing_keys == {}
    assert project.providers[0].api_key is not None
    assert project.providers[0].api_key.get_secret_value() == "sk-secret"
    assert "sk-secret" not in repr(project)


def test_sqlite_qdrant(tmp_path: Path) -> None:
    write(tmp_path, {"compozy.yaml": QDRANT})
    (store,) = load(tmp_path).knowledge.vector_dbs
    assert store.url is not None
    url = store.url.get_secret_value()
    assert (store.id, store.provider, url, store.dimension) == ("main", "qdrant", "http://localhost:6333", 1536)
    other = load(tmp_path, QDRANT_URL="http://q:1").knowledge.vector_dbs[0].url
    assert other is not None
    assert other.get_secret_value() == "http://q:1"


def test_postgres(tmp_path: Path) -> None:
    write(tmp_path, {"compozy.yaml": POSTGRES})
    database = load(tmp_path, DB_PASSWORD="123456").database
    assert (database.driver, database.host, database.port, database.user) == ("postgres", "localhost", 5432, "compozy")
    assert database.password is not None
    assert database.password.get_secret_value() == "123456"
    assert (database.dbname, database.sslmode, database.path) == ("compozy", "disable", None)
    (fault,) = errors_of(tmp_path)
    assert fault.startswith("compozy.yaml:8:13: the variable DB_PASSWORD is not set (set it in the environment")


def test_postgres_synonyms_and_connection_string(tmp_path: Path) -> None:
    text = "database:\n  conn_string: postgres://u:p@h/d\n  name: other\n  ssl_mode: verify-full\n"
    write(tmp_path, {"compozy.yaml": text})
    project = load(tmp_path)
    assert (project.database.dbname, project.database.sslmode) == ("other", "verify-full")
    assert project.sources["database.dbname"] == "compozy.yaml:3:3"
    overruled = load(tmp_path, DB_NAME="third", DB_SSL_MODE="require")
    assert (overruled.database.dbname, overruled.database.sslmode) == ("third", "require")
    assert overruled.sources["database.sslmode"] == "environment DB_SSL_MODE"


@pytest.mark.parametrize(("text", "version"), [("1.0", "1.0"), ("1.10", "1.10"), ("'2'", "2"), ("v3-beta", "v3-beta")])
def test_version_is_any_text(tmp_path: Path, text: str, version: str) -> None:
    write(tmp_path, {"compozy.yaml": QUICKSTART.replace('"1.0"', text)})
    assert load(tmp_path).version == version


def test_empty_sections_are_absent_sections(tmp_path: Path) -> None:
    write(tmp_path, {"compozy.yaml": QDRANT + "runtime:\n#  log_level: debug\nworkflows:\nautoload: ~\nname:\n"})
    project = load(tmp_path)
    assert project.runtime.log_level == "warn"
    assert project.name == tmp_path.name


def test_precedence(tmp_path: Path) -> None:
    """Each layer is weaker than the one before it, and the layer of every value is known."""
    write(tmp_path, {"compozy.yaml": QUICKSTART, ".env": "SERVER_PORT=1\n\nSERVER_HOST=env.file\n"})
    flags = {"server.port": (3, "--port"), "server.host": (None, "--host")}
    seen = [
        load(tmp_path, flags, SERVER_PORT="2"),
        load(tmp_path, SERVER_PORT="2"),
        load(tmp_path),
    ]
    (tmp_path / ".env").unlink()
    seen.append(load(tmp_path))
    write(tmp_path, {"compozy.yaml": QDRANT})
    seen.append(load(tmp_path))
    assert [project.server.port for project in seen] == [3, 2, 1, 8080, 8080]
    assert [project.sources.get("server.port") for project in seen] == [
        "flag --port",
        "environment SERVER_PORT",
        ".env SERVER_PORT",
        "compozy.yaml:14:3",
        None,
    ]
    assert seen[0].server.host == "env.file"


def test_env_file_never_overrides_the_environment(tmp_path: Path) -> None:
    write(tmp_path, {"compozy.yaml": QUICKSTART, ".env": "OPENAI_API_KEY=from-file\nOTHER=x\n"})
    project = load(tmp_path)
    assert project.providers[0].api_key is not None
    assert project.providers[0].api_key.get_secret_value() == "from-file"
    assert project.environ == {"OPENAI_API_KEY": "from-file", "OTHER": "x"}
    emptied = load(tmp_path, OPENAI_API_KEY="")
    assert emptied.providers[0].api_key is None
    assert emptied.environ["OPENAI_API_KEY"] == ""


def test_driver_by_flag(tmp_path: Path) -> None:
    """`--db-driver=sqlite --db-path=x.db` works in a project for PostgreSQL, and in one without a database."""
    flags = {"database.driver": ("sqlite", "--db-driver"), "database.path": ("x.db", "--db-path")}
    for text in (POSTGRES.partition("knowledge:")[0], 'version: "1.0"\n'):
        write(tmp_path, {"compozy.yaml": text})
        database = load(tmp_path, flags, DB_PASSWORD="x").database
        assert (database.driver, database.path) == ("sqlite", str(tmp_path / "x.db"))


def test_variables_of_the_other_driver_are_ignored(tmp_path: Path) -> None:
    write(tmp_path, {"compozy.yaml": QUICKSTART})
    project = load(tmp_path, DB_HOST="db", DB_PORT="tcp://10.0.0.1:5432")
    assert project.database.host is None
    assert "database.host" not in project.sources


def test_paths(tmp_path: Path) -> None:
    """Paths are relative to the file, to the caller's folder (flags, environment), or to the folder of `.env`."""
    folder = tmp_path / "project"
    write(folder, {"compozy.yaml": QUICKSTART, ".env": "\n"})
    places = [
        load_project(Path("project"), cwd=tmp_path, environ={}),
        load_project(Path("project/compozy.yaml"), cwd=tmp_path, environ={"DB_PATH": "b.db"}),
        load_project(folder, cwd=tmp_path, overrides={"database.path": ("c.db", "--db-path")}, environ={}),
        load_project(None, cwd=tmp_path, environ={"COMPOZY_CONFIG_FILE": "project", "DB_PATH": ":memory:"}),
        load_project(None, cwd=folder, overrides={"database.path": ("/d/e.db", "--db-path")}, environ={}),
    ]
    assert [project.database.path for project in places] == [
        str(folder / "data/compozy.db"),
        str(tmp_path / "b.db"),
        str(tmp_path / "c.db"),
        ":memory:",
        "/d/e.db",
    ]
    assert {project.root for project in places} == {folder}
    write(folder, {".env": "DB_PATH=f.db\n"})
    assert load_project(folder, cwd=tmp_path, environ={}).database.path == str(folder / "f.db")


def test_no_project(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path)
    assert caught.value.message == f"no compozy.yaml in {tmp_path}"
    assert "compozy init" in caught.value.hint
    assert "--config" in caught.value.hint
    with pytest.raises(UsageError, match=r"file .*other\.yaml"):
        load_project(Path("other.yaml"), cwd=tmp_path, environ={})


def workflow_text(name: str) -> str:
    return f"resource: workflow\nid: {name}\ntasks:\n  - id: a\n    with: {{x: 1}}\n"


def test_which_files_are_workflows(tmp_path: Path) -> None:
    names = [
        "workflows/one.yaml",
        "workflows/two.yml",
        "workflows/draft.yaml",
        "workflows/deeper/none.yaml",
        "parts/three.yaml",
        "parts/deep/four.yaml",
        "parts/.hidden/none.yaml",
        "parts/node_modules/none.yaml",
        "named/five.yaml",
        "outside/none.yaml",
    ]
    files = {name: workflow_text(Path(name).stem if Path(name).stem != "none" else "none") for name in names}
    config = (
        QDRANT
        + "autoload:\n  include: ['./parts/**/*.yaml', '*.yaml']\n  exclude: ['**/draft*']\n"
        + "workflows:\n  - source: ./named/five.yaml\n  - source: workflows/one.yaml\n"
    )
    write(tmp_path, {**files, "compozy.yaml": config, "workflows/notes.txt": "no", "workflows/x.yaml~": "no"})
    assert list(load(tmp_path).workflows) == ["five", "four", "one", "three", "two"]
    write(tmp_path, {"compozy.yaml": config.replace("autoload:", "autoload:\n  enabled: false")})
    assert list(load(tmp_path).workflows) == ["five", "one", "two"]


def test_link_inside_the_project_is_fine(tmp_path: Path) -> None:
    write(tmp_path, {"compozy.yaml": QDRANT, "shared/a.yaml": workflow_text("a")})
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows/a.yaml").symlink_to("../shared/a.yaml")
    assert list(load(tmp_path).workflows) == ["a"]


def test_linked_folder_outside_of_the_project(tmp_path: Path) -> None:
    write(tmp_path, {"p/compozy.yaml": QDRANT, "secret/a.yaml": workflow_text("a")})
    (tmp_path / "p/workflows").symlink_to(tmp_path / "secret")
    assert errors_of(tmp_path / "p") == [
        "workflows/a.yaml: the file is a link that leads out of the project's folder (copy it into the folder)"
    ]


def test_locations_name_files_from_the_callers_folder(tmp_path: Path) -> None:
    write(tmp_path, {"p/compozy.yaml": "foo: 1\n" + QDRANT, "other/x": ""})
    with pytest.raises(ProjectError) as caught:
        load_project(Path("p"), cwd=tmp_path, environ={})
    assert caught.value.diagnostics[0].location.file == "p/compozy.yaml"
    with pytest.raises(ProjectError) as caught:
        load_project(tmp_path / "p", cwd=tmp_path / "other", environ={})
    assert caught.value.diagnostics[0].location.file == str(tmp_path / "p/compozy.yaml")


def test_unknown_workflow(tmp_path: Path) -> None:
    write(tmp_path, {"compozy.yaml": QUICKSTART, "workflows/hello-world.yaml": HELLO})
    project = load(tmp_path)
    with pytest.raises(NotFoundError, match="no workflow 'helo-world'") as caught:
        project.workflow("helo-world")
    assert caught.value.hint == "did you mean 'hello-world'?"
    with pytest.raises(NotFoundError) as caught:
        project.workflow("zzz")
    assert caught.value.hint == "this project has: hello-world"


def test_outputs_is_a_synonym(tmp_path: Path) -> None:
    write(tmp_path, {"compozy.yaml": QUICKSTART, "workflows/a.yaml": HELLO.replace("output:", "outputs:", 1)})
    workflow = load(tmp_path).workflow("hello-world")
    assert workflow.config.output == {"greeting": "{{ .tasks.greet.output.text }}"}
    assert workflow.locate(("output", "greeting")).line == 11
    assert workflow.text_locator(("output", "greeting"))(3).col == 17
