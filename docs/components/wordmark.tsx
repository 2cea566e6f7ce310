/** The mark: a C whose two ends are steps of a workflow, the later one done. */
export function Mark({ className }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" className={className} aria-hidden="true" focusable="false">
      <path d="M22.6 9.4A9.3 9.3 0 1 0 22.6 22.6" fill="none" stroke="currentColor" strokeWidth="3.6" strokeLinecap="round" />
      <circle cx="24.4" cy="10.9" r="3.4" fill="var(--compozy-accent)" />
      <circle cx="24.4" cy="21.1" r="3.4" fill="currentColor" />
    </svg>
  );
}

/** Mark and name, for the head of every page. */
export function Wordmark() {
  return (
    <span className="inline-flex items-center gap-2 font-semibold tracking-tight text-[1.0625rem]">
      <Mark className="size-6" />
      Compozy
    </span>
  );
}

/** Branches of a repository. */
export function RepositoryIcon() {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2" strokeLinecap="round" aria-hidden="true" focusable="false">
      <circle cx="6" cy="5" r="2.5" />
      <circle cx="6" cy="19" r="2.5" />
      <circle cx="18" cy="7" r="2.5" />
      <path d="M6 7.5v9M18 9.5c0 4-6 3-10.5 7" />
    </svg>
  );
}
