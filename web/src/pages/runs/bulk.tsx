// Operations on many runs: first a preview, then the progress of the batch, then the result for each run.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { explain, type Schemas } from "../../api/client";
import { batch, filterQuery, getWholeRun, type Run, type RunFilter } from "../../api/runs";
import { plural } from "../../lib/format";
import { useMay } from "../../lib/me";
import { isFinal } from "../../lib/status";
import { Button, buttonClass } from "../../ui/button";
import { Dialog } from "../../ui/dialog";

type Action = Schemas["Action"];
type Preview = Schemas["BatchPreview"];

const VERBS: Record<Action, { label: string; done: string; key?: string }> = {
  cancel: { label: "Cancel", done: "canceled", key: "c" },
  pause: { label: "Pause", done: "paused", key: "p" },
  resume: { label: "Resume", done: "resumed" },
  rerun: { label: "Run again", done: "started again", key: "r" },
  delete: { label: "Delete", done: "deleted" },
};
const SHOWN = 100;

interface Props {
  selected: ReadonlySet<string>;
  filter: RunFilter;
  onClear: () => void;
}

/** The bar below the filters while runs are selected. */
export function BulkBar({ selected, filter, onClear }: Props) {
  const [action, setAction] = useState<Action | null>(null);
  const [isAll, setAll] = useState(false);
  const mayManage = useMay("manage");
  const ids = [...selected];
  if (ids.length === 0) return null;
  const actions = (Object.keys(VERBS) as Action[]).filter((each) => each !== "delete" || mayManage);
  return (
    <div role="toolbar" aria-label="Selected runs" className="no-print sticky top-0 z-20 flex flex-wrap items-center gap-2 border-t border-line bg-tint px-4 py-2 sm:px-6">
      <strong className="mr-2 text-sm">{isAll ? "All runs that match the filters" : `${ids.length} selected`}</strong>
      {actions.map((each) => (
        <Button key={each} size="sm" aria-keyshortcuts={VERBS[each].key} look={each === "delete" ? "danger" : "plain"} onClick={() => setAction(each)}>
          {VERBS[each].label}
        </Button>
      ))}
      {ids.length === 2 && !isAll && (
        <Link to="/compare" search={{ a: ids[1], b: ids[0] }} className={buttonClass("plain", "sm")}>
          Compare
        </Link>
      )}
      <Button size="sm" look="quiet" aria-pressed={isAll} onClick={() => setAll(!isAll)}>
        {isAll ? "Only selected runs" : "All matching runs"}
      </Button>
      <Button size="sm" look="quiet" onClick={onClear}>
        Clear selection
      </Button>
      {action && <BulkDialog action={action} body={isAll ? { action, filter: wire(filter) } : { action, ids }} onClose={() => setAction(null)} onDone={onClear} />}
    </div>
  );
}

/** A filter as the body of a batch. */
function wire(filter: RunFilter): Schemas["BatchFilter"] {
  const known = Object.entries(filterQuery(filter)).filter(([, value]) => value !== undefined);
  return Object.fromEntries(known) as Schemas["BatchFilter"];
}

type Body = Pick<Schemas["BatchBody"], "action"> & Partial<Schemas["BatchBody"]>;

function BulkDialog({ action, body, onClose, onDone }: { action: Action; body: Body; onClose: () => void; onDone: () => void }) {
  const queries = useQueryClient();
  const verb = VERBS[action];
  const preview = useQuery({
    queryKey: ["batch-preview", body],
    queryFn: () => batch({ ...body, dry_run: true } as Schemas["BatchBody"]) as Promise<Preview>,
    retry: false,
    gcTime: 0,
  });
  const [started, setStarted] = useState<Run | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const run = useQuery({
    queryKey: ["batch", started?.execution_id],
    queryFn: () => getWholeRun(String(started?.execution_id)),
    enabled: started !== null,
    refetchInterval: (query) => (query.state.data && isFinal(query.state.data.status) ? false : 500),
  });
  const start = async () => {
    setError(null);
    setBusy(true);
    try {
      setStarted((await batch({ ...body, dry_run: false, reason: "canceled on the web page" } as Schemas["BatchBody"])) as Run);
    } catch (problem) {
      setError(explain(problem));
      setBusy(false);
    }
  };
  const close = () => {
    if (started) {
      void queries.invalidateQueries({ queryKey: ["runs"] });
      void queries.invalidateQueries({ queryKey: ["runs-head"] });
      onDone();
    }
    onClose();
  };
  const isEnded = run.data !== undefined && isFinal(run.data.status);
  const result = isEnded ? (run.data.output as Preview | null) : null;
  const problem = error ?? run.data?.error?.message ?? (run.error ?? preview.error ? explain(run.error ?? preview.error) : null);
  const shown = result ?? (started ? null : preview.data);
  return (
    <Dialog
      title={`${verb.label}: ${shown ? plural(shown.matched, "run") : "…"}`}
      onClose={close}
      footer={
        started ? (
          <Button look="primary" onClick={close}>
            {isEnded ? "Done" : "Close"}
          </Button>
        ) : (
          <>
            <Button onClick={onClose}>Back</Button>
            <Button look={action === "delete" ? "danger" : "primary"} busy={isBusy} disabled={!preview.data?.done} onClick={() => void start()}>
              {verb.label} {preview.data ? plural(preview.data.done, "run") : ""}
            </Button>
          </>
        )
      }
    >
      {problem !== null && (
        <p role="alert" data-tone="bad" className="note mb-3">
          {problem}
        </p>
      )}
      {started && !isEnded && !run.error && (
        <div role="status" className="space-y-2">
          <p>The batch is running. It continues if this page is closed.</p>
          <progress className="w-full accent-accent" aria-label="Progress of the batch" />
        </div>
      )}
      {shown && <Outcome preview={shown} done={verb.done} isPast={result !== null} />}
      {action === "delete" && !started && <p className="mt-3 text-soft">Deleted runs cannot be restored.</p>}
      {started && (
        <Link to="/runs/$runId" params={{ runId: started.execution_id }} className="mt-3 inline-block text-sm text-accent hover:underline">
          Show the batch
        </Link>
      )}
    </Dialog>
  );
}

function Outcome({ preview, done, isPast }: { preview: Preview; done: string; isPast: boolean }) {
  const refused = preview.items.filter((item) => item.outcome !== "done");
  const made = preview.items.filter((item) => item.new_execution_id);
  return (
    <div className="space-y-3">
      <p>
        {isPast ? `${plural(preview.done, "run")} ${preview.done === 1 ? "was" : "were"} ${done}.` : `${plural(preview.done, "run")} will be ${done}.`}
        {preview.refused > 0 && ` ${plural(preview.refused, "run")} ${isPast ? "stayed as they were" : "will stay as they are"}:`}
      </p>
      {refused.length > 0 && (
        <ul className="space-y-1 text-sm text-soft">
          {refused.slice(0, SHOWN).map((item) => (
            <li key={item.execution_id}>{item.message}</li>
          ))}
        </ul>
      )}
      {made.length > 0 && (
        <ul className="space-y-1 text-sm">
          {made.slice(0, SHOWN).map((item) => (
            <li key={item.execution_id}>
              <Link to="/runs/$runId" params={{ runId: String(item.new_execution_id) }} className="font-mono text-accent hover:underline">
                {item.new_execution_id}
              </Link>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
