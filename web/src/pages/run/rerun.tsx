// Running again: the first task, the input, and the results that are kept.
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { ApiError, explain } from "../../api/client";
import { getWorkflow } from "../../api/project";
import { rerun, type Run } from "../../api/runs";
import { plural } from "../../lib/format";
import { isEqual } from "../../lib/json";
import { useProject } from "../../lib/me";
import { failedTask, keptTasks, topTasks } from "../../lib/rerun";
import { hasForm, mismatchesOf } from "../../lib/schema";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Fault, Field } from "../../ui/layout";
import { InputEditor } from "../../ui/input-editor";
import { StatusDot } from "../../ui/status";
import { done } from "../../ui/toast";
import { useWholeRun } from "./whole";

export function RerunDialog({ run, from, onClose }: { run: Run; from?: string; onClose: () => void }) {
  const whole = useWholeRun(run.execution_id);
  const workflow = useQuery({ queryKey: ["workflow", run.workflow_id], queryFn: () => getWorkflow(run.workflow_id), retry: false });
  if (!whole.data || workflow.isPending) {
    return (
      <Dialog title="Run again" onClose={onClose}>
        {whole.error ? <Fault error={whole.error} /> : <p className="text-faint">Loading…</p>}
      </Dialog>
    );
  }
  return <Form run={whole.data} schema={workflow.data?.input_schema ?? null} first={from ?? failedTask(run)} onClose={onClose} />;
}

interface FormProps {
  run: Run;
  schema: Record<string, unknown> | null;
  first: string | null;
  onClose: () => void;
}

function Form({ run, schema, first, onClose }: FormProps) {
  const navigate = useNavigate();
  const top = useMemo(() => topTasks(run), [run]);
  const [from, setFrom] = useState<string | null>(first);
  const [input, setInput] = useState<unknown>(run.input);
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const kept = keptTasks(run, from);
  const isChanged = !isEqual(input, run.input);

  const start = async () => {
    setBusy(true);
    setError(null);
    try {
      // Without an input, the server starts with the failed task; with one, it repeats the run.
      const body = from === null ? { input: input ?? {} } : { from, ...(isChanged ? { input: input ?? {} } : {}) };
      const made = await rerun(run.execution_id, body);
      done("The rerun was started.");
      onClose();
      await navigate({ to: "/runs/$runId", params: { runId: made.execution_id } });
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  const mismatches = error instanceof ApiError ? mismatchesOf(error.problem.details) : [];
  return (
    <Dialog
      title={`Run ${run.workflow_id} again`}
      wide
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>Close</Button>
          <Button look="primary" busy={isBusy} onClick={() => void start()}>
            {from === null ? "Run everything again" : `Run again from ${from}`}
          </Button>
        </>
      }
    >
      <div className="space-y-5">
        <Field label="Start with">
          <select className="field" value={from ?? ""} onChange={(event) => setFrom(event.target.value || null)}>
            <option value="">The first task: repeat everything</option>
            {top.map((task) => (
              <option key={task.path} value={task.task_id}>
                {task.task_id} ({task.status.toLowerCase().replace("_", " ")})
              </option>
            ))}
          </select>
        </Field>
        <Statement kept={kept.map((task) => task.task_id)} run={run} from={from} isChanged={isChanged} />
        <div>
          <h3 className="mb-1.5 text-sm">Input</h3>
          <InputEditor schema={hasForm(schema) ? schema : null} value={input} onChange={setInput} mismatches={mismatches} />
        </div>
        {error !== null && (
          <p role="alert" data-tone="bad" className="note text-sm whitespace-pre-wrap">
            {explain(error)}
          </p>
        )}
      </div>
    </Dialog>
  );
}

/** The results that the new run keeps, and the tasks that it executes again. */
function Statement({ kept, run, from, isChanged }: { kept: string[]; run: Run; from: string | null; isChanged: boolean }) {
  const isOld = useProject().data?.files_changed ?? false;
  const again = topTasks(run).filter((task) => !kept.includes(task.task_id));
  return (
    <div data-tone={isOld ? "wait" : kept.length ? "good" : "idle"} className="note space-y-2 text-sm">
      {kept.length > 0 ? (
        <p>
          <strong>Kept:</strong> the recorded results of {plural(kept.length, "task")} ({kept.join(", ")}). They are not executed and cost nothing.
        </p>
      ) : (
        <p>
          <strong>Kept:</strong> nothing. Every task is executed again.
        </p>
      )}
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <strong>Executed again:</strong>
        {again.map((task) => (
          <span key={task.path} className="inline-flex items-center gap-1.5">
            <StatusDot status={task.status} /> {task.task_id}
          </span>
        ))}
        <span className="text-soft">and the tasks that follow.</span>
      </div>
      <p className="text-soft">
        {isOld ? "The rerun uses the files as they were when this server started." : "The current files of the workflow are used."}
        {from !== null && isChanged && kept.length > 0 && " Kept results were computed with the earlier input."}
      </p>
      {isOld && (
        <p className="font-medium">Project files changed since then: restart the server to use them.</p>
      )}
    </div>
  );
}
