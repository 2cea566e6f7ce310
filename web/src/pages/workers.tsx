// The processes that execute runs, and the runs that wait for one.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { listWorkers } from "../api/admin";
import { duration, number, plural } from "../lib/format";
import { OPEN, shownStatus } from "../lib/status";
import { Fault, Loading, PageHead } from "../ui/layout";
import { Table, Tag } from "../ui/table";
import { Ago } from "../ui/time";

export default function WorkersPage() {
  const workers = useQuery({ queryKey: ["workers"], queryFn: listWorkers, refetchInterval: 2500 });
  if (workers.error && !workers.data) return <Fault error={workers.error} />;
  return (
    <>
      <PageHead title="Workers" tab="Workers" about="Processes that execute the runs of this database. If one ends, others continue its runs." />
      {workers.isPending && <Loading />}
      {workers.data && (
        <div className="space-y-4 px-4 pb-10 sm:px-6">
          <dl className="grid grid-cols-2 gap-3 lg:grid-cols-4">
            {OPEN.map((status) => (
              <div key={status} className="card px-4 py-3" data-tone={shownStatus(status).tone}>
                <dt className="flex items-center gap-2 text-xs text-faint">
                  <span className="dot animate-none!" aria-hidden />
                  {shownStatus(status).label}
                </dt>
                <dd className="text-xl font-semibold tabular-nums">
                  <Link to="/runs" search={{ status }} className="hover:underline">
                    {number(workers.data.executions[status] ?? 0)}
                  </Link>
                </dd>
              </div>
            ))}
          </dl>
          <p className="text-sm text-soft">
            {(workers.data.executions.PENDING ?? 0) > 0
              ? `The oldest pending run has waited for ${duration(workers.data.oldest_pending_seconds * 1000)}.`
              : "No run waits for a free slot."}{" "}
            This server executes at most {plural(workers.data.max_concurrent_workflows, "run")} concurrently.
          </p>
          <Table label="Workers" heads={["Process", "Role", "Runs", "Started"]}>
            {workers.data.workers.map((worker) => (
              <tr key={worker.worker_id}>
                <td>
                  <span className="font-medium">{worker.host}</span> <span className="text-faint">pid {worker.pid}</span>
                </td>
                <td>
                  <Tag tone="good">{worker.role}</Tag>
                  {worker.is_this && <span className="ml-2 text-xs text-faint">this server</span>}
                </td>
                <td className="tabular-nums">{number(worker.runs)}</td>
                <td>
                  <Ago at={worker.started_at} />
                </td>
              </tr>
            ))}
          </Table>
        </div>
      )}
    </>
  );
}
