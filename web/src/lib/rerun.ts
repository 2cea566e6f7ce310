// The results that a rerun keeps: those of the top-level tasks before its first one, as the server decides.
import type { Run, Task } from "../api/runs";

const KEPT = new Set(["SUCCESS", "FAILED", "TIMED_OUT"]);

export const topTasks = (run: Run): Task[] => run.tasks.filter((task) => task.parent === null);

/** The tasks whose results are kept if the rerun starts with `from`; none without it. */
export function keptTasks(run: Run, from: string | null): Task[] {
  if (from === null) return [];
  const top = topTasks(run);
  const at = top.findIndex((task) => task.task_id === from);
  return (at < 0 ? top : top.slice(0, at)).filter((task) => KEPT.has(task.status));
}

/** The task that failed, which a rerun starts with by default; null if the run succeeded. */
export function failedTask(run: Run): string | null {
  if (run.status === "SUCCESS") return null;
  const named = run.error?.details?.task;
  if (typeof named === "string") return named;
  return topTasks(run).find((task) => task.status !== "SUCCESS")?.task_id ?? null;
}
