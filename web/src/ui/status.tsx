import { shownStatus } from "../lib/status";

export function StatusBadge({ status, requested }: { status: string | null | undefined; requested?: string | null }) {
  const shown = shownStatus(status);
  const next = requested && requested !== status ? ` → ${shownStatus(requested).label.toLowerCase()}` : "";
  return (
    <span className="badge" data-tone={shown.tone} data-status={status ?? "none"}>
      <span className="dot" aria-hidden />
      {shown.label}
      {next}
    </span>
  );
}

export function StatusDot({ status }: { status: string | null | undefined }) {
  const shown = shownStatus(status);
  return (
    <span data-tone={shown.tone} className="inline-flex">
      <span className="dot" aria-hidden />
      <span className="sr-only">{shown.label}</span>
    </span>
  );
}
