import { expect, test } from "vitest";
import type { Run } from "../api/runs";
import { conversationOf, replyOf } from "./chat";

const chat = { message: "message", key: "user", task: "reply" };

test("a conversation is named as compozy chat names it", () => {
  const names = [{ user: "ana", language: "en" }, { user: 7 }, { user: "two\nlines\u00a0" }, { user: "é".repeat(300) }];
  expect(names.map((values) => conversationOf(chat, values))).toEqual(["ana", "7", "two lines ", "é".repeat(256)]);
  expect(conversationOf({ ...chat, key: null }, { user: "ana", language: "en" })).toBe("language=en, user=ana");
  expect(conversationOf({ ...chat, key: null }, {})).toBe("default");
});

test("the answer of a run is its text, its best text, its only text, that of its task, or JSON", () => {
  const reply = (output: unknown, answered: unknown = null) => replyOf({ output, tasks: [{ path: "reply", output: answered }] } as unknown as Run, "reply");
  expect(reply("Hello")).toBe("Hello");
  expect(reply({ label: "x", reply: "Hello", text: "y" })).toBe("Hello");
  expect(reply({ count: 2, greeting: "Hello" })).toBe("Hello");
  expect(reply({ first: "x", second: "y" }, { text: "Hello" })).toBe("Hello");
  expect(reply({ count: 2 })).toBe('{\n  "count": 2\n}');
});
