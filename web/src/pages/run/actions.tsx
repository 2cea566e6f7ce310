// Operations on a run: pause, resume, cancel, send a signal, run again.
import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { control, sendSignal, type Run } from "../../api/runs";
import { useMay } from "../../lib/me";
import { isFinal, isRerunnable } from "../../lib/status";
import { Button, buttonClass } from "../../ui/button";
import { Dialog } from "../../ui/dialog";
import { Field } from "../../ui/layout";
import { JsonControl } from "../../ui/schema-form";
import { done, failed } from "../../ui/toast";
import { runKey } from "./data";
import { RerunDialog } from "./rerun";

export function Actions({ run }: { run: Run }) {
  const mayRun = useMay("run");
  const queries = useQueryClient();
  const [busy, setBusy] = useState<string | null>(null);
  const [open, setOpen] = useState<"cancel" | "signal" | "rerun" | null>(null);
  if (!mayRun) return null;
  const isEnded = isFinal(run.status);
  const isPausing = run.status === "PAUSED" || run.requested === "PAUSED";
  const act = async (verb: "pause" | "resume" | "cancel", text: string, body?: unknown) => {
    setBusy(verb);
    try {
      queries.setQueryData(runKey(run.execution_id), await control(run.execution_id, verb, body));
      done(text);
    } catch (error) {
      failed(error);
    } finally {
      setBusy(null);
      setOpen(null);
    }
  };
  return (
    <>
      {!isEnded && !isPausing && (
        <Button aria-keyshortcuts="p" busy={busy === "pause"} onClick={() => void act("pause", "The run pauses after its running tasks.")}>
          Pause
        </Button>
      )}
      {!isEnded && isPausing && (
        <Button look="primary" aria-keyshortcuts="p" busy={busy === "resume"} onClick={() => void act("resume", "The run continues.")}>
          Resume
        </Button>
      )}
      {!isEnded && <Button aria-keyshortcuts="s" onClick={() => setOpen("signal")}>Send signal</Button>}
      {!isEnded && (
        <Button look="danger" aria-keyshortcuts="c" onClick={() => setOpen("cancel")}>
          Cancel
        </Button>
      )}
      {run.rerun_of && (
        <Link to="/compare" search={{ a: run.rerun_of, b: run.execution_id }} className={buttonClass()}>
          Compare
        </Link>
      )}
      {isRerunnable(run.status) && (
        <Button look="primary" aria-keyshortcuts="r" onClick={() => setOpen("rerun")}>
          Run again
        </Button>
      )}
      {open === "cancel" && (
        <CancelDialog busy={busy === "cancel"} onClose={() => setOpen(null)} onCancel={(reason) => void act("cancel", "The run was canceled.", { reason })} />
      )}
      {open === "signal" && <SignalDialog run={run} onClose={() => setOpen(null)} />}
      {open === "rerun" && <RerunDialog run={run} onClose={() => setOpen(null)} />}
    </>
  );
}

function CancelDialog({ busy, onClose, onCancel }: { busy: boolean; onClose: () => void; onCancel: (reason: string) => void }) {
  const [reason, setReason] = useState("canceled on the web page");
  return (
    <Dialog
      title="Cancel this run?"
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>Keep running</Button>
          <Button look="danger" busy={busy} onClick={() => onCancel(reason.trim() || "canceled on the web page")}>
            Cancel the run
          </Button>
        </>
      }
    >
      <p className="mb-4 text-soft">Tasks that are running are stopped. Results so far stay recorded, and the run can be run again from any task.</p>
      <Field label="Reason" hint="It becomes the error message of the run.">
        <input className="field" maxLength={200} value={reason} onChange={(event) => setReason(event.target.value)} />
      </Field>
    </Dialog>
  );
}

function SignalDialog({ run, onClose }: { run: Run; onClose: () => void }) {
  const waiting = run.tasks.flatMap((task) => (task.waits_for ? [task.waits_for] : []));
  const [name, setName] = useState(waiting[0] ?? "");
  const [payload, setPayload] = useState<unknown>(undefined);
  const [isBusy, setBusy] = useState(false);
  const send = async () => {
    setBusy(true);
    try {
      await sendSignal(run.execution_id, { name, payload: payload ?? null });
      done(`The signal ${name} was sent.`);
      onClose();
    } catch (error) {
      failed(error);
      setBusy(false);
    }
  };
  return (
    <Dialog
      title="Send a signal"
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>Close</Button>
          <Button look="primary" busy={isBusy} disabled={!name} onClick={() => void send()}>
            Send
          </Button>
        </>
      }
    >
      <div className="space-y-4">
        <p className="text-soft">The signal is kept until a task waits for it.</p>
        <Field label="Name">
          <input className="field font-mono" list="signals" value={name} onChange={(event) => setName(event.target.value)} />
        </Field>
        <datalist id="signals">
          {waiting.map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
        <Field label="Payload (JSON)">
          <JsonControl common={{ className: "field" }} value={payload} onChange={setPayload} rows={5} />
        </Field>
      </div>
    </Dialog>
  );
}
