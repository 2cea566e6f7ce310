// Further views of a run: values, conversation, events, definition, raw JSON.
import { useQuery } from "@tanstack/react-query";
import { getDefinition, getEvents, type Run } from "../../api/runs";
import { dateTime } from "../../lib/format";
import { Fault, Loading, Part } from "../../ui/layout";
import { StatusBadge } from "../../ui/status";
import { Value } from "../../ui/value";
import { useMessages } from "./data";
import { Messages } from "./messages";
import { useWholeRun } from "./whole";

const versionOf = (run: Run) => `${run.status} ${run.tasks.length}`;

export function Values({ run }: { run: Run }) {
  const whole = useWholeRun(run.execution_id, versionOf(run));
  if (whole.error) return <Fault error={whole.error} />;
  if (!whole.data) return <Loading />;
  return (
    <div className="grid gap-5 p-4 lg:grid-cols-2">
      <Part title="Input">
        <Value value={whole.data.input} name={`${run.execution_id}-input`} tall />
      </Part>
      <Part title="Output">
        <Value value={whole.data.output} name={`${run.execution_id}-output`} tall />
      </Part>
    </div>
  );
}

export function Conversations({ run }: { run: Run }) {
  const messages = useMessages(run.execution_id, versionOf(run));
  if (messages.error) return <Fault error={messages.error} />;
  return messages.data ? (
    <div className="p-4">
      <Messages messages={messages.data} withPath />
    </div>
  ) : (
    <Loading />
  );
}

export function Events({ run }: { run: Run }) {
  const events = useQuery({ queryKey: ["events", run.execution_id, versionOf(run)], queryFn: () => getEvents(run.execution_id), placeholderData: (known) => known });
  if (events.error) return <Fault error={events.error} />;
  if (!events.data) return <Loading />;
  return (
    <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Events">
      <table className="w-full text-left text-sm">
        <thead className="text-xs text-faint">
          <tr className="border-b border-line">
            <th className="px-3 py-2 font-medium">#</th>
            <th className="px-3 py-2 font-medium">Time</th>
            <th className="px-3 py-2 font-medium">Event</th>
            <th className="px-3 py-2 font-medium">Task</th>
            <th className="px-3 py-2 font-medium">Details</th>
          </tr>
        </thead>
        <tbody>
          {events.data.events.map((event) => {
            const { status, ...others } = event.data as Record<string, unknown>;
            return (
              <tr key={event.seq} className="border-b border-line align-top last:border-0">
                <td className="px-3 py-1.5 text-faint tabular-nums">{event.seq}</td>
                <td className="px-3 py-1.5 whitespace-nowrap text-soft">{dateTime(event.created_at)}</td>
                <td className="px-3 py-1.5">{typeof status === "string" ? <StatusBadge status={status} /> : event.kind}</td>
                <td className="px-3 py-1.5 font-mono text-xs">{event.path ?? ""}</td>
                <td className="px-3 py-1.5 font-mono text-xs text-soft">{Object.keys(others).length ? JSON.stringify(others) : ""}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {events.data.next_after !== null && <p className="p-3 text-xs text-faint">Only the first events are shown. `compozy workflow events` prints all of them.</p>}
    </div>
  );
}

export function Definition({ run }: { run: Run }) {
  const definition = useQuery({ queryKey: ["definition", run.execution_id], queryFn: () => getDefinition(run.execution_id), staleTime: Infinity });
  if (definition.error) return <Fault error={definition.error} />;
  if (!definition.data) return <Loading />;
  return (
    <div className="space-y-4 p-4">
      <p className="text-sm text-soft">
        The definition that this run keeps{definition.data.file ? `, from ${definition.data.file}` : ""}. Later changes of the files do not affect it.
      </p>
      <Value value={definition.data.workflow} name={`${run.workflow_id}-definition`} tall />
      {definition.data.providers.length > 0 && (
        <Part title="Model providers">
          <Value value={definition.data.providers} />
        </Part>
      )}
    </div>
  );
}

export function Raw({ run }: { run: Run }) {
  const whole = useWholeRun(run.execution_id, versionOf(run));
  if (whole.error) return <Fault error={whole.error} />;
  return whole.data ? (
    <div className="p-4">
      <Value value={whole.data} name={run.execution_id} tall />
    </div>
  ) : (
    <Loading />
  );
}
