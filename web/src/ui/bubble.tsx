import type { ReactNode } from "react";
import { Value } from "./value";

const ROLES: Record<string, string> = { user: "Message", assistant: "Answer", system: "Instruction", tool: "Tool" };
// Longer texts are shown in part.
const LONG = 20_000;

/** A message of a conversation: those of a person on the right, all others on the left. */
export function Bubble({ role, text, foot, children }: { role: string; text: string; foot?: ReactNode; children?: ReactNode }) {
  const isOwn = role === "user";
  return (
    <div className={`flex flex-col gap-1 ${isOwn ? "items-end" : "items-start"}`}>
      <div data-role={role} className={`max-w-[min(46rem,92%)] rounded-xl border px-3.5 py-2 whitespace-pre-wrap ${isOwn ? "border-transparent bg-tint" : "border-line bg-panel"}`}>
        <span className="sr-only">{ROLES[role] ?? role}: </span>
        {text.length > LONG ? <Value value={text} /> : <span data-text>{text}</span>}
        {children}
      </div>
      {foot && <p className="flex flex-wrap gap-x-3 px-1 text-xs text-faint">{foot}</p>}
    </div>
  );
}
