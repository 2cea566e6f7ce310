"""Drawings of workflows."""

from __future__ import annotations

import re
from typing import Any

import pytest
from inline_snapshot import snapshot
from tests.harness.flows import EVERY_KIND

from compozy.config.nodes import to_value
from compozy.config.parse import parse_yaml
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.graph import ASCII, mermaid_of, tree_of


def workflow(text: str) -> WorkflowConfig:
    node = parse_yaml(text.encode(), file="w.yaml").node
    assert node is not None
    return WorkflowConfig.model_validate(to_value(node))


def test_every_kind_as_mermaid() -> None:
    assert mermaid_of(workflow(EVERY_KIND)) == snapshot("""\
flowchart TD
  start(["every-kind"])
  n0["read-in"]
  n1["mend (pass)"]
  n2{"route (router)"}
  n3["calm"]
  subgraph n4["gather (parallel, best_effort)"]
    n5["facts"]
    subgraph n6["steps (composite)"]
      n7["one (pass)"]
      n8["two (pass)"]
      n7 --> n8
    end
  end
  subgraph n9["each (collection)"]
    n10["item-#123;#123; .index #125;#125;"]
  end
  subgraph n11["ask (wait)"]
    n12["look (pass)"]
  end
  n13>"tell (signal)"]
  n14[["sum (aggregate)"]]
  n0 --> n2
  n0 -. "error" .-> n1
  n1 --> n4
  n2 -- "true" --> n4
  n2 -- "any" --> n3
  n2 -- "quoted #34;odd#34; #91;route#93;" --> n4
  n3 --> n4
  n4 --> n9
  n9 --> n11
  n11 --> n13
  n11 -. "timeout" .-> n13
  n13 --> n14
  start --> n0
""")


def test_every_kind_as_tree() -> None:
    assert tree_of(workflow(EVERY_KIND)) == snapshot("""\
every-kind
├─ read-in  → route, error → mend
├─ mend (pass)  → gather
├─ route (router)  true → gather, any → calm, quoted "odd" [route] → gather
├─ calm  → gather
├─ gather (parallel, best_effort)  → each
│  ├─ facts
│  └─ steps (composite)
│     ├─ one (pass)  → two
│     └─ two (pass)  → end
├─ each (collection)  → ask
│  └─ item-{{ .index }}
├─ ask (wait)  → tell, timeout → tell
│  └─ look (pass)
├─ tell (signal)  → sum
└─ sum (aggregate)  → end
""")


def test_a_tree_in_plain_characters() -> None:
    text = "id: w\nconfig: {on_error: {next: mend}}\ntasks: [{id: a, prompt: x}, {id: b, prompt: x}, {id: mend}]\n"
    drawn = tree_of(workflow(text), ASCII)
    assert drawn == snapshot("""\
w  any error -> mend
|- a  -> b
|- b  -> end
`- mend (pass)  -> end
""")
    assert drawn.isascii()


NODE = re.compile(r'(?:subgraph )?(n\d+|start)(?:\["|\{"|\(\["|\[\["|\[/"|>")([^"]*)(?:"\]|"\}|"\]\)|"\]\]|"/\])$')
EDGE = re.compile(r'(n\d+|start) (?:-->|-- "[^"]*" -->|-\. "[^"]*" \.->) (n\d+)$')


@pytest.mark.parametrize("label", ['a"b', "end", "x]--y", "`code`", "#35;", "ü 日本", "<b>", "a\nb", "{{ .x }}", "%%"])
def test_no_label_breaks_the_chart(label: str) -> None:
    document: dict[str, Any] = {
        "id": "end",
        "tasks": [
            {"id": "subgraph", "type": "router", "condition": "x", "routes": {label: {"id": "end"}}},
            {
                "id": "graph",
                "type": "composite",
                "tasks": [{"id": "end", "type": "collection", "items": 1, "task": {"id": "i-{{ .index }}"}}],
            },
        ],
    }
    names: set[str] = set()
    depth = 0
    first, *lines = mermaid_of(WorkflowConfig.model_validate(document)).splitlines()
    assert first == "flowchart TD"
    for line in map(str.strip, lines):
        depth += line.startswith("subgraph ") - (line == "end")
        if line == "end":
            continue
        node, edge = NODE.match(line), EDGE.match(line)
        assert (node is None) != (edge is None), line
        if node is not None:
            assert node[1] not in names
            names.add(node[1])
        elif edge is not None:
            assert {edge[1], edge[2]} <= names
    assert depth == 0
