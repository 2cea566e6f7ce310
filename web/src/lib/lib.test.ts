import { describe, expect, test } from "vitest";
import type { Run, Task } from "../api/runs";
import { diffLines } from "./diff";
import { fieldText, InvalidJson, isEqual, readJson, requestBody } from "./json";
import { duration, firstDay, localTime, money, relative } from "./format";
import { withoutTemplates } from "../pages/run/layout";
import { readReport } from "./report";
import { failedTask, keptTasks } from "./rerun";
import { hasForm, initialValue, kindOf, mismatchesOf, withProperty } from "./schema";
import { parseSearch, stringifySearch } from "./search";
import { isFinal, shownStatus } from "./status";

test("durations", () => {
  expect([0, 350, 4250, 59_900, 60_000, 185_000, 7_800_000, 273_600_000].map(duration)).toEqual(
    ["0 ms", "350 ms", "4.2 s", "59 s", "1 min", "3 min 5 s", "2 h 10 min", "3 d 4 h"],
  );
});

test("relative times", () => {
  const now = Date.parse("2027-01-01T12:00:00Z");
  const at = (seconds: number) => relative(new Date(now + seconds * 1000).toISOString(), now);
  expect([-2, -75, -7200, -200_000, 5, 90].map(at)).toEqual(["just now", "1 min ago", "2 h ago", "2 d ago", "in a moment", "in 1 min"]);
});

test("money has cents, and more digits for small amounts", () => {
  expect([0, 12, 1234.567, 0.5, 0.0123, 0.00042, 0.0000004].map(money)).toEqual(["$0.00", "$12.00", "$1,234.57", "$0.50", "$0.0123", "$0.0004", "<$0.0001"]);
});

test("a period ends today", () => {
  const now = Date.parse("2027-01-03T12:00:00Z");
  expect([firstDay(1, now), firstDay(7, now), firstDay(null, now)]).toEqual(["2027-01-03", "2026-12-28", undefined]);
});

test("a query keeps names and values", () => {
  const search = { status: ["FAILED", "LATER"], q: "a b&c" };
  expect(parseSearch(stringifySearch(search))).toEqual(search);
  expect(stringifySearch({ q: "", status: undefined })).toBe("");
});

test("an unknown state is shown by its name", () => {
  expect(shownStatus("LATER")).toMatchObject({ label: "LATER", tone: "idle" });
  expect(isFinal("LATER")).toBe(false);
});

describe("a rerun", () => {
  const task = (task_id: string, status: string, parent: string | null = null) => ({ task_id, path: task_id, status, parent }) as Task;
  const tasks = [task("a", "SUCCESS"), task("b", "FAILED"), task("b/x", "SUCCESS", "b"), task("c", "CANCELED")];
  const run = { status: "FAILED", error: { code: "task", message: "", details: { task: "b" } }, tasks } as unknown as Run;

  test("starts with the task that failed", () => {
    expect(failedTask(run)).toBe("b");
    expect(failedTask({ ...run, status: "SUCCESS" })).toBe(null);
    expect(failedTask({ ...run, error: null })).toBe("b");
  });

  test("keeps what ended before it", () => {
    const kept = (from: string | null) => keptTasks(run, from).map((each) => each.task_id);
    expect([kept(null), kept("a"), kept("b"), kept("c"), kept("new")]).toEqual([[], [], ["a"], ["a", "b"], ["a", "b"]]);
  });
});

test("a template is left out of a graph with what is inside of it, once its items have started", () => {
  const node = (path: string, parent: string | null, status: "RUNNING" | null) => ({ path, task_id: path, parent, type: "basic", status, attempts: 0 });
  const template = [node("each", null, null), node("each/item-{{ .index }}", "each", null), node("each/item-{{ .index }}/ask", "each/item-{{ .index }}", null)];
  const started = [...template, node("each/item-0", "each", "RUNNING"), node("each/item-0/ask", "each/item-0", "RUNNING")];
  expect(withoutTemplates(template)).toEqual(template);
  expect(withoutTemplates(started).map((each) => each.path)).toEqual(["each", "each/item-0", "each/item-0/ask"]);
});

describe("a form", () => {
  const schema = {
    type: "object",
    required: ["city"],
    properties: {
      city: { $ref: "#/$defs/city" },
      days: { type: ["integer", "null"], default: 3 },
      options: { type: "object", properties: { loud: { type: "boolean", default: true } } },
      tags: { type: "array", items: { type: "string" } },
    },
    $defs: { city: { type: "string", enum: ["Oslo", "Rome"] } },
  };

  test("has fields by type", () => {
    expect(hasForm(schema)).toBe(true);
    expect(hasForm({ type: "object" })).toBe(false);
    expect(kindOf(schema.properties.days)).toBe("integer");
    expect(kindOf(schema.properties.tags)).toBe("json");
    expect(kindOf(schema.$defs.city)).toBe("choice");
    expect(kindOf({ type: ["string", "integer"] })).toBe("json");
  });

  test("starts with the defaults", () => {
    expect(initialValue(schema, schema)).toEqual({ days: 3, options: { loud: true } });
  });

  test("leaves out what is empty", () => {
    expect(withProperty({ city: "Oslo", days: 3 }, "days", undefined)).toEqual({ city: "Oslo" });
  });

  test("shows a missing key at its field", () => {
    const problems = ["", "options"].map((path) => ({ path, message: "missing key 'city'" }));
    expect(mismatchesOf({ problems }).map((each) => each.path)).toEqual(["city", "options.city"]);
  });

  test("reads mismatches, and nothing else", () => {
    expect(mismatchesOf({ problems: [{ path: "city", message: "is missing" }, 3, null] })).toEqual([{ path: "city", message: "is missing" }]);
    expect([mismatchesOf(null), mismatchesOf({ problems: "x" })]).toEqual([[], []]);
  });
});

describe("entered JSON", () => {
  test("is not sent if it is not valid", () => {
    const wrong = readJson('{"city":');
    expect(fieldText(wrong)).toBe('{"city":');
    for (const body of [wrong, { input: { tags: [wrong] } }]) expect(() => requestBody(body)).toThrow("not valid JSON");
    expect(fieldText({ tags: new InvalidJson("a, b") })).toBe('{\n  "tags": "a, b"\n}');
    expect(new Set([" ", '{"city": "Oslo"}'].map((text) => requestBody({ input: readJson(text) })))).toEqual(new Set(["{}", '{"input":{"city":"Oslo"}}']));
  });

  test("is equal with its keys in another order", () => {
    expect(isEqual({ a: 1, b: [{ c: 2, d: null }] }, { b: [{ d: null, c: 2 }], a: 1 })).toBe(true);
    expect(isEqual([1, 2], [2, 1])).toBe(false);
  });
});

test("differences of texts give both texts", () => {
  const a = "one\ntwo\nthree\nfour";
  const b = "one\n2\nthree\nfive\nfour";
  const lines = diffLines(a, b);
  const without = (kind: string) => lines.filter((line) => line.kind !== kind).map((line) => line.text).join("\n");
  expect(without("added")).toBe(a);
  expect(without("removed")).toBe(b);
  expect(lines.filter((line) => line.kind === "same").length).toBe(3);
});

test("a report of tests is read, and parts that are not known are left out", () => {
  expect(["", "null", "[]", "{}", '{"tests": 1}'].map(readReport)).toEqual([null, null, null, null, null]);
  const report = readReport('{"tests": [{"name": "one", "status": "failed", "problems": ["x"]}, 7], "evaluations": [{"score": 0.5, "cases": [{"score": "1"}]}]}');
  expect(report?.tests).toEqual([{ file: "", name: "one", workflow: "", status: "failed", seconds: 0, problems: ["x"] }]);
  expect(report?.evaluations[0]?.cases).toEqual([{ input: undefined, output: undefined, score: 0, reason: "", problem: "", cost: null }]);
});

test("the time in the zone of a schedule has its date if that is another day", () => {
  const at = (hour: number) => new Date(2027, 0, 15, hour).toISOString();
  expect(localTime(at(12), "2027-01-15T13:30:00+01:00")).toBe("13:30");
  expect(localTime(at(23), "2027-01-16T00:30:00+01:00")).toBe("2027-01-16 00:30");
  expect(localTime(at(12).replace(":00.000Z", ":05.000Z"), "2027-01-15T13:30:05+01:00")).toBe("13:30:05");
});
