// A workflow as a conversation. `compozy chat` follows the same rules.
import type { Run } from "../api/runs";
import type { Chat } from "../api/project";
import { textOf } from "./text";

/** The label of the runs of a conversation. */
export const LABEL = "chat";
const MAX_LABEL = 256;
// Keys of an output under which answers are often found.
const ANSWERS = ["reply", "answer", "response", "text", "message"];

type Values = Record<string, unknown>;

const isValues = (value: unknown): value is Values => typeof value === "object" && value !== null && !Array.isArray(value);
export const valuesOf = (value: unknown): Values => (isValues(value) ? value : {});

/** The label of a conversation: the value that names it, or all values of its input without the message. */
export function conversationOf(chat: Chat, values: Values): string {
  const named = chat.key === null ? undefined : values[chat.key];
  const pairs = Object.entries(values).sort(([one], [other]) => (one < other ? -1 : 1));
  const name = named === undefined ? pairs.map(([key, value]) => `${key}=${textOf(value)}`).join(", ") || "default" : textOf(named);
  return [...name.replace(/[\p{C}\p{Z}]/gu, " ")].slice(0, MAX_LABEL).join("");
}

/** The answer in the output of a run: its text, its one text, or else that of its task, or its JSON. */
export function replyOf(run: Pick<Run, "output" | "tasks">, task: string): string {
  const { output } = run;
  if (typeof output === "string") return output;
  const texts = Object.entries(valuesOf(output)).filter((each): each is [string, string] => typeof each[1] === "string");
  const found = ANSWERS.map((name) => texts.find(([key]) => key === name)).find(Boolean) ?? (texts.length === 1 ? texts[0] : undefined);
  if (found) return found[1];
  const answered = valuesOf(run.tasks.find((each) => each.path === task)?.output).text;
  return typeof answered === "string" ? answered : textOf(output);
}
