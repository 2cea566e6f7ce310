// One task: its values, its attempts, its error, its conversation, and its buttons.
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Run, Task } from "../../api/runs";
import { useMay } from "../../lib/me";
import { dateTime, number, plural } from "../../lib/format";
import { isFinal, isRerunnable } from "../../lib/status";
import { Button } from "../../ui/button";
import { Money } from "../../ui/cost";
import { Fact, Fault, Part } from "../../ui/layout";
import { StatusBadge, StatusDot } from "../../ui/status";
import { Took } from "../../ui/time";
import { copy, Value } from "../../ui/value";
import { childrenOf, tokensOf, useMessages, useTask, useTexts } from "./data";
import { Messages } from "./messages";
import { RerunDialog } from "./rerun";

const MAX_CHILDREN = 50;
const MAX_LIVE = 3;

interface Props {
  run: Run;
  task: Task;
  onSelect: (path: string | null) => void;
}

export function TaskPanel({ run, task, onSelect }: Props) {
  const whole = useTask(run.execution_id, task);
  const [isRerun, setRerun] = useState(false);
  const mayRun = useMay("run");
  const children = childrenOf(run, task.path);
  const tokens = tokensOf(task.usage);
  return (
    <section aria-label={`Task ${task.path}`} className="card min-w-0">
      <header className="flex items-start justify-between gap-3 border-b border-line px-4 py-3">
        <div className="min-w-0">
          <h2 className="truncate text-base" title={task.path}>
            {task.task_id}
          </h2>
          {task.path !== task.task_id && <p className="truncate font-mono text-xs text-faint">{task.path}</p>}
        </div>
        <div className="flex items-center gap-2">
          <StatusBadge status={task.status} />
          <button type="button" aria-label="Close the task" className="no-print px-1 text-lg leading-6 text-faint hover:text-ink" onClick={() => onSelect(null)}>
            ×
          </button>
        </div>
      </header>
      <div className="space-y-4 p-4">
        <dl className="flex flex-wrap gap-x-6 gap-y-1.5 text-sm">
          <Fact name="Type">{task.type}</Fact>
          <Fact name="Took">
            <Took times={task} />
          </Fact>
          {task.started_at && <Fact name="Started">{dateTime(task.started_at)}</Fact>}
          {task.attempts > 1 && <Fact name="Attempts">{task.attempts}</Fact>}
          {tokens.requests > 0 && (
            <Fact name="Model">
              {plural(tokens.requests, "request")}, {number(tokens.input)} → {number(tokens.output)} tokens
            </Fact>
          )}
          {task.cost !== null && (
            <Fact name="Cost">
              <Money of={task} />
            </Fact>
          )}
          {task.waits_for && <Fact name="Waits for">{task.waits_for}</Fact>}
          {task.answered_by && <Fact name="Answered by">{task.answered_by}</Fact>}
        </dl>
        <div className="no-print flex flex-wrap gap-2">
          {mayRun && isRerunnable(run.status) && task.parent === null && (
            <Button size="sm" onClick={() => setRerun(true)}>
              Run again from here
            </Button>
          )}
          <Button size="sm" look="quiet" onClick={() => void copy(window.location.href)}>
            Copy link
          </Button>
        </div>
        <LiveText run={run} path={task.path} isEnded={isFinal(task.status)} />
        {whole.error && <Fault error={whole.error} />}
        {whole.data?.error && <TaskError error={whole.data.error} />}
        {whole.data && whole.data.output !== null && (
          <Part title="Output">
            <Value value={whole.data.output} name={task.path} />
          </Part>
        )}
        {whole.data && whole.data.input !== null && (
          <Part title="Input">
            <Value value={whole.data.input} name={`${task.path}-input`} />
          </Part>
        )}
        {children.length > 0 && (
          <Part title={plural(children.length, "task")}>
            <ul className="divide-y divide-line rounded-lg border border-line">
              {children.slice(0, MAX_CHILDREN).map((child) => (
                <li key={child.path}>
                  <button type="button" className="flex w-full items-center gap-2.5 px-3 py-1.5 text-left text-sm hover:bg-raised" onClick={() => onSelect(child.path)}>
                    <StatusDot status={child.status} />
                    <span className="min-w-0 flex-1 truncate">{child.task_id}</span>
                    <Took times={child} />
                  </button>
                </li>
              ))}
            </ul>
            {children.length > MAX_CHILDREN && <p className="mt-1 text-xs text-faint">The list of tasks shows all of them.</p>}
          </Part>
        )}
        {tokens.requests > 0 && <Conversation run={run} task={task} />}
      </div>
      {isRerun && <RerunDialog run={run} from={task.task_id} onClose={() => setRerun(false)} />}
    </section>
  );
}

export function TaskError({ error }: { error: NonNullable<Task["error"]> }) {
  const { task: _, place, ...details } = error.details;
  return (
    <div data-tone="bad" className="note space-y-2">
      <p className="whitespace-pre-wrap">{error.message}</p>
      <p className="flex flex-wrap gap-x-4 font-mono text-xs text-soft">
        <span>{error.code}</span>
        {typeof place === "string" && <span>{place}</span>}
      </p>
      {Object.keys(details).length > 0 && (
        <details className="text-sm">
          <summary>Details</summary>
          <div className="mt-2">
            <Value value={details} />
          </div>
        </details>
      )}
    </div>
  );
}

/** The answer that a model is writing. The stored answer replaces it. */
function LiveText({ run, path, isEnded }: { run: Run; path: string; isEnded: boolean }) {
  const text = useTexts().get(path);
  if (!text || isEnded || run.finished_at) return null;
  return (
    <Part title={text.isFinal ? "Answer" : "Answer, being written"}>
      <div aria-live="off" data-live-text={path} className="max-h-80 overflow-auto rounded-lg border border-run/40 bg-page p-3 text-sm whitespace-pre-wrap">
        {text.text}
        {!text.isFinal && <span className="ml-0.5 inline-block h-3.5 w-1.5 animate-pulse bg-run align-text-bottom" aria-hidden />}
      </div>
    </Part>
  );
}

/** The text that models are writing now, while no task is selected. */
export function LiveNow({ run }: { run: Run }) {
  const texts = useTexts();
  const running = run.tasks.filter((task) => task.status === "RUNNING" && texts.has(task.path)).slice(0, MAX_LIVE);
  return running.map((task) => (
    <section key={task.path} aria-label={`Text of ${task.path}`} className="card p-4">
      <p className="mb-2 font-mono text-xs text-faint">{task.path}</p>
      <LiveText run={run} path={task.path} isEnded={false} />
    </section>
  ));
}

function Conversation({ run, task }: { run: Run; task: Task }) {
  const messages = useMessages(run.execution_id, `${task.path} ${task.status} ${tokensOf(task.usage).requests}`);
  const own = messages.data?.filter((message) => message.path === task.path) ?? [];
  if (own.length === 0) return null;
  return (
    <Part title="Conversation">
      <Messages messages={own} />
    </Part>
  );
}

/** A link to another run. */
export function RunLink({ id }: { id: string }) {
  return (
    <Link to="/runs/$runId" params={{ runId: id }} className="font-mono text-accent hover:underline">
      {id}
    </Link>
  );
}
