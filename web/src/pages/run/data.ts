// One run as the page follows it: read once, changed by the events of the stream, and read again regularly.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useState } from "react";
import { getMessages, getRun, getTask, type Run, type Task } from "../../api/runs";
import { isFinal } from "../../lib/status";
import { live, type RunEvent } from "../../live/live";
import { addChunk, type LiveTexts } from "../../live/texts";

export const runKey = (id: string) => ["run", id];

// A run with many tasks is read again less often; events show its changes meanwhile.
const readAgainMs = (tasks: number) => (tasks > 1000 ? 10_000 : tasks > 300 ? 4000 : 400);
// Events are applied together: a large run has hundreds in a second.
const collectMs = (tasks: number) => (tasks > 300 ? 250 : 30);

const STATES = new Set(["workflow_status", "task_status"]);

/** Apply events to a run, in their order. Tasks that the run lacks are added, without the values that only the server knows. */
export function applyEvents(run: Run, events: RunEvent[]): Run {
  let { status } = run;
  const places = new Map(run.tasks.map((task, index) => [task.path, index]));
  const tasks = [...run.tasks];
  let isChanged = false;
  for (const event of events) {
    const next = event.data.status as Task["status"] | undefined;
    if (!next || !STATES.has(event.kind)) continue;
    if (event.path === null) {
      // The stream starts with past events: the last one counts.
      status = next;
      continue;
    }
    const place = places.get(event.path);
    const known = place === undefined ? undefined : tasks[place];
    if (known && (known.status === next || isFinal(known.status))) continue;
    isChanged = true;
    const changed = known ? changedTask(known, next, event) : newTask(event.path, next, event);
    places.set(event.path, place ?? tasks.length);
    tasks[place ?? tasks.length] = changed;
  }
  if (!isChanged && status === run.status) return run;
  return { ...run, status, tasks };
}

const attemptsOf = (event: RunEvent) => event.data.attempts as number | undefined;

function changedTask(known: Task, status: Task["status"], event: RunEvent): Task {
  const finished_at = isFinal(status) ? event.created_at : known.finished_at;
  return { ...known, status, attempts: attemptsOf(event) ?? known.attempts, finished_at };
}

function newTask(path: string, status: Task["status"], event: RunEvent): Task {
  const at = path.lastIndexOf("/");
  return {
    path,
    task_id: path.slice(at + 1),
    parent: at < 0 ? null : path.slice(0, at),
    type: "",
    status,
    attempts: attemptsOf(event) ?? 1,
    created_at: event.created_at,
    started_at: event.created_at,
    finished_at: isFinal(status) ? event.created_at : null,
    input: null,
    output: null,
    error: null,
    usage: [],
    cost: null,
    unpriced_requests: 0,
    waits_for: null,
    signal_arrived: false,
    answered_by: null,
  };
}

export function useRun(id: string) {
  const queries = useQueryClient();
  const [texts, setTexts] = useState<LiveTexts>(new Map());
  const run = useQuery({
    queryKey: runKey(id),
    queryFn: ({ signal }) => getRun(id, signal),
    structuralSharing: false,
    // In addition to the stream, for changes that have no event.
    refetchInterval: (query) => (query.state.data && !isFinal(query.state.data.status) ? 10_000 : false),
  });
  const hasRun = run.data !== undefined;
  const isEnded = run.data !== undefined && isFinal(run.data.status);
  useEffect(() => {
    if (!hasRun || isEnded) return;
    let timer: number | undefined;
    let due = Infinity;
    let applying: number | undefined;
    let collected: RunEvent[] = [];
    const count = () => queries.getQueryData<Run>(runKey(id))?.tasks.length ?? 0;
    const read = () => {
      window.clearTimeout(timer);
      due = Infinity;
      void queries.invalidateQueries({ queryKey: runKey(id) });
    };
    const readAfter = (ms: number) => {
      if (due <= Date.now() + ms) return;
      window.clearTimeout(timer);
      due = Date.now() + ms;
      timer = window.setTimeout(read, ms);
    };
    const apply = () => {
      applying = undefined;
      const events = collected;
      collected = [];
      const known = queries.getQueryData<Run>(runKey(id));
      if (!known) return;
      const next = applyEvents(known, events);
      const isOther = events.some(({ kind }) => !STATES.has(kind));
      if (next === known && !isOther) return;
      // The state of a run is shown when it was read with its values.
      queries.setQueryData(runKey(id), { ...next, status: known.status });
      // Questions are read without delay.
      const isSoon = next.status !== known.status || next.tasks.some((task) => task.status === "WAITING" && !task.waits_for);
      readAfter(readAgainMs(isSoon ? 0 : next.tasks.length));
    };
    const stop = live.watch(
      id,
      {
        event(event) {
          collected.push(event);
          applying ??= window.setTimeout(apply, collectMs(count()));
        },
        chunk: (chunk) => setTexts((known) => addChunk(known, chunk)),
        end: read,
        reconnect: () => setTexts(new Map()),
      },
      true,
    );
    return () => {
      window.clearTimeout(timer);
      window.clearTimeout(applying);
      stop();
    };
  }, [id, hasRun, isEnded, queries]);
  return { run, texts };
}

export const TextsContext = createContext<LiveTexts>(new Map());
export const useTexts = () => useContext(TextsContext);

/** One task with its values. It is read again when its state changes. */
export function useTask(id: string, task: Task) {
  return useQuery({
    queryKey: ["task", id, task.path, task.status, task.attempts, task.signal_arrived],
    queryFn: () => getTask(id, task.path),
    placeholderData: (known) => (known?.path === task.path ? known : undefined),
    staleTime: isFinal(task.status) ? Infinity : 1000,
  });
}

/** The conversations of a run; read again when a task of it changes. */
export function useMessages(id: string, version: string, enabled = true) {
  return useQuery({
    queryKey: ["messages", id, version],
    queryFn: async () => (await getMessages(id)).messages,
    placeholderData: (known) => known,
    enabled,
  });
}

/** The tasks below one, and the paths of everything above it. */
export const childrenOf = (run: Run, path: string) => run.tasks.filter((task) => task.parent === path);
export const depthOf = (path: string) => path.split("/").length - 1;

export function tokensOf(usage: Record<string, unknown>[]): { input: number; output: number; requests: number } {
  const sum = (name: string) => usage.reduce((total, each) => total + Number(each[name] ?? 0), 0);
  return { input: sum("input_tokens"), output: sum("output_tokens"), requests: sum("requests") };
}
