// Keys of all pages: `/` searches, `j` and `k` move through rows, `x` selects one, `g` and a letter opens a page, `?` lists them.
// A button with `aria-keyshortcuts` is pressed by that key.

export const GO: Record<string, { to: string; label: string }> = {
  r: { to: "/runs", label: "Runs" },
  w: { to: "/workflows", label: "Workflows" },
  t: { to: "/chat", label: "Chat" },
  s: { to: "/schedules", label: "Schedules" },
  h: { to: "/webhooks", label: "Webhooks" },
  k: { to: "/knowledge", label: "Knowledge" },
  m: { to: "/memory", label: "Memory" },
  c: { to: "/costs", label: "Costs" },
  e: { to: "/tests", label: "Tests" },
  o: { to: "/workers", label: "Workers" },
  a: { to: "/access", label: "Access" },
};
const GO_MS = 1200;

const isTyping = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

function moveRow(step: number) {
  const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  const next = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

/** Select the row that has the focus, or clear its selection. */
function selectRow() {
  document.activeElement?.closest('[role="listitem"]')?.querySelector<HTMLInputElement>('input[type="checkbox"]')?.click();
}

/** The button of a key: a letter, so that no other key can be part of a selector. */
const buttonOf = (key: string) =>
  /^[a-z]$/.test(key) ? document.querySelector<HTMLElement>(`[aria-keyshortcuts="${key}"]:not(:disabled)`) : null;

/** Listen to the keys until the returned function is called. */
export function listenKeys(actions: { go(to: string): void; help(): void }): () => void {
  let goUntil = 0;
  const press = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    // A dialog has its own keys.
    if (document.querySelector("dialog[open]")) return;
    const isGo = Date.now() < goUntil;
    goUntil = 0;
    const go = GO[event.key];
    if (isGo && go) actions.go(go.to);
    else if (event.key === "g") goUntil = Date.now() + GO_MS;
    else if (event.key === "j") moveRow(1);
    else if (event.key === "k") moveRow(-1);
    else if (event.key === "?") actions.help();
    else if (event.key === "/") document.querySelector<HTMLElement>("[data-search]")?.focus();
    else if (event.key === "x") selectRow();
    else if (buttonOf(event.key)) buttonOf(event.key)?.click();
    else return;
    event.preventDefault();
  };
  document.addEventListener("keydown", press);
  return () => document.removeEventListener("keydown", press);
}
