// The states of runs and tasks as the page shows them. A state that this page does not know is shown as it is.

export type Tone = "idle" | "run" | "wait" | "pause" | "good" | "bad" | "gone";

interface Shown {
  label: string;
  tone: Tone;
  isFinal: boolean;
  sentence: string;
}

const KNOWN: Record<string, Shown> = {
  PENDING: { label: "Pending", tone: "idle", isFinal: false, sentence: "Waits for a free slot." },
  RUNNING: { label: "Running", tone: "run", isFinal: false, sentence: "Is running." },
  WAITING: { label: "Waiting", tone: "wait", isFinal: false, sentence: "Waits for an answer or a signal." },
  PAUSED: { label: "Paused", tone: "pause", isFinal: false, sentence: "Paused; resume it to continue." },
  SUCCESS: { label: "Success", tone: "good", isFinal: true, sentence: "Finished." },
  FAILED: { label: "Failed", tone: "bad", isFinal: true, sentence: "Failed." },
  TIMED_OUT: { label: "Timed out", tone: "bad", isFinal: true, sentence: "Exceeded its time limit." },
  CANCELED: { label: "Canceled", tone: "gone", isFinal: true, sentence: "Canceled." },
  MOVED: { label: "Moved", tone: "gone", isFinal: true, sentence: "Continues in another database." },
};

export const STATUSES = Object.keys(KNOWN);
export const OPEN = STATUSES.filter((status) => !KNOWN[status]?.isFinal);

export function shownStatus(status: string | null | undefined): Shown {
  if (!status) return { label: "Not started", tone: "idle", isFinal: false, sentence: "Did not start." };
  return KNOWN[status] ?? { label: status, tone: "idle", isFinal: false, sentence: status };
}

export const isFinal = (status: string | null | undefined) => shownStatus(status).isFinal;
export const isRerunnable = (status: string) => isFinal(status) && status !== "MOVED";
export const isFailed = (status: string) => shownStatus(status).tone === "bad";
