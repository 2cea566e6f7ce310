// Icons of the navigation, drawn as lines in a square of 16.
const PATHS = {
  runs: "M2.5 4h11M2.5 8h7M2.5 12h4M11 9.5v5l3.5-2.5Z",
  workflows: "M2 3h4.5v3.5H2ZM9.5 9.5H14V13H9.5ZM6.5 4.75h3.75a1.5 1.5 0 0 1 1.5 1.5V9.5",
  chat: "M2.5 3h11v8H7.5l-3 2.5V11h-2Z",
  schedules: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM8 5v3l2 1.5",
  webhooks: "M2 8h7M6.5 5 9.5 8l-3 3M8 2.5h5.5v11H8",
  knowledge: "M3 2.5h8.5A1.5 1.5 0 0 1 13 4v9.5H4.5A1.5 1.5 0 0 1 3 12ZM3 12a1.5 1.5 0 0 1 1.5-1.5H13M6 5.5h4",
  memory: "M13 4.3c0 1.1-2.2 1.9-5 1.9S3 5.4 3 4.3s2.2-1.9 5-1.9 5 .8 5 1.9ZM3 4.3v7.4c0 1.1 2.2 1.9 5 1.9s5-.8 5-1.9V4.3M3 8c0 1.1 2.2 1.9 5 1.9S13 9.1 13 8",
  costs: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM8 4.5v7M10 6H7.2a1.2 1.2 0 0 0 0 2.4h1.6a1.2 1.2 0 0 1 0 2.4H6",
  tests: "M2.5 2.5h11v11h-11ZM5 8l2.2 2.2L11 6",
  workers: "M2.5 3h11v4h-11ZM2.5 9h11v4h-11ZM5 5h.01M5 11h.01",
  access: "M5 8a3 3 0 1 0 .01 6A3 3 0 0 0 5 8ZM7.2 8.8 13.5 2.5M11 5l2 2",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg viewBox="0 0 16 16" className="size-4 shrink-0" fill="none" stroke="currentColor" strokeWidth={1.4} strokeLinecap="round" strokeLinejoin="round" aria-hidden>
      <path d={PATHS[name]} />
    </svg>
  );
}
