// One workflow: starting it, its graph, its schedules and its last runs.
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { listSchedules } from "../../api/admin";
import { getWorkflow, getWorkflowGraph } from "../../api/project";
import { useMay } from "../../lib/me";
import { Code, Fault, Loading, PageHead } from "../../ui/layout";
import { StatusBadge } from "../../ui/status";
import { Ago, Took } from "../../ui/time";
import { Value } from "../../ui/value";
import { GraphView } from "../run/graph";
import { useLastRuns } from "./recent";
import { StartForm } from "./start";

export default function WorkflowPage() {
  const { workflowId } = useParams({ strict: false }) as { workflowId: string };
  const workflow = useQuery({ queryKey: ["workflow", workflowId], queryFn: () => getWorkflow(workflowId) });
  const graph = useQuery({ queryKey: ["workflow-graph", workflowId], queryFn: () => getWorkflowGraph(workflowId) });
  const mayRun = useMay("run");
  if (workflow.error) return <Fault error={workflow.error} />;
  if (!workflow.data) return <Loading />;
  const { name, description, file, input_schema: schema } = workflow.data;
  return (
    <>
      <PageHead
        title={name ?? workflowId}
        tab={workflowId}
        about={
          <>
            {description && <p>{description}</p>}
            <p className="font-mono text-xs">{file}</p>
          </>
        }
      />
      <div className="grid items-start gap-5 px-4 pb-10 sm:px-6 xl:grid-cols-2">
        <div className="min-w-0 space-y-5">
          {mayRun && <StartForm key={workflowId} workflow={workflowId} schema={schema} />}
          <LastRuns workflow={workflowId} />
        </div>
        <div className="min-w-0 space-y-5">
          <section className="card overflow-hidden" aria-label="Graph">
            {graph.data && <GraphView graph={graph.data} />}
          </section>
          <Schedules workflow={workflowId} />
          {schema && (
            <details className="card p-4">
              <summary className="font-medium">Input schema</summary>
              <div className="mt-3">
                <Value value={schema} name={`${workflowId}-input`} />
              </div>
            </details>
          )}
          <p className="text-sm text-soft">
            On the command line: <Code>{`compozy workflow run ${workflowId}`}</Code>
          </p>
        </div>
      </div>
    </>
  );
}

function LastRuns({ workflow }: { workflow: string }) {
  const runs = useLastRuns(workflow).data;
  if (!runs) return null;
  return (
    <section className="card overflow-hidden" aria-label="Last runs">
      <div className="flex items-center justify-between px-4 py-3">
        <h2 className="text-base">Last runs</h2>
        <Link to="/runs" search={{ workflow }} className="text-sm text-accent hover:underline">
          All runs
        </Link>
      </div>
      {runs.length === 0 && <p className="px-4 pb-4 text-sm text-soft">This workflow has not run yet.</p>}
      <ul>
        {runs.map((run) => (
          <li key={run.execution_id} className="border-t border-line">
            <Link to="/runs/$runId" params={{ runId: run.execution_id }} data-row={run.execution_id} className="flex items-center gap-3 px-4 py-2 text-sm -outline-offset-2 hover:bg-raised">
              <span className="w-24 shrink-0">
                <StatusBadge status={run.status} />
              </span>
              <span className="min-w-0 flex-1 truncate text-faint">{run.error ? <span className="text-bad">{run.error.message}</span> : <span className="font-mono text-xs">{run.execution_id}</span>}</span>
              <span className="shrink-0 text-faint">
                <Ago at={run.created_at} />
              </span>
              <span className="min-w-16 shrink-0 text-right text-soft">
                <Took times={run} />
              </span>
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Schedules({ workflow }: { workflow: string }) {
  const schedules = useQuery({ queryKey: ["schedules"], queryFn: listSchedules });
  const own = schedules.data?.filter((each) => each.workflow_id === workflow) ?? [];
  if (own.length === 0) return null;
  return (
    <section className="card p-4" aria-label="Schedules">
      <h2 className="mb-2 text-base">Schedules</h2>
      <ul className="space-y-1 text-sm">
        {own.map((each) => (
          <li key={each.schedule_id} className="flex flex-wrap justify-between gap-x-4">
            <Link to="/schedules" className="text-accent hover:underline">
              {each.description}
            </Link>
            <span className="text-soft">{each.state === "active" && each.next_at ? <Ago at={each.next_at} /> : each.state}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
