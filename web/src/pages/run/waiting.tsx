// Tasks that wait for a person: forms, approvals of tool calls, signals.
import { useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { ApiError, explain } from "../../api/client";
import { approve, sendSignal, type Run, type Task } from "../../api/runs";
import { hasForm, initialValue, mismatchesOf, resolve, type Schema } from "../../lib/schema";
import { money, plural } from "../../lib/format";
import { useMay } from "../../lib/me";
import { Button } from "../../ui/button";
import { InputEditor } from "../../ui/input-editor";
import { Fault, Field } from "../../ui/layout";
import { JsonControl } from "../../ui/schema-form";
import { done } from "../../ui/toast";
import { Value } from "../../ui/value";
import { runKey, useTask } from "./data";

export function Waiting({ run }: { run: Run }) {
  const waiting = run.tasks.filter((task) => task.status === "WAITING" && task.waits_for && !task.signal_arrived);
  if (waiting.length === 0) return null;
  return (
    <section aria-label="Waiting for an answer" className="space-y-3">
      {waiting.map((task) => (
        <WaitingTask key={`${task.path} ${task.waits_for}`} run={run} task={task} />
      ))}
    </section>
  );
}

interface Output {
  form?: Schema;
  budget?: SpentBudget;
}

/** The call that a person is asked to approve; its arguments are text if they are too long to be shown whole. */
export function readCall(form: Schema): { tool: string; given: unknown } | null {
  const [, tool, text] = /^The agent wants to call (\S+) with ([^]*)$/.exec(String(form.description ?? "")) ?? [];
  if (tool === undefined || text === undefined) return null;
  try {
    return { tool, given: JSON.parse(text) as unknown };
  } catch {
    return { tool, given: text };
  }
}

function WaitingTask({ run, task }: { run: Run; task: Task }) {
  const whole = useTask(run.execution_id, task);
  const mayRun = useMay("run");
  const output = whole.data?.output as Output | null | undefined;
  const form = output?.form;
  const budget = output?.budget;
  const isApproval = task.waits_for?.startsWith("approve:") ?? false;
  const asked = isApproval ? "an approval" : form ? "an answer" : `the signal ${task.waits_for}`;
  return (
    <div data-tone="wait" className="note">
      <h2 className="text-base">
        {budget ? (
          `The budget of ${budget.budget} is spent`
        ) : (
          <>
            <span className="font-mono">{(isApproval && task.parent) || task.path}</span> waits for {asked}
          </>
        )}
      </h2>
      {!mayRun && <p className="text-sm text-soft">Your role does not permit answering.</p>}
      {whole.error && <Fault error={whole.error} />}
      {whole.data && mayRun && (
        <div className="mt-3">
          {budget ? (
            <Budget run={run} task={task} budget={budget} />
          ) : form && isApproval ? (
            <Approval run={run} task={task} form={form} />
          ) : form ? (
            <Answer run={run} task={task} form={form} />
          ) : (
            <Signal run={run} name={String(task.waits_for)} />
          )}
        </div>
      )}
    </div>
  );
}

/** Send an answer, and show why it was refused. */
function useSend(run: Run) {
  const queries = useQueryClient();
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const send = async (call: () => Promise<unknown>) => {
    setBusy(true);
    setError(null);
    try {
      await call();
      done("The answer was sent.");
      await queries.invalidateQueries({ queryKey: runKey(run.execution_id) });
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return { error, isBusy, send };
}

function Refused({ error }: { error: unknown }) {
  if (error === null) return null;
  return (
    <p role="alert" className="mt-2 text-sm whitespace-pre-wrap text-bad">
      {explain(error)}
    </p>
  );
}

function Answer({ run, task, form }: { run: Run; task: Task; form: Schema }) {
  const [value, setValue] = useState<unknown>(() => initialValue(form, resolve(form, form)) ?? {});
  const { error, isBusy, send } = useSend(run);
  const mismatches = error instanceof ApiError ? mismatchesOf(error.problem.details) : [];
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void send(() => approve(run.execution_id, { input: value, task: task.path }));
      }}
    >
      <Question form={resolve(form, form)} />
      <InputEditor schema={hasForm(form) ? form : null} value={value} onChange={setValue} mismatches={mismatches} />
      <Refused error={error} />
      <Button type="submit" look="primary" className="mt-3" busy={isBusy}>
        Send answer
      </Button>
    </form>
  );
}

/** The question of a form, as text: its title and its description. */
function Question({ form: { title, description } }: { form: Schema }) {
  return (
    <>
      {typeof title === "string" && <h3 className="mb-1 text-base">{title}</h3>}
      {typeof description === "string" && <p className="mb-3 text-sm whitespace-pre-wrap">{description}</p>}
    </>
  );
}

function Approval({ run, task, form }: { run: Run; task: Task; form: Schema }) {
  const call = useMemo(() => readCall(form), [form]);
  const given = call?.given;
  const [values, setValues] = useState<unknown>(given);
  const [isEditing, setEditing] = useState(false);
  const [reason, setReason] = useState("");
  const { error, isBusy, send } = useSend(run);
  const answer = (input: unknown) => void send(() => approve(run.execution_id, { input, task: task.path }));
  return (
    <div className="space-y-3">
      <p className="text-sm">
        The agent wants to call <strong className="font-mono">{call?.tool ?? "a tool"}</strong> with these arguments:
      </p>
      {isEditing ? <JsonControl common={{ className: "field" }} value={values} onChange={setValues} rows={5} /> : <Value value={given} />}
      <div className="flex flex-wrap items-center gap-2">
        <Button look="primary" busy={isBusy} onClick={() => answer(isEditing ? { approve: true, arguments: values ?? {} } : { approve: true })}>
          {isEditing ? "Approve with these arguments" : "Approve"}
        </Button>
        {!isEditing && typeof given === "object" && <Button onClick={() => setEditing(true)}>Edit arguments</Button>}
        <input aria-label="Reason for denying" placeholder="Reason for denying" className="field w-auto! flex-1" value={reason} onChange={(event) => setReason(event.target.value)} />
        <Button look="danger" busy={isBusy} onClick={() => answer({ approve: false, ...(reason ? { reason } : {}) })}>
          Deny
        </Button>
      </div>
      <Refused error={error} />
    </div>
  );
}

export interface SpentBudget {
  budget: string;
  limit: string;
  allowed: number;
  spent: number;
  estimate: number;
}

const UNITS: Record<string, { key: string; label: string; noun: string }> = {
  max_cost: { key: "add_cost", label: "Dollars to add", noun: "dollar" },
  max_tokens: { key: "add_tokens", label: "Tokens to add", noun: "token" },
  max_requests: { key: "add_requests", label: "Model requests to add", noun: "model request" },
  max_tool_calls: { key: "add_tool_calls", label: "Tool calls to add", noun: "tool call" },
};

/** A spent budget: a person adds to it, or denies it, and the task fails. */
function Budget({ run, task, budget }: { run: Run; task: Task; budget: SpentBudget }) {
  const unit = UNITS[budget.limit] ?? { key: budget.limit.replace(/^max_/, "add_"), label: "Amount to add", noun: "unit" };
  const isMoney = budget.limit === "max_cost";
  const amount = (value: number) => (isMoney ? money(value) : plural(value, unit.noun));
  const [text, setText] = useState(String(budget.allowed || Math.ceil(budget.estimate)));
  const { error, isBusy, send } = useSend(run);
  const added = Number(text);
  const isValid = added > 0 && (isMoney || Number.isInteger(added));
  const isEnough = budget.spent + budget.estimate <= budget.allowed + added;
  const answer = (input: unknown) => void send(() => approve(run.execution_id, { input, task: task.path }));
  return (
    <form
      className="space-y-3"
      onSubmit={(event) => {
        event.preventDefault();
        answer({ approve: true, [unit.key]: added });
      }}
    >
      <p className="text-sm">
        {amount(budget.allowed)} allowed, {amount(budget.spent)} spent.
        {budget.estimate > 1 || isMoney ? ` The next request needs about ${amount(budget.estimate)}.` : ""} The run waits, and holds no slot.
      </p>
      <Field label={unit.label} hint={isValid && !isEnough ? "Less than the next request is estimated to need: the run will ask again." : undefined}>
        <input type="number" className="field max-w-48" min={0} step={isMoney ? "any" : 1} value={text} onChange={(event) => setText(event.target.value)} />
      </Field>
      <div className="flex flex-wrap gap-2">
        <Button type="submit" look="primary" busy={isBusy} disabled={!isValid}>
          Raise the budget
        </Button>
        <Button look="danger" busy={isBusy} onClick={() => answer({ approve: false })}>
          Deny
        </Button>
      </div>
      <Refused error={error} />
    </form>
  );
}

function Signal({ run, name }: { run: Run; name: string }) {
  const [payload, setPayload] = useState<unknown>(undefined);
  const { error, isBusy, send } = useSend(run);
  return (
    <div className="space-y-2">
      <label className="block">
        <span className="mb-1 block text-sm font-medium">Payload (JSON)</span>
        <JsonControl common={{ className: "field" }} value={payload} onChange={setPayload} />
      </label>
      <Refused error={error} />
      <Button look="primary" busy={isBusy} onClick={() => void send(() => sendSignal(run.execution_id, { name, payload: payload ?? null }))}>
        Send signal
      </Button>
    </div>
  );
}
