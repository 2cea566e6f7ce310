import { useEffect, useRef, useState } from "react";
import type { RunFilter } from "../../api/runs";
import { useWorkflows } from "../../lib/me";
import { shownStatus, STATUSES } from "../../lib/status";
import { Button } from "../../ui/button";
import { Field } from "../../ui/layout";
import { isFiltered, TRIGGERS } from "./filter";
import { SavedFilters } from "./saved";

interface Props {
  filter: RunFilter;
  onChange: (filter: RunFilter) => void;
}

const TYPED_MS = 250;

export function Toolbar({ filter, onChange }: Props) {
  const [isMore, setMore] = useState(Boolean(filter.label ?? filter.trigger ?? filter.after ?? filter.before ?? filter.by));
  const workflows = useWorkflows().data ?? [];
  const toggle = (status: string) => {
    const known = filter.status ?? [];
    const next = known.includes(status) ? known.filter((each) => each !== status) : [...known, status];
    onChange({ ...filter, status: next.length ? next : undefined });
  };
  return (
    <div className="no-print space-y-3 px-4 pb-4 sm:px-6">
      <div className="flex flex-wrap gap-2">
        <SearchBox value={filter.q ?? ""} onChange={(q) => onChange({ ...filter, q: q || undefined })} />
        <select
          aria-label="Workflow"
          className="field w-auto! max-w-56"
          value={filter.workflow ?? ""}
          onChange={(event) => onChange({ ...filter, workflow: event.target.value || undefined })}
        >
          <option value="">All workflows</option>
          {workflows.map((workflow) => (
            <option key={workflow.id}>{workflow.id}</option>
          ))}
          {filter.workflow && !workflows.some((each) => each.id === filter.workflow) && <option>{filter.workflow}</option>}
        </select>
        <Button look="quiet" aria-expanded={isMore} onClick={() => setMore(!isMore)}>
          {isMore ? "Fewer filters" : "More filters"}
        </Button>
        <SavedFilters filter={filter} onPick={onChange} />
        {isFiltered(filter) && (
          <Button look="quiet" onClick={() => onChange({})}>
            Clear
          </Button>
        )}
      </div>
      <div role="group" aria-label="Status" className="flex flex-wrap gap-1.5">
        {STATUSES.map((status) => (
          <button
            key={status}
            type="button"
            aria-pressed={filter.status?.includes(status) ?? false}
            data-tone={shownStatus(status).tone}
            onClick={() => toggle(status)}
            className="inline-flex items-center gap-1.5 rounded-full border border-line bg-panel px-2.5 py-0.5 text-xs font-medium text-soft hover:border-strong aria-pressed:border-(--tone) aria-pressed:text-(--tone)"
          >
            <span className="dot animate-none!" aria-hidden />
            {shownStatus(status).label}
          </button>
        ))}
      </div>
      {isMore && <More filter={filter} onChange={onChange} />}
    </div>
  );
}

function SearchBox({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const [text, setText] = useState(value);
  const timer = useRef<number>(undefined);
  useEffect(() => setText(value), [value]);
  return (
    <input
      type="search"
      data-search
      aria-label="Search runs"
      placeholder="Search ID, workflow, label, error…  ( / )"
      className="field min-w-40 flex-1"
      value={text}
      onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
      onChange={(event) => {
        const next = event.target.value;
        setText(next);
        window.clearTimeout(timer.current);
        timer.current = window.setTimeout(() => onChange(next.trim()), TYPED_MS);
      }}
    />
  );
}

const toLocal = (iso: string | undefined) => {
  if (!iso) return "";
  const date = new Date(iso);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
};
const toIso = (local: string) => (local ? new Date(local).toISOString() : undefined);

function More({ filter, onChange }: Props) {
  return (
    <div className="card grid gap-4 p-4 sm:grid-cols-2 lg:grid-cols-4">
      <Field label="Label" hint="NAME or NAME=VALUE; several with commas">
        <input
          className="field"
          defaultValue={filter.label?.join(", ") ?? ""}
          onBlur={(event) => {
            const labels = event.target.value.split(",").map((each) => each.trim()).filter(Boolean);
            onChange({ ...filter, label: labels.length ? labels : undefined });
          }}
          onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()}
        />
      </Field>
      <Field label="Trigger">
        <select className="field" value={filter.trigger ?? ""} onChange={(event) => onChange({ ...filter, trigger: event.target.value || undefined })}>
          <option value="">Any</option>
          {TRIGGERS.map((trigger) => (
            <option key={trigger}>{trigger}</option>
          ))}
          {filter.trigger && !TRIGGERS.includes(filter.trigger) && <option>{filter.trigger}</option>}
        </select>
      </Field>
      <Field label="Accepted after">
        <input type="datetime-local" className="field" value={toLocal(filter.after)} onChange={(event) => onChange({ ...filter, after: toIso(event.target.value) })} />
      </Field>
      <Field label="Accepted before">
        <input type="datetime-local" className="field" value={toLocal(filter.before)} onChange={(event) => onChange({ ...filter, before: toIso(event.target.value) })} />
      </Field>
    </div>
  );
}
