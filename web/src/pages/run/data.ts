// One run as the page follows it: read once, changed by the events of the stream, and read again regularly.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useState } from "react";
import { getMessages, getRun, getTask, type Run, type Task } from "../../api/runs";
import { isFinal } from "../../lib/status";
import { live, type RunEvent } from "../../live/live";
import { addChunk, type LiveTexts } from "../../live/texts";

export const runKey = (id: string) => ["run", id];

// A run with many tasks is read again less often.
const readAgainMs = (tasks: number) => (tasks > 300 ? 4000 : 400);

/** Apply an event to a run. Returns null if the run lacks the task of the event. */
export function applyEvent(run: Run, event: RunEvent): Run | null {
  const status = event.data.status as Task["status"] | undefined;
  if (!status) return run;
  if (event.path === null) return { ...run, status };
  const index = run.tasks.findIndex((task) => task.path === event.path);
  const known = run.tasks[index];
  if (!known) return null;
  // The stream starts with past events.
  if (known.status === status || isFinal(known.status)) return run;
  const tasks = [...run.tasks];
  tasks[index] = {
    ...known,
    status,
    attempts: (event.data.attempts as number | undefined) ?? known.attempts,
    finished_at: isFinal(status) ? event.created_at : known.finished_at,
  };
  return { ...run, tasks };
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
    const read = () => {
      timer = undefined;
      void queries.invalidateQueries({ queryKey: runKey(id) });
      void queries.invalidateQueries({ queryKey: ["graph", id] });
    };
    const soon = () => {
      const known = queries.getQueryData<Run>(runKey(id));
      timer ??= window.setTimeout(read, readAgainMs(known?.tasks.length ?? 0));
    };
    const stop = live.watch(
      id,
      {
        event(event) {
          const known = queries.getQueryData<Run>(runKey(id));
          if (!known) return;
          const next = applyEvent(known, event);
          if (next === known) return;
          if (next && event.path !== null) queries.setQueryData(runKey(id), next);
          soon();
        },
        chunk: (chunk) => setTexts((known) => addChunk(known, chunk)),
        end: read,
        reconnect: () => setTexts(new Map()),
      },
      true,
    );
    return () => {
      window.clearTimeout(timer);
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
