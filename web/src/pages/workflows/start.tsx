// Starting a run: a form for the input, or JSON, or the input of an earlier run.
import { useNavigate } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import { ApiError, explain } from "../../api/client";
import { startRun } from "../../api/project";
import { relative } from "../../lib/format";
import { hasForm, initialValue, mismatchesOf, resolve, type Schema } from "../../lib/schema";
import { Button } from "../../ui/button";
import { InputEditor } from "../../ui/input-editor";
import { Field } from "../../ui/layout";
import { live } from "../../live/live";
import { failed } from "../../ui/toast";
import { inputOf, useLastRuns } from "./recent";

const OPENS_MS = 15_000;
const LABELS = /^\s*(?:[^=,\s][^=,]*=[^,]*)?(?:,\s*[^=,\s][^=,]*=[^,]*)*\s*$/;

function readLabels(text: string): Record<string, string> | undefined {
  const pairs = text.split(",").map((each) => each.trim()).filter(Boolean);
  if (pairs.length === 0) return undefined;
  return Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf("=")).trim(), pair.slice(pair.indexOf("=") + 1).trim()]));
}

export function StartForm({ workflow, schema }: { workflow: string; schema: Schema | null }) {
  const navigate = useNavigate();
  const [value, setValue] = useState<unknown>(() => (schema ? initialValue(schema, resolve(schema, schema)) : undefined));
  const [labels, setLabels] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  // A new input from outside starts the editor again.
  const [version, setVersion] = useState(0);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const run = await startRun(workflow, { input: value ?? {}, labels: readLabels(labels) });
      // Text is published only to watchers, and the page of the run may take a moment to open.
      const stop = live.watch(run.execution_id, {}, true);
      window.setTimeout(stop, OPENS_MS);
      await navigate({ to: "/runs/$runId", params: { runId: run.execution_id } });
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  const isLabels = LABELS.test(labels);
  const mismatches = error instanceof ApiError ? mismatchesOf(error.problem.details) : [];
  return (
    <form className="card space-y-4 p-4 sm:p-5" onSubmit={(event) => void submit(event)} aria-label="Start a run">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <h2 className="text-base">Start a run</h2>
        <Recent
          workflow={workflow}
          onPick={(input) => {
            setValue(input);
            setVersion(version + 1);
          }}
        />
      </div>
      <div>
        <InputEditor key={version} schema={hasForm(schema) ? schema : null} value={value} onChange={setValue} mismatches={mismatches} />
        {!schema && (
          <p className="mt-1 text-xs text-faint">
            A JSON object, for example <code>{'{"name": "Ada"}'}</code>. The workflow has no input schema. An empty field sends an empty object.
          </p>
        )}
      </div>
      <Field label="Labels" hint="NAME=VALUE, several with commas" error={isLabels ? null : "Write labels as NAME=VALUE."}>
        <input className="field" value={labels} onChange={(event) => setLabels(event.target.value)} placeholder="team=maps" />
      </Field>
      {error !== null && (
        <p role="alert" data-tone="bad" className="note text-sm whitespace-pre-wrap">
          {explain(error)}
        </p>
      )}
      <Button type="submit" look="primary" busy={isBusy} disabled={!isLabels}>
        Start
      </Button>
    </form>
  );
}

function Recent({ workflow, onPick }: { workflow: string; onPick: (input: unknown) => void }) {
  const runs = useLastRuns(workflow).data ?? [];
  if (runs.length === 0) return null;
  return (
    <select
      aria-label="Use the input of an earlier run"
      className="field w-auto! max-w-44"
      value=""
      onChange={(event) => void inputOf(event.target.value).then(onPick, failed)}
    >
      <option value="">Recent inputs…</option>
      {runs.map((run) => (
        <option key={run.execution_id} value={run.execution_id}>
          {`${relative(run.created_at, Date.now())} · ${run.status.toLowerCase()} · ${run.execution_id}`}
        </option>
      ))}
    </select>
  );
}
