import type { ReactNode } from "react";
import { explain } from "../api/client";
import { useTitle } from "../lib/clock";

/** The head of a page: its title, a line about it, and its buttons. */
export function PageHead({ title, about, tab, children }: {
  title: ReactNode;
  about?: ReactNode;
  tab: string;
  children?: ReactNode;
}) {
  useTitle(tab);
  return (
    <header className="flex flex-wrap items-start justify-between gap-x-6 gap-y-3 px-4 pt-5 pb-4 sm:px-6">
      <div className="min-w-0">
        <h1 className="text-xl">{title}</h1>
        {about && <div className="mt-0.5 text-sm text-soft">{about}</div>}
      </div>
      {children && <div className="no-print flex flex-wrap items-center gap-2">{children}</div>}
    </header>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="mx-auto max-w-xl px-4 py-16 text-center">
      <h2 className="text-lg">{title}</h2>
      {children && <div className="mt-2 text-soft">{children}</div>}
    </div>
  );
}

export function Fault({ error }: { error: unknown }) {
  return (
    <div role="alert" data-tone="bad" className="note m-4 sm:mx-6">
      {explain(error)}
    </div>
  );
}

export function Loading() {
  return (
    <div role="status" className="px-6 py-16 text-center text-faint">
      Loading…
    </div>
  );
}

export function Keys({ keys }: { keys: string }) {
  return (
    <kbd className="rounded border border-strong bg-raised px-1.5 font-mono text-xs leading-5 text-soft">{keys}</kbd>
  );
}

export function Code({ children }: { children: string }) {
  return <code className="rounded bg-raised px-1.5 py-0.5 font-mono">{children}</code>;
}

/** A label above its field. */
export function Field({ label, hint, error, children }: { label: ReactNode; hint?: ReactNode; error?: ReactNode; children: ReactNode }) {
  return (
    <label className="block">
      <span className="mb-1 block text-sm font-medium">{label}</span>
      {children}
      {hint && <span className="mt-1 block text-xs text-faint">{hint}</span>}
      {error && <span className="mt-1 block text-xs text-bad">{error}</span>}
    </label>
  );
}

/** A value below its name, inside of a `<dl>`. */
export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="text-xs text-faint">{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** A titled part of a panel or dialog. */
export function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section>
      <h3 className="mb-1 text-sm">{title}</h3>
      {children}
    </section>
  );
}
