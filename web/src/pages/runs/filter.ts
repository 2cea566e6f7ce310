// The filter of the run list is the query of its address: it survives reloads, and can be sent to others.
import type { RunFilter } from "../../api/runs";
import { many, one, type Search } from "../../lib/search";

export function readFilter(search: Search): RunFilter {
  return {
    status: many(search.status),
    workflow: one(search.workflow),
    label: many(search.label),
    trigger: one(search.trigger),
    by: one(search.by),
    q: one(search.q),
    after: one(search.after),
    before: one(search.before),
    parent: one(search.parent),
  };
}

export const isFiltered = (filter: RunFilter) => Object.values(filter).some((value) => value !== undefined);

export const TRIGGERS = ["api", "cli", "schedule", "webhook", "event", "mcp", "rerun", "batch", "run", "server"];
