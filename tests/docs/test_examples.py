"""Each example is named where examples are listed, with commands that are also in its README."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS, ROOT, read_page

EXAMPLES = sorted(path.parent.relative_to(ROOT / "examples").as_posix() for path in ROOT.glob("examples/**/README.md"))
PAGE = DOCS / "examples/overview.mdx"


def test_every_project_is_an_example() -> None:
    projects = {
        path.parent.relative_to(ROOT / "examples").as_posix() for path in ROOT.glob("examples/**/compozy*.yaml")
    }
    assert {"."} | projects == set(EXAMPLES)


def test_every_example_is_in_the_table() -> None:
    text = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| \[(\S+)\]\((\S+)/README\.md\) \|", text, re.MULTILINE)
    assert all(name == folder for name, folder in named)
    assert sorted(name for name, _ in named) == EXAMPLES[1:]


def test_every_example_is_on_the_page() -> None:
    headings = [text.removeprefix("## ") for _, text in read_page(PAGE).prose if text.startswith("## ")]
    assert sorted(headings) == EXAMPLES[1:]


def test_commands_are_those_of_the_readme() -> None:
    """The README's commands are executed by another test."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(sections) == len(EXAMPLES) - 1
    for section in sections:
        name = section.partition("\n")[0]
        readme = (ROOT / "examples" / name / "README.md").read_text(encoding="utf-8")
        assert f"examples/{name}/README.md" in section
        commands = "".join(re.findall(r"^```text\n(.*?)^```", section, re.MULTILINE | re.DOTALL)).splitlines()
        assert commands, name
        assert not [line for line in commands if line not in readme], name
