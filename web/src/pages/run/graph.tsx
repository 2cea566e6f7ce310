// The graph of a run: a drawing whose tasks can be selected, with their states as they change.
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState, type KeyboardEvent } from "react";
import { getGraph, type Graph, type Run, type Task as RunTask } from "../../api/runs";
import { plural } from "../../lib/format";
import { shownStatus } from "../../lib/status";
import { Button, Tabs } from "../../ui/button";
import { Fault, Loading } from "../../ui/layout";
import { draw, FOLD_ABOVE, withoutTemplates, type Box, type Line } from "./layout";

interface Props {
  run: Run;
  selected: string | null;
  onSelect: (path: string) => void;
}

interface State {
  status: string | null;
  attempts: number;
  type: string;
  label: string;
}

const SIZES = [
  { value: "fit", label: "Fit" },
  { value: "full", label: "100 %" },
] as const;

export default function RunGraph({ run, selected, onSelect }: Props) {
  const graph = useQuery({ queryKey: ["graph", run.execution_id], queryFn: () => getGraph(run.execution_id), staleTime: Infinity });
  if (graph.error) return <Fault error={graph.error} />;
  return graph.data ? <GraphView graph={graph.data} tasks={run.tasks} selected={selected} onSelect={onSelect} /> : <Loading />;
}

const NONE: RunTask[] = [];

interface ViewProps {
  graph: Pick<Graph, "nodes" | "edges">;
  tasks?: RunTask[];
  selected?: string | null;
  onSelect?: (path: string) => void;
}

/** A graph with the states of `tasks`; without `onSelect`, its tasks are not buttons. */
export function GraphView({ graph: data, tasks = NONE, selected = null, onSelect }: ViewProps) {
  const [opened, setOpened] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [size, setSize] = useState<"fit" | "full">("fit");
  // Tasks of a run are added to it and never removed.
  const nodes = useMemo(() => withoutTemplates(withTasks(data.nodes, tasks)), [data, tasks.length]);
  const drawing = useMemo(() => draw({ nodes, edges: data.edges }, (path, count) => opened.get(path) ?? count <= FOLD_ABOVE), [nodes, data, opened]);
  const states = useMemo(() => {
    const known = new Map<string, State>();
    for (const node of nodes) known.set(node.path, { status: node.status, attempts: node.attempts, type: node.type, label: node.task_id });
    for (const task of tasks) known.set(task.path, { status: task.status, attempts: task.attempts, type: task.type, label: task.task_id });
    return known;
  }, [nodes, tasks]);
  if (drawing.boxes.length === 0) return <p className="p-6 text-center text-faint">This run has no tasks.</p>;
  const toggle = (box: Box) => setOpened((known) => new Map(known).set(box.path, !box.isOpen));
  const width = drawing.width + 16;
  const height = drawing.height + 16;
  return (
    <div>
      <div className="print-full max-h-[36rem] overflow-auto p-3" tabIndex={0} role="group" aria-label="Graph of the tasks">
        <svg
          viewBox={`-8 -8 ${width} ${height}`}
          width={width}
          height={height}
          className={`mx-auto block ${size === "fit" ? "h-auto max-w-full" : ""}`}
          style={size === "fit" ? { minWidth: Math.min(width, width * 0.55) } : undefined}
        >
          <defs>
            {["plain", "bad"].map((name) => (
              <marker key={name} id={`arrow-${name}`} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
                <path d="M0 0.5 8 4 0 7.5Z" className={name === "bad" ? "fill-bad" : "fill-faint"} />
              </marker>
            ))}
          </defs>
          {drawing.boxes.map((box) => (
            <Task key={box.path} box={box} state={states.get(box.path)} isSelected={box.path === selected} onSelect={onSelect} onToggle={toggle} counts={box.count && !box.isOpen ? countsOf(tasks, box.path) : null} />
          ))}
          {drawing.lines.map((line) => (
            <Arrow key={line.key} line={line} />
          ))}
        </svg>
      </div>
      <div className="no-print flex flex-wrap items-center justify-between gap-2 border-t border-line px-3 py-2 text-xs text-faint">
        <span>
          {plural(nodes.length, "task")}
          {drawing.left > 0 && `, ${plural(drawing.left, "task")} not drawn; see the list`}
        </span>
        <span className="flex items-center gap-2">
          {drawing.boxes.some((box) => box.count > FOLD_ABOVE) && (
            <Button size="sm" look="quiet" onClick={() => setOpened(new Map())}>
              Fold
            </Button>
          )}
          <Tabs label="Size" value={size} options={SIZES} onChange={setSize} />
        </span>
      </div>
    </div>
  );
}

/** Add the tasks that started after the graph was read. */
function withTasks(nodes: Graph["nodes"], tasks: RunTask[]): Graph["nodes"] {
  const known = new Set(nodes.map((node) => node.path));
  const others = tasks.filter((task) => !known.has(task.path));
  return [...nodes, ...others.map(({ path, task_id, parent, type, status, attempts }) => ({ path, task_id, parent, type, status, attempts }))];
}

function countsOf(tasks: RunTask[], path: string): [string, number][] {
  const counts = new Map<string, number>();
  for (const task of tasks) if (task.parent === path) counts.set(task.status, (counts.get(task.status) ?? 0) + 1);
  return [...counts];
}

interface TaskProps {
  box: Box;
  state: State | undefined;
  isSelected: boolean;
  counts: [string, number][] | null;
  onSelect: ((path: string) => void) | undefined;
  onToggle: (box: Box) => void;
}

function Task({ box, state, isSelected, counts, onSelect, onToggle }: TaskProps) {
  const shown = shownStatus(state?.status);
  const label = state?.label ?? box.path;
  const isStarted = state?.status != null;
  const press = (act: () => void) => (event: KeyboardEvent) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  };
  const select = () => onSelect?.(box.path);
  const button = onSelect
    ? { role: "button", tabIndex: 0, "aria-pressed": isSelected, onClick: select, onKeyDown: press(select), className: "cursor-pointer" }
    : { role: "img" };
  const about = counts?.length
    ? counts.map(([status, count]) => `${count} ${shownStatus(status).label.toLowerCase()}`).join(", ")
    : `${state?.type ?? ""}${(state?.attempts ?? 0) > 1 ? ` · ${state?.attempts} attempts` : ""}`;
  return (
    <g transform={`translate(${box.x} ${box.y})`} data-tone={shown.tone}>
      {/* The title is the name of the button: a label would have to contain all its texts. */}
      <g {...button} aria-label={onSelect ? undefined : box.path}>
        <title>{`${box.path}: ${shown.label}`}</title>
        <rect
          width={box.width}
          height={box.height}
          rx={8}
          className={`${box.isOpen ? "fill-page" : "fill-panel"} ${isSelected ? "stroke-accent" : isStarted ? "stroke-strong" : "stroke-line"}`}
          strokeWidth={isSelected ? 2 : 1}
          strokeDasharray={isStarted ? undefined : "4 3"}
        />
        <circle cx={15} cy={box.isOpen ? 15 : 17} r={4.5} className="fill-(--tone)" opacity={isStarted ? 1 : 0.35}>
          {shown.tone === "run" && <animate attributeName="opacity" values="1;0.3;1" dur="1.6s" repeatCount="indefinite" />}
        </circle>
        <text x={26} y={box.isOpen ? 19.5 : 21.5} className="fill-ink text-[13px] font-medium">
          {cut(label, box.width - (box.count ? 58 : 36))}
        </text>
        {!box.isOpen && (
          <text x={26} y={37} className="fill-faint text-[11px]">
            {cut(about, box.width - 30, 6)}
          </text>
        )}
      </g>
      {box.count > 0 && (
        <g
          role="button"
          tabIndex={0}
          aria-expanded={box.isOpen}
          aria-label={`${box.isOpen ? "Fold" : "Show"} the ${plural(box.count, "task")} of ${box.path}`}
          onClick={() => onToggle(box)}
          onKeyDown={press(() => onToggle(box))}
          className="cursor-pointer"
          transform={`translate(${box.width - 30} 6)`}
        >
          <rect width={24} height={18} rx={4} className="fill-raised stroke-line" />
          <text x={12} y={13.5} textAnchor="middle" className="fill-soft text-[12px]">
            {box.isOpen ? "−" : "+"}
          </text>
        </g>
      )}
    </g>
  );
}

function cut(text: string, width: number, character = 7): string {
  const most = Math.max(4, Math.floor(width / character));
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function Arrow({ line }: { line: Line }) {
  const { points, label, isFailure } = line;
  const middle = points[Math.floor(points.length / 2)] ?? { x: 0, y: 0 };
  return (
    <g className="pointer-events-none">
      <path
        d={curve(points)}
        fill="none"
        className={isFailure ? "stroke-bad" : "stroke-faint"}
        strokeDasharray={isFailure ? "4 3" : undefined}
        strokeWidth={1.3}
        markerEnd={`url(#arrow-${isFailure ? "bad" : "plain"})`}
      />
      {label && (
        <text x={middle.x + 5} y={middle.y + 3} className={`text-[11px] ${isFailure ? "fill-bad" : "fill-soft"}`}>
          {cut(label, 150, 6)}
        </text>
      )}
    </g>
  );
}

/** A smooth line through points. */
function curve(points: Line["points"]): string {
  const [first, ...rest] = points;
  if (!first) return "";
  const last = rest.at(-1) ?? first;
  const bends = rest.slice(0, -1).map((point, index) => {
    const next = rest[index + 1] ?? last;
    return `Q ${point.x} ${point.y} ${(point.x + next.x) / 2} ${(point.y + next.y) / 2}`;
  });
  return `M ${first.x} ${first.y} ${bends.join(" ")} L ${last.x} ${last.y}`;
}
