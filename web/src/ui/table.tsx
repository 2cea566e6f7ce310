import type { ReactNode } from "react";

/** A table that scrolls sideways by itself. Where space is narrow, each row is a card that names its values. */
export function Table({ label, heads, children }: { label: string; heads: string[]; children: ReactNode }) {
  // Styles read the heads, so that the cells of a card have labels.
  const names = Object.fromEntries(heads.map((head, index) => [`--head-${index + 1}`, JSON.stringify(head)]));
  return (
    <div className="card @container relative overflow-x-auto" tabIndex={0} role="region" aria-label={label}>
      {/* Browsers drop the roles of tables that are shown as something else. */}
      <table role="table" className="cards w-full text-left text-sm" style={names}>
        <thead role="rowgroup" className="text-xs text-faint">
          <tr role="row">
            {heads.map((head, index) => (
              <th key={index} scope="col" role="columnheader" className="px-4 py-2.5 font-medium whitespace-nowrap">
                {head || <span className="sr-only">Actions</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">{children}</tbody>
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
