// Places the tasks of a run: each container is laid out by itself, from the inside out.
import { graphlib, layout } from "@dagrejs/dagre";
import type { Graph } from "../../api/runs";

export const NODE = { width: 184, height: 48 };
const GAP = 14;
const HEAD = 30;
const PAD = 12;
// Containers with more tasks are drawn closed until they are opened.
export const FOLD_ABOVE = 8;
// More tasks than this are not drawn.
export const MAX_NODES = 400;

export interface Box {
  path: string;
  x: number;
  y: number;
  width: number;
  height: number;
  /** Whether tasks are drawn inside. */
  isOpen: boolean;
  /** The number of tasks inside. */
  count: number;
}

export interface Line {
  key: string;
  points: { x: number; y: number }[];
  label: string;
  isFailure: boolean;
}

export interface Drawing {
  width: number;
  height: number;
  boxes: Box[];
  lines: Line[];
  /** Tasks that are left out because there are too many. */
  left: number;
}

interface Placed {
  width: number;
  height: number;
  boxes: Box[];
  lines: Line[];
}

type Node = Graph["nodes"][number];
type Edge = Graph["edges"][number];

/** Draw a graph. `open` says whether a container with many tasks is open. */
export function draw(graph: Pick<Graph, "nodes" | "edges">, open: (path: string, count: number) => boolean): Drawing {
  const below = new Map<string | null, Node[]>();
  for (const node of graph.nodes) below.set(node.parent, [...(below.get(node.parent) ?? []), node]);
  const edges = new Map<string | null, Edge[]>();
  const parentOf = new Map(graph.nodes.map((node) => [node.path, node.parent]));
  for (const edge of graph.edges) {
    if (edge.source === null) continue;
    const parent = parentOf.get(edge.target) ?? null;
    edges.set(parent, [...(edges.get(parent) ?? []), edge]);
  }
  const budget = { left: MAX_NODES, out: 0 };
  const placed = place(null, below, edges, open, budget);
  return { ...placed, left: budget.out };
}

/** The nodes without the templates of collections whose items have started, and without the tasks in these templates. */
export function withoutTemplates(nodes: Node[]): Node[] {
  const started = new Set(nodes.filter((node) => node.status !== null).map((node) => node.parent));
  const templates = nodes.filter((node) => node.status === null && node.path.includes("{{") && started.has(node.parent)).map((node) => node.path);
  return nodes.filter((node) => !templates.some((path) => node.path === path || node.path.startsWith(`${path}/`)));
}

type Below = ReadonlyMap<string | null, Node[]>;
type Edges = ReadonlyMap<string | null, Edge[]>;
type Open = (path: string, count: number) => boolean;

function place(parent: string | null, below: Below, edges: Edges, open: Open, budget: { left: number; out: number }): Placed {
  const all = below.get(parent) ?? [];
  const nodes = all.slice(0, Math.max(0, budget.left));
  budget.out += all.length - nodes.length;
  budget.left -= nodes.length;
  const inside = new Map<string, Placed>();
  const sizes = nodes.map((node) => {
    const count = below.get(node.path)?.length ?? 0;
    if (count === 0 || !open(node.path, count)) return { node, count, isOpen: false, ...NODE };
    const content = place(node.path, below, edges, open, budget);
    inside.set(node.path, content);
    const width = Math.max(NODE.width, content.width + 2 * PAD);
    return { node, count, isOpen: true, width, height: content.height + HEAD + PAD };
  });
  const drawn = new Set(nodes.map((node) => node.path));
  const own = (edges.get(parent) ?? []).filter((edge) => drawn.has(edge.target) && edge.source !== null && drawn.has(edge.source));
  const spots = own.length ? layered(sizes, own) : grid(sizes);
  const boxes: Box[] = [];
  const lines = [...spots.lines];
  for (const { node, count, isOpen, width, height } of sizes) {
    const spot = spots.at.get(node.path) ?? { x: 0, y: 0 };
    boxes.push({ path: node.path, ...spot, width, height, isOpen, count });
    const content = inside.get(node.path);
    if (!content) continue;
    const dx = spot.x + (width - content.width) / 2;
    const dy = spot.y + HEAD;
    boxes.push(...content.boxes.map((box) => ({ ...box, x: box.x + dx, y: box.y + dy })));
    lines.push(...content.lines.map((line) => ({ ...line, points: line.points.map((p) => ({ x: p.x + dx, y: p.y + dy })) })));
  }
  return { width: spots.width, height: spots.height, boxes, lines };
}

interface Sized {
  node: Node;
  width: number;
  height: number;
}

interface Spots {
  width: number;
  height: number;
  at: Map<string, { x: number; y: number }>;
  lines: Line[];
}

/** Tasks that follow each other, in layers. */
function layered(sizes: Sized[], edges: Edge[]): Spots {
  const graph = new graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: "TB", nodesep: 24, ranksep: 34, marginx: 2, marginy: 2 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { node, width, height } of sizes) graph.setNode(node.path, { width, height });
  edges.forEach((edge, index) => graph.setEdge(String(edge.source), edge.target, { edge }, String(index)));
  layout(graph);
  const at = new Map<string, { x: number; y: number }>();
  for (const { node, width, height } of sizes) {
    const spot = graph.node(node.path) as { x: number; y: number };
    at.set(node.path, { x: spot.x - width / 2, y: spot.y - height / 2 });
  }
  const lines = graph.edges().map((key): Line => {
    const found = graph.edge(key) as { points: Line["points"]; edge: Edge };
    const { source, target, label, on_failure: isFailure } = found.edge;
    return { key: `${source}>${target}>${label}`, points: found.points, label, isFailure };
  });
  const whole = graph.graph() as { width?: number; height?: number };
  return { width: whole.width ?? 0, height: whole.height ?? 0, at, lines };
}

/** Tasks without an order, such as those of a parallel task, in rows. */
function grid(sizes: Sized[]): Spots {
  const columns = Math.min(4, Math.max(1, Math.ceil(Math.sqrt(sizes.length))));
  const at = new Map<string, { x: number; y: number }>();
  let y = 0;
  let whole = 0;
  for (let start = 0; start < sizes.length; start += columns) {
    const row = sizes.slice(start, start + columns);
    let x = 0;
    for (const { node, width } of row) {
      at.set(node.path, { x, y });
      x += width + GAP;
    }
    whole = Math.max(whole, x - GAP);
    y += Math.max(...row.map((each) => each.height)) + GAP;
  }
  return { width: Math.max(0, whole), height: Math.max(0, y - GAP), at, lines: [] };
}
