// Filters that were saved under a name, in this browser.
import { useState } from "react";
import type { RunFilter } from "../../api/runs";
import { isEqual } from "../../lib/json";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Field } from "../../ui/layout";
import { isFiltered } from "./filter";

interface Saved {
  name: string;
  filter: RunFilter;
}

const KEY = "compozy.filters";
const MAX = 30;

export function readSaved(): Saved[] {
  try {
    const known = JSON.parse(localStorage.getItem(KEY) ?? "[]") as unknown;
    return Array.isArray(known) ? (known as Saved[]).filter((each) => typeof each?.name === "string" && typeof each.filter === "object") : [];
  } catch {
    return [];
  }
}

export function SavedFilters({ filter, onPick }: { filter: RunFilter; onPick: (filter: RunFilter) => void }) {
  const [saved, setSaved] = useState(readSaved);
  const [isNew, setNew] = useState(false);
  const store = (next: Saved[]) => {
    localStorage.setItem(KEY, JSON.stringify(next));
    setSaved(next);
  };
  const current = saved.find((each) => isEqual(each.filter, filter));
  if (saved.length === 0 && !isFiltered(filter)) return null;
  return (
    <>
      {saved.length > 0 && (
        <select
          aria-label="Saved filters"
          className="field w-auto! max-w-48"
          value={current?.name ?? ""}
          onChange={(event) => onPick(saved.find((each) => each.name === event.target.value)?.filter ?? {})}
        >
          <option value="">Saved filters</option>
          {saved.map((each) => (
            <option key={each.name}>{each.name}</option>
          ))}
        </select>
      )}
      {current ? (
        <Button look="quiet" onClick={() => store(saved.filter((each) => each !== current))}>
          Forget filter
        </Button>
      ) : (
        isFiltered(filter) && (
          <Button look="quiet" onClick={() => setNew(true)}>
            Save filter
          </Button>
        )
      )}
      {isNew && (
        <Dialog title="Save this filter" onClose={() => setNew(false)}>
          <form
            className="space-y-4"
            onSubmit={(event) => {
              event.preventDefault();
              const name = String(new FormData(event.currentTarget).get("name")).trim();
              store([...saved.filter((each) => each.name !== name), { name, filter }].slice(-MAX));
              setNew(false);
            }}
          >
            <Field label="Name" hint="Saved in this browser. The address of the page is the filter too.">
              <input name="name" required maxLength={60} className="field" />
            </Field>
            <Button type="submit" look="primary">
              Save
            </Button>
          </form>
        </Dialog>
      )}
    </>
  );
}
