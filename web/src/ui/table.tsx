import type { ReactNode } from "react";

/** A table that scrolls sideways by itself on small screens. */
export function Table({ label, heads, children }: { label: string; heads: string[]; children: ReactNode }) {
  return (
    <div className="card overflow-x-auto" tabIndex={0} role="region" aria-label={label}>
      <table className="w-full text-left text-sm">
        <thead className="text-xs text-faint">
          <tr>
            {heads.map((head, index) => (
              <th key={index} scope="col" className="px-4 py-2.5 font-medium whitespace-nowrap">
                {head || <span className="sr-only">Actions</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="[&_td]:border-t [&_td]:border-line [&_td]:px-4 [&_td]:py-2.5 [&_td]:align-top">{children}</tbody>
      </table>
    </div>
  );
}

export function Tag({ tone, children }: { tone: string; children: ReactNode }) {
  return (
    <span className="badge" data-tone={tone}>
      <span className="dot animate-none!" aria-hidden />
      {children}
    </span>
  );
}
