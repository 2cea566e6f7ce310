import { expect, test } from "vitest";
import type { Run } from "../api/runs";
import { applyEvents } from "../pages/run/data";
import type { Chunk, RunEvent } from "./live";
import { EventParser } from "./parse";
import { addChunk, type LiveTexts } from "./texts";

test("events are read from pieces of any size", () => {
  const text = 'event: task_status\ndata: {"a": 1}\nid: 7\n\n: ping\n\nevent: complete\r\ndata: {}\r\n\r\n';
  for (let size = 1; size <= text.length; size++) {
    const parser = new EventParser();
    const events = [];
    for (let at = 0; at < text.length; at += size) events.push(...parser.take(text.slice(at, at + size)));
    expect(events).toEqual([
      { name: "task_status", data: '{"a": 1}', id: "7" },
      { name: "complete", data: "{}", id: null },
    ]);
  }
});

const chunk = (offset: number, text: string, more: Partial<Chunk> = {}): Chunk => ({
  execution_id: "x",
  path: "write",
  request: 0,
  attempt: 1,
  offset,
  text,
  final: false,
  ...more,
});

test("text grows, starts again with another attempt, and repeats nothing", () => {
  const texts = (chunks: Chunk[]) => chunks.reduce<LiveTexts>(addChunk, new Map()).get("write")?.text;
  expect(texts([chunk(0, "One "), chunk(4, "🚢 "), chunk(6, "two")])).toBe("One 🚢 two");
  expect(texts([chunk(0, "One "), chunk(0, "One two")])).toBe("One two");
  expect(texts([chunk(0, "One "), chunk(0, "Two", { attempt: 2 })])).toBe("Two");
  expect(texts([chunk(0, "One "), chunk(9, "lost")])).toBe("One ");
});

const stated = (path: string | null, status: string, kind = path === null ? "workflow_status" : "task_status") =>
  ({ execution_id: "x", kind, path, seq: 0, data: { status }, created_at: "2027-01-01T00:00:00.000Z" }) as RunEvent;

test("events change tasks, add tasks, and never undo an end", () => {
  const run = { status: "RUNNING", tasks: [{ path: "a", status: "SUCCESS", attempts: 1 }] } as unknown as Run;
  expect(applyEvents(run, [stated("a", "RUNNING"), stated(null, "RUNNING"), stated("a", "ok", "tool_call")])).toBe(run);
  const next = applyEvents(run, [stated("b/c", "RUNNING"), stated("b/c", "SUCCESS"), stated(null, "WAITING")]);
  expect(next.status).toBe("WAITING");
  expect(next.tasks.map(({ path, status }) => [path, status])).toEqual([["a", "SUCCESS"], ["b/c", "SUCCESS"]]);
  expect(next.tasks[1]).toMatchObject({ task_id: "c", parent: "b", finished_at: "2027-01-01T00:00:00.000Z" });
});
