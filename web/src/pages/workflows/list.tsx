import { Link } from "@tanstack/react-router";
import { useWorkflows } from "../../lib/me";
import { plural } from "../../lib/format";
import { Empty, Fault, Loading, PageHead } from "../../ui/layout";

export default function WorkflowsPage() {
  const workflows = useWorkflows();
  return (
    <>
      <PageHead title="Workflows" tab="Workflows" about="Each is a file of this project." />
      {workflows.error && <Fault error={workflows.error} />}
      {workflows.isPending && <Loading />}
      {workflows.data?.length === 0 && <Empty title="No workflows yet">Add a file to the folder workflows/, and restart the server.</Empty>}
      <ul className="grid gap-3 px-4 pb-10 sm:grid-cols-2 sm:px-6 xl:grid-cols-3">
        {workflows.data?.map((workflow) => (
          <li key={workflow.id}>
            <Link
              to="/workflows/$workflowId"
              params={{ workflowId: workflow.id }}
              data-row={workflow.id}
              className="card flex h-full flex-col gap-1 p-4 hover:border-strong"
            >
              <span className="font-semibold">{workflow.name ?? workflow.id}</span>
              {workflow.description && <span className="line-clamp-2 text-sm text-soft">{workflow.description}</span>}
              <span className="mt-auto pt-2 font-mono text-xs text-faint">
                {workflow.file} · {plural(workflow.tasks.length, "task")}
              </span>
            </Link>
          </li>
        ))}
      </ul>
    </>
  );
}
