import { expect, test } from "vitest";
import type { Chunk } from "./live";
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
