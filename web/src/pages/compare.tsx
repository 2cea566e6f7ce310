// Two runs next to each other: the differences of their input, output and tasks.
import { Link, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { Run, Task } from "../api/runs";
import { diffLines } from "../lib/diff";
import { isEqual, sorted } from "../lib/json";
import { one, type Search } from "../lib/search";
import { Empty, Fault, Loading, PageHead } from "../ui/layout";
import { StatusBadge } from "../ui/status";
import { Ago, Took } from "../ui/time";
import { textOf } from "../lib/text";
import { useWholeRun } from "./run/whole";

export default function ComparePage() {
  const search = useSearch({ strict: false }) as Search;
  const [a, b] = [one(search.a), one(search.b)];
  const first = useWholeRun(a ?? "", "", Boolean(a));
  const second = useWholeRun(b ?? "", "", Boolean(b));
  if (!a || !b) return <Empty title="Choose two runs">Select two runs in the list of runs, then Compare.</Empty>;
  const error = first.error ?? second.error;
  if (error) return <Fault error={error} />;
  if (!first.data || !second.data) return <Loading />;
  return <Compare a={first.data} b={second.data} />;
}

function Compare({ a, b }: { a: Run; b: Run }) {
  const [isAll, setAll] = useState(false);
  const paths = useMemo(() => [...new Set([...a.tasks, ...b.tasks].map((task) => task.path))], [a, b]);
  const pairs = paths.map((path) => ({ path, a: a.tasks.find((each) => each.path === path), b: b.tasks.find((each) => each.path === path) }));
  const shown = pairs.filter((pair) => isAll || isDifferent(pair.a, pair.b));
  return (
    <>
      <PageHead title="Compare" tab="Compare" about={a.workflow_id === b.workflow_id ? a.workflow_id : `${a.workflow_id} and ${b.workflow_id}`} />
      <div className="space-y-5 px-4 pb-10 sm:px-6">
        <div className="grid gap-3 sm:grid-cols-2">
          <Head run={a} />
          <Head run={b} />
        </div>
        <Difference title="Input" a={a.input} b={b.input} />
        <Difference title="Output" a={a.output} b={b.output} />
        <section className="space-y-3">
          <div className="flex items-center justify-between gap-3">
            <h2 className="text-base">Tasks</h2>
            <label className="flex items-center gap-2 text-sm">
              <input type="checkbox" className="accent-accent" checked={isAll} onChange={(event) => setAll(event.target.checked)} />
              Show equal tasks ({pairs.length - pairs.filter((pair) => isDifferent(pair.a, pair.b)).length})
            </label>
          </div>
          {shown.length === 0 && <p className="text-soft">All tasks have equal states and outputs.</p>}
          {shown.map((pair) => (
            <details key={pair.path} className="card px-4 py-2.5">
              <summary className="flex flex-wrap items-center gap-3">
                <span className="min-w-0 flex-1 truncate font-medium">{pair.path}</span>
                <StatusBadge status={pair.a?.status} />
                <span className="text-faint">→</span>
                <StatusBadge status={pair.b?.status} />
              </summary>
              <div className="mt-3">
                <Difference title="Output or error" a={pair.a?.error ?? pair.a?.output} b={pair.b?.error ?? pair.b?.output} />
              </div>
            </details>
          ))}
        </section>
      </div>
    </>
  );
}

function Head({ run }: { run: Run }) {
  return (
    <Link to="/runs/$runId" params={{ runId: run.execution_id }} className="card block p-4 hover:border-strong">
      <span className="flex items-center gap-3">
        <StatusBadge status={run.status} /> <Took times={run} />
      </span>
      <span className="mt-1 block truncate font-mono text-xs text-faint">{run.execution_id}</span>
      <span className="text-sm text-soft">
        <Ago at={run.created_at} />
      </span>
    </Link>
  );
}

const isDifferent = (a: Task | undefined, b: Task | undefined) =>
  a?.status !== b?.status || !isEqual([a?.output, a?.error?.message], [b?.output, b?.error?.message]);

const LOOKS = { same: "text-soft", removed: "text-bad", added: "text-good" };
const MARKS = { same: " ", removed: "−", added: "+" };

function Difference({ title, a, b }: { title: string; a: unknown; b: unknown }) {
  const lines = useMemo(() => diffLines(textOf(sorted(a ?? null)), textOf(sorted(b ?? null))), [a, b]);
  const isSame = lines.every((line) => line.kind === "same");
  return (
    <section>
      <h3 className="mb-1 text-sm">
        {title} {isSame && <span className="font-normal text-faint">(equal)</span>}
      </h3>
      {!isSame && (
        <pre tabIndex={0} className="max-h-96 overflow-auto rounded-lg border border-line bg-page p-3 font-mono text-xs leading-5 whitespace-pre-wrap">
          {lines.map((line, index) => (
            <div key={index} className={LOOKS[line.kind]}>
              {MARKS[line.kind]} {line.text}
            </div>
          ))}
        </pre>
      )}
    </section>
  );
}
