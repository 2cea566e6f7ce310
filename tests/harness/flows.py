"""A valid workflow with every type of task. An error reported in it is a false report."""

from __future__ import annotations

PROJECT = """\
name: demo
database: {driver: sqlite, path: ./data/compozy.db}
config:
  timeout: 1m
  retry_policy: {maximum_attempts: 5, initial_interval: 2s}
llm:
  providers:
    - {id: s, type: scripted, responses: [{text: any}]}
    - {id: t, type: scripted, responses: [{text: any}]}
"""
EVERY_KIND = """\
id: every-kind
input:
  type: object
  additionalProperties: false
  properties: {topic: {type: string, default: rain}, urgent: {type: boolean, default: false}}
config:
  retry_policy: {maximum_attempts: 2}
env:
  TONE: "kind {{ .input.topic }}"
tasks:
  - id: read-in
    prompt: "Say something {{ .env.TONE }} about {{ .input.topic }}"
    on_success: {next: route, with: {extra: 1}}
    on_error: {next: mend, with: {reason: "{{ .error.message }} {{ .tasks.read-in.status }}"}}
  - id: mend
    with: {said: "{{ .error.message }} {{ .input.reason }}"}
    on_success: {next: gather}
  - id: route
    type: router
    condition: "input.urgent ? 'true' : tasks['read-in'].output.text"
    routes:
      true: gather
      "any": {id: calm, prompt: "Calm {{ .tasks.route.output.route_taken }}", on_success: {next: gather}}
      quoted "odd" [route]: gather
  - id: gather
    type: parallel
    strategy: best_effort
    condition: has(tasks.mend) || true
    tasks:
      - id: facts
        agent: {llm: t}
        prompt: "Facts: {{ .tasks.route.output.route_taken | default `none` }}"
      - id: steps
        type: composite
        strategy: fail_fast
        tasks:
          - {id: one, with: {n: "{{ .parent }}"}}
          - {id: two, condition: tasks.one.output.n != null, with: {n: "{{ .tasks.one.output.n }}"}, final: true}
    outputs:
      all: "{{ .output }}"
      one: "{{ .children.steps.output }} {{ .output.facts }}"
    on_success: {next: each}
  - id: each
    type: collection
    items: ["a", "b"]
    filter: row != 'c' && index >= 0
    item_var: row
    with: {name: "{{ .item }}"}
    task:
      id: "item-{{ .index }}"
      prompt: "About {{ .row }} {{ .input.name }} {{ .tasks.gather.children.facts.output }} {{ .task.id }}"
    on_success: {next: ask}
  - id: ask
    type: wait
    wait_for: "go-{{ .workflow.exec_id }}"
    condition: signal.payload.ok == true && processor.output.fine
    processor: {id: look, with: {fine: "{{ .signal.payload.ok }}"}}
    form: {type: object, properties: {ok: {type: boolean}}}
    timeout: 1h
    on_timeout: tell
    outputs: {said: "{{ .signal.payload }}"}
    on_success: {next: tell}
  - id: tell
    type: signal
    signal: {id: done, payload: {topic: "{{ .input.topic }}", error: "{{ .error }}"}}
    on_success: {next: sum}
  - id: sum
    type: aggregate
    outputs: {text: "{{ .tasks.read-in.output.text }}", all: "{{ .tasks.gather.output.facts.output }}"}
output:
  text: "{{ .tasks.sum.output.text }} {{ .tasks.mend.output.said | default `fine` }}"
"""
