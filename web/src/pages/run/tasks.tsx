// The tasks of a run as rows, with their times as a list or on a common scale. Only rows that can be seen are drawn.
import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef, useState } from "react";
import type { Run, Task } from "../../api/runs";
import { useNow } from "../../lib/clock";
import { duration, number, plural } from "../../lib/format";
import { isFailed, isFinal } from "../../lib/status";
import { StatusBadge, StatusDot } from "../../ui/status";
import { Took } from "../../ui/time";
import { depthOf, tokensOf } from "./data";

interface Props {
  run: Run;
  selected: string | null;
  onSelect: (path: string) => void;
  isTimeline?: boolean;
}

export function TaskList({ run, selected, onSelect, isTimeline = false }: Props) {
  const [text, setText] = useState("");
  const [isFailedOnly, setFailedOnly] = useState(false);
  const failures = run.tasks.filter((task) => isFailed(task.status)).length;
  const tasks = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    return ordered(run.tasks).filter(
      (task) => (!wanted || `${task.path} ${task.type}`.toLowerCase().includes(wanted)) && (!isFailedOnly || isFailed(task.status)),
    );
  }, [run.tasks, text, isFailedOnly]);
  return (
    <div>
      {(run.tasks.length > 6 || failures > 0) && (
        <div className="no-print flex flex-wrap items-center gap-3 border-b border-line p-2.5">
          <input data-search type="search" aria-label="Filter tasks" placeholder="Filter tasks…  ( / )" className="field max-w-64" value={text} onChange={(event) => setText(event.target.value)} />
          {failures > 0 && (
            <label className="flex items-center gap-1.5 text-sm">
              <input type="checkbox" className="accent-accent" checked={isFailedOnly} onChange={(event) => setFailedOnly(event.target.checked)} />
              Only failed ({failures})
            </label>
          )}
          <span className="ml-auto text-xs text-faint">{plural(tasks.length, "task")}</span>
        </div>
      )}
      <Rows run={run} tasks={tasks} selected={selected} onSelect={onSelect} isTimeline={isTimeline} />
    </div>
  );
}

/** Tasks in the order in which they started, each container followed by its tasks. */
export function ordered(tasks: Task[]): Task[] {
  const below = new Map<string | null, Task[]>();
  const paths = new Set(tasks.map((task) => task.path));
  for (const task of tasks) {
    const parent = task.parent !== null && paths.has(task.parent) ? task.parent : null;
    const known = below.get(parent);
    if (known) known.push(task);
    else below.set(parent, [task]);
  }
  const found: Task[] = [];
  const add = (parent: string | null) => {
    for (const task of below.get(parent) ?? []) {
      found.push(task);
      add(task.path);
    }
  };
  add(null);
  return found;
}

function Rows({ run, tasks, selected, onSelect, isTimeline }: Required<Props> & { tasks: Task[] }) {
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: tasks.length,
    getScrollElement: () => box.current,
    estimateSize: () => 38,
    getItemKey: (index) => tasks[index]?.path ?? index,
    overscan: 10,
  });
  if (tasks.length === 0) return <p className="p-6 text-center text-faint">No task matches.</p>;
  return (
    <div ref={box} className="@container print-full max-h-[32rem] overflow-y-auto" role="list" aria-label="Tasks">
      <div className="relative" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((item) => {
          const task = tasks[item.index];
          if (!task) return null;
          return (
            <div key={item.key} role="listitem" className="absolute inset-x-0 top-0 h-[38px]" style={{ transform: `translateY(${item.start}px)` }}>
              <button
                type="button"
                data-row={task.path}
                aria-pressed={task.path === selected}
                onClick={() => onSelect(task.path)}
                className="flex h-full w-full items-center gap-3 border-b border-line px-3 text-left text-sm -outline-offset-2 hover:bg-raised aria-pressed:bg-tint"
              >
                {isTimeline ? <TimelineRow run={run} task={task} /> : <TableRow task={task} />}
              </button>
            </div>
          );
        })}
      </div>
    </div>
  );
}

function TableRow({ task }: { task: Task }) {
  const tokens = tokensOf(task.usage);
  return (
    <>
      <span className="w-24 shrink-0">
        <StatusBadge status={task.status} />
      </span>
      <span className="min-w-0 flex-1 truncate font-medium" style={{ paddingLeft: depthOf(task.path) * 14 }} title={task.path}>
        {task.task_id}
      </span>
      <span className="hidden w-24 shrink-0 truncate text-faint @lg:block">{task.type}</span>
      <span className="hidden w-20 shrink-0 text-right text-faint @3xl:block">{task.attempts > 1 ? plural(task.attempts, "attempt") : ""}</span>
      <span className="hidden w-24 shrink-0 text-right text-faint tabular-nums @2xl:block">
        {tokens.input + tokens.output > 0 ? `${number(tokens.input + tokens.output)} tokens` : ""}
      </span>
      <span className="w-18 shrink-0 text-right text-soft">
        <Took times={task} />
      </span>
    </>
  );
}

function TimelineRow({ run, task }: { run: Run; task: Task }) {
  const now = useNow();
  const start = Date.parse(run.started_at ?? run.created_at ?? "");
  const end = Math.max(run.finished_at ? Date.parse(run.finished_at) : now, start + 1);
  const from = task.started_at ? Date.parse(task.started_at) : null;
  const to = task.finished_at ? Date.parse(task.finished_at) : isFinal(run.status) ? end : now;
  const left = from === null ? 0 : Math.min(99.5, Math.max(0, ((from - start) / (end - start)) * 100));
  const width = from === null ? 0 : Math.max(0.5, Math.min(100 - left, ((to - from) / (end - start)) * 100));
  return (
    <>
      <span className="flex w-36 shrink-0 items-center gap-2 truncate sm:w-56" style={{ paddingLeft: depthOf(task.path) * 12 }} title={task.path}>
        <StatusDot status={task.status} />
        <span className="truncate font-medium">{task.task_id}</span>
      </span>
      <span className="relative h-4 min-w-0 flex-1 rounded bg-raised" title={from === null ? "" : `starts after ${duration(from - start)}`}>
        <Bar task={task} left={left} width={width} />
      </span>
      <span className="w-18 shrink-0 text-right text-soft">
        <Took times={task} />
      </span>
    </>
  );
}

function Bar({ task, left, width }: { task: Task; left: number; width: number }) {
  const tone = { RUNNING: "run", WAITING: "wait", PAUSED: "pause", SUCCESS: "good", FAILED: "bad", TIMED_OUT: "bad" }[task.status as string] ?? "gone";
  return <span data-tone={tone} className="absolute inset-y-0.5 rounded bg-(--tone) opacity-80" style={{ left: `${left}%`, width: `${width}%` }} />;
}
