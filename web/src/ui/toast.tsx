import { useSyncExternalStore } from "react";
import { explain } from "../api/client";

interface Toast {
  id: number;
  text: string;
  tone: "good" | "bad";
}

let shown: Toast[] = [];
let last = 0;
const listeners = new Set<() => void>();

function set(next: Toast[]) {
  shown = next;
  listeners.forEach((listener) => listener());
}

function show(text: string, tone: Toast["tone"]) {
  const id = ++last;
  set([...shown.slice(-2), { id, text, tone }]);
  window.setTimeout(() => hide(id), tone === "bad" ? 12_000 : 4000);
}

const hide = (id: number) => set(shown.filter((toast) => toast.id !== id));

/** Report that something was done. */
export const done = (text: string) => show(text, "good");
/** Report an error. */
export const failed = (error: unknown) => show(explain(error), "bad");

export function Toasts() {
  const toasts = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => shown,
  );
  return (
    <div role="status" aria-live="polite" className="no-print pointer-events-none fixed inset-x-4 bottom-4 z-50 flex flex-col items-end gap-2">
      {toasts.map((toast) => (
        <div key={toast.id} data-tone={toast.tone} className="note pointer-events-auto flex max-w-md items-start gap-3 shadow-pop">
          <span>{toast.text}</span>
          <button type="button" aria-label="Dismiss" className="text-faint hover:text-ink" onClick={() => hide(toast.id)}>
            ×
          </button>
        </div>
      ))}
    </div>
  );
}
