// One run: its state, the graph and the tasks next to the selected one, and further views.
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useRef } from "react";
import type { Run } from "../../api/runs";
import { number, plural } from "../../lib/format";
import { one, type Search } from "../../lib/search";
import { Tabs } from "../../ui/button";
import { Money } from "../../ui/cost";
import { Fault, Loading, PageHead, Part } from "../../ui/layout";
import { StatusBadge } from "../../ui/status";
import { Ago, Took } from "../../ui/time";
import { Value } from "../../ui/value";
import { Actions } from "./actions";
import { TextsContext, tokensOf, useRun } from "./data";
import RunGraph from "./graph";
import { LiveNow, RunLink, TaskError, TaskPanel } from "./panel";
import { TaskList } from "./tasks";
import { Conversations, Definition, Events, Raw, Values } from "./views";
import { Waiting } from "./waiting";

const VIEWS = [
  { value: "graph", label: "Graph" },
  { value: "timeline", label: "Timeline" },
  { value: "values", label: "Input and output" },
  { value: "messages", label: "Messages" },
  { value: "events", label: "Events" },
  { value: "definition", label: "Definition" },
  { value: "json", label: "JSON" },
] as const;
type View = (typeof VIEWS)[number]["value"];

export default function RunPage() {
  const { runId } = useParams({ strict: false }) as { runId: string };
  const { run, texts } = useRun(runId);
  if (run.error && !run.data) return <Fault error={run.error} />;
  if (!run.data) return <Loading />;
  return (
    <TextsContext value={texts}>
      <Page key={runId} run={run.data} />
    </TextsContext>
  );
}

function Page({ run }: { run: Run }) {
  const search = useSearch({ strict: false }) as Search;
  const navigate = useNavigate();
  const view = (one(search.view) ?? "graph") as View;
  const path = one(search.task) ?? null;
  const task = run.tasks.find((each) => each.path === path);
  const panel = useRef<HTMLDivElement>(null);
  const go = useCallback(
    (next: Record<string, string | undefined>) =>
      void navigate({ to: "/runs/$runId", params: { runId: run.execution_id }, search: { ...next }, replace: true, resetScroll: false }),
    [navigate, run.execution_id],
  );
  const select = useCallback((next: string | null) => go({ view: view === "graph" ? undefined : view, task: next ?? undefined }), [go, view]);
  useEffect(() => {
    // Below the list on a phone: bring it into view.
    if (task && window.matchMedia("(max-width: 63.99rem)").matches) panel.current?.scrollIntoView({ block: "start" });
  }, [task?.path]); // eslint-disable-line
  const hasTasks = view === "graph" || view === "timeline";
  return (
    <>
      <Head run={run} />
      <div className="space-y-4 px-4 pb-10 sm:px-6">
        <Waiting run={run} />
        {!task && <LiveNow run={run} />}
        {run.error && run.status !== "CANCELED" && <RunError run={run} onSelect={select} />}
        {run.warnings.map((warning) => (
          <p key={warning} data-tone="wait" className="note text-sm">
            {warning}
          </p>
        ))}
        {run.limits?.waiting_since && <Place limits={run.limits} />}
        {run.fallbacks.length > 0 && <Fallbacks fallbacks={run.fallbacks} />}
        {!task && hasTasks && run.status === "SUCCESS" && <Result run={run} onShow={() => go({ view: "values" })} />}
        <div className="no-print">
          <Tabs label="View" value={view} options={VIEWS} onChange={(next) => go({ view: next === "graph" ? undefined : next, task: path ?? undefined })} />
        </div>
        {hasTasks ? (
          <div className={`grid items-start gap-4 ${task ? "lg:grid-cols-[minmax(0,1.25fr)_minmax(0,1fr)]" : ""}`}>
            <div className="min-w-0 space-y-4">
              {view === "graph" && (
                <div className="card overflow-hidden">
                  <RunGraph run={run} selected={path} onSelect={select} />
                </div>
              )}
              <div className="card overflow-hidden">
                <TaskList run={run} selected={path} onSelect={select} isTimeline={view === "timeline"} />
              </div>
            </div>
            {task && (
              <div ref={panel} className="min-w-0 scroll-mt-2 lg:sticky lg:top-4 lg:max-h-[calc(100dvh-2rem)] lg:overflow-y-auto print-full">
                <TaskPanel key={task.path} run={run} task={task} onSelect={select} />
              </div>
            )}
          </div>
        ) : (
          <div className="card overflow-hidden">
            <OtherView view={view} run={run} />
          </div>
        )}
      </div>
    </>
  );
}

/** The output of a run that ended, unless it is large. */
function Result({ run, onShow }: { run: Run; onShow: () => void }) {
  if (run.output !== null) {
    return (
      <section aria-label="Result" className="card p-4">
        <Part title="Result">
          <Value value={run.output} name={`${run.execution_id}-output`} />
        </Part>
      </section>
    );
  }
  return (
    <button type="button" className="no-print text-sm font-medium text-accent hover:underline" onClick={onShow}>
      Show the output
    </button>
  );
}

/** The runs, or the rate, for which a run waits. */
function Place({ limits }: { limits: NonNullable<Run["limits"]> }) {
  const { key, concurrency, rate, holders } = limits;
  const isFull = concurrency !== null && holders.length >= Math.min(concurrency, 10);
  const text = isFull
    ? `Waits for a place: ${number(concurrency)} open${key === null ? "" : ` with the key ${key}`}.`
    : rate === null
      ? "Waits for its start."
      : `Waits for its start: the rate is ${number(rate.limit)} in ${number(rate.period_s)} s.`;
  return (
    <p data-tone="wait" className="note text-sm">
      {text}{" "}
      {isFull &&
        holders.map((id) => (
          <span key={id}>
            <RunLink id={id} />{" "}
          </span>
        ))}
    </p>
  );
}

/** Models that answered instead of the configured ones, each once. */
function Fallbacks({ fallbacks }: { fallbacks: Run["fallbacks"] }) {
  const notes = fallbacks.map((each) => `${each.answered_by} (${each.model}) answered instead of ${each.provider}: ${each.reason}`);
  return [...new Set(notes)].map((note) => (
    <p key={note} data-tone="wait" className="note text-sm">
      {note}
    </p>
  ));
}

function OtherView({ view, run }: { view: View; run: Run }) {
  switch (view) {
    case "values":
      return <Values run={run} />;
    case "messages":
      return <Conversations run={run} />;
    case "events":
      return <Events run={run} />;
    case "definition":
      return <Definition run={run} />;
    default:
      return <Raw run={run} />;
  }
}

function Head({ run }: { run: Run }) {
  const tokens = tokensOf(run.usage.length ? run.usage : run.tasks.flatMap((task) => task.usage));
  const trigger = run.trigger;
  const labels = Object.entries(run.labels);
  return (
    <PageHead
      tab={`${run.workflow_id} ${run.status.toLowerCase()}`}
      title={
        <span className="flex flex-wrap items-center gap-x-3 gap-y-1">
          <Link to="/workflows/$workflowId" params={{ workflowId: run.workflow_id }} className="hover:underline">
            {run.workflow_id}
          </Link>
          <StatusBadge status={run.status} requested={run.requested} />
        </span>
      }
      about={
        <div className="space-y-1">
          <p className="font-mono text-xs">{run.execution_id}</p>
          <p className="flex flex-wrap gap-x-4 gap-y-1">
            <span>
              Accepted <Ago at={run.created_at} />
            </span>
            <span>
              {run.finished_at ? "Took" : run.status === "RUNNING" ? "Running for" : "Elapsed"} <Took times={run} />
            </span>
            {trigger && <span>Trigger: {[trigger.type, trigger.id, trigger.by && `by ${trigger.by}`].filter(Boolean).join(" · ")}</span>}
            {tokens.requests > 0 && (
              <span>
                {plural(tokens.requests, "model request")}
                {tokens.input + tokens.output > 0 && `, ${number(tokens.input + tokens.output)} tokens`}
              </span>
            )}
            {run.cost !== null && (
              <span>
                Cost <Money of={run} />
              </span>
            )}
            {run.rerun_of && (
              <span>
                Repeats <RunLink id={run.rerun_of} />
              </span>
            )}
          </p>
          {labels.length > 0 && (
            <p className="flex flex-wrap gap-1.5 text-xs">
              {labels.map(([name, value]) => (
                <Link key={name} to="/runs" search={{ label: `${name}=${value}` }} className="rounded bg-raised px-1.5 hover:text-ink">
                  {name}={value}
                </Link>
              ))}
            </p>
          )}
        </div>
      }
    >
      <Actions run={run} />
    </PageHead>
  );
}

function RunError({ run, onSelect }: { run: Run; onSelect: (path: string) => void }) {
  const error = run.error;
  if (!error) return null;
  const name = typeof error.details.task === "string" ? error.details.task : null;
  const failed = run.tasks.find((task) => task.path === name || task.task_id === name);
  return (
    <div className="space-y-2">
      <TaskError error={error} />
      {failed && (
        <button type="button" className="no-print text-sm font-medium text-accent hover:underline" onClick={() => onSelect(failed.path)}>
          Show the task {failed.path}
        </button>
      )}
    </div>
  );
}
