// The list of all runs.
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import type { RunFilter } from "../../api/runs";
import { useMay, useWorkflows } from "../../lib/me";
import { buttonClass } from "../../ui/button";
import { Code, Empty, Fault, Loading, PageHead } from "../../ui/layout";
import { BulkBar } from "./bulk";
import { useRuns } from "./data";
import { isFiltered, readFilter } from "./filter";
import { RunList } from "./list";
import { Toolbar } from "./toolbar";

export default function RunsPage() {
  const search = useSearch({ strict: false });
  const text = JSON.stringify(search);
  const filter = useMemo(() => readFilter(JSON.parse(text)), [text]);
  const navigate = useNavigate();
  const setFilter = (next: RunFilter) => void navigate({ to: "/runs", search: { ...next }, replace: true });
  const runs = useRuns(filter);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const mayRun = useMay("run");
  const select = useCallback((id: string, isSelected: boolean) => {
    setSelected((known) => {
      const next = new Set(known);
      if (isSelected) next.add(id);
      else next.delete(id);
      return next;
    });
  }, []);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = runs;
  const readMore = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);

  return (
    <>
      <PageHead title="Runs" tab="Runs">
        {mayRun && (
          <Link to="/workflows" className={buttonClass("primary")}>
            Start a run
          </Link>
        )}
      </PageHead>
      <Toolbar filter={filter} onChange={setFilter} />
      <BulkBar selected={selected} filter={filter} onClear={() => setSelected(new Set())} />
      {runs.error && <Fault error={runs.error} />}
      {runs.isPending && <Loading />}
      {runs.isSuccess && runs.rows.length === 0 && <NoRuns filtered={isFiltered(filter)} />}
      {runs.rows.length > 0 && <RunList rows={runs.rows} selected={selected} onSelect={mayRun ? select : null} onEnd={readMore} />}
      <p role="status" className="px-6 py-4 text-center text-xs text-faint">
        {isFetchingNextPage ? "Loading more runs…" : runs.rows.length > 0 && !hasNextPage ? "All runs are shown." : ""}
      </p>
    </>
  );
}

function NoRuns({ filtered }: { filtered: boolean }) {
  const workflows = useWorkflows().data ?? [];
  const mayRun = useMay("run");
  const first = workflows.find((workflow) => /hello/.test(workflow.id)) ?? workflows[0];
  if (filtered) return <Empty title="No run matches these filters">Remove a filter, or search for something else.</Empty>;
  return (
    <Empty title="No runs yet">
      {!mayRun ? (
        <p>A run executes a workflow, and every step of it is recorded. Your role does not permit starting one.</p>
      ) : first ? (
        <>
          <p>A run executes a workflow, and every step of it is recorded. Start one here or on the command line:</p>
          <p className="my-4">
            <Code>{`compozy workflow run ${first.id}`}</Code>
          </p>
          <Link to="/workflows/$workflowId" params={{ workflowId: first.id }} className={buttonClass("primary")}>
            Run {first.id}
          </Link>
        </>
      ) : (
        <p>This project has no workflows. Add a file to its folder workflows/, and restart the server.</p>
      )}
    </Empty>
  );
}
