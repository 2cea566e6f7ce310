// Schedules: when they run next, pausing, running now, and past times.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { backfill, changeSchedule, listSchedules, nextTimes, triggerSchedule, type Schedule } from "../api/admin";
import { localTime, planned, plural } from "../lib/format";
import { useMay } from "../lib/me";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Fact, Field } from "../ui/layout";
import { ListPage, Teach } from "../ui/list-page";
import { Tag } from "../ui/table";
import { Ago } from "../ui/time";
import { done, failed } from "../ui/toast";

const TONES: Record<string, string> = { active: "good", paused: "pause", ended: "gone", removed: "gone" };
// More schedules show their next times when they are opened.
const MAX_OPEN = 3;
const EXAMPLE = `schedule:
  cron: "0 9 * * 1-5"
  timezone: Europe/Berlin`;

export default function SchedulesPage() {
  const schedules = useQuery({ queryKey: ["schedules"], queryFn: listSchedules, refetchInterval: 5000 });
  return (
    <ListPage
      title="Schedules"
      about="Each time starts exactly one run, on any number of servers."
      query={schedules}
      empty={
        <Teach title="No schedules yet" example={EXAMPLE}>
          Add a schedule to a workflow, and restart the server:
        </Teach>
      }
    >
      {(found) => found.map((each) => <OneSchedule key={each.schedule_id} schedule={each} isOpen={found.length <= MAX_OPEN} />)}
    </ListPage>
  );
}

function OneSchedule({ schedule, isOpen }: { schedule: Schedule; isOpen: boolean }) {
  const id = schedule.schedule_id;
  const skipped = Object.entries(schedule.skipped).filter(([, count]) => count > 0);
  return (
    <article className="card p-4 sm:p-5" data-row={id} tabIndex={-1} aria-label={id}>
      <div className="flex flex-wrap items-start justify-between gap-3">
        <div className="min-w-0">
          <h2 className="flex flex-wrap items-center gap-2.5 text-base">
            {id} <Tag tone={TONES[schedule.state] ?? "idle"}>{schedule.state}</Tag>
          </h2>
          <p className="mt-0.5 text-sm">{schedule.description}</p>
          <p className="text-sm text-soft">
            Runs{" "}
            <Link to="/workflows/$workflowId" params={{ workflowId: schedule.workflow_id }} className="text-accent underline">
              {schedule.workflow_id}
            </Link>
            {schedule.cron && <code className="ml-3">{schedule.cron}</code>}
            {schedule.timezone && <span className="ml-3">{schedule.timezone}</span>}
          </p>
          {schedule.reason && <p className="text-sm text-soft">{schedule.reason}</p>}
          {schedule.differs_from_file.length > 0 && <p className="text-sm text-wait">Differs from its file: {schedule.differs_from_file.join(", ")}.</p>}
        </div>
        <Actions schedule={schedule} />
      </div>
      <dl className="mt-3 flex flex-wrap gap-x-8 gap-y-2 text-sm">
        <Fact name="Last run">
          {schedule.last_execution_id ? (
            <Link to="/runs/$runId" params={{ runId: schedule.last_execution_id }} className="text-accent hover:underline">
              <Ago at={schedule.last_at} />
            </Link>
          ) : (
            "–"
          )}
        </Fact>
        <Fact name="Started">{plural(schedule.started, "run")}</Fact>
        <Fact name="Overlap">{schedule.overlap_policy}</Fact>
        <Fact name="Catch-up">{schedule.catch_up}</Fact>
        {skipped.length > 0 && (
          <Fact name="Skipped">
            <span title={schedule.last_skip?.message}>{skipped.map(([reason, count]) => `${count} ${reason}`).join(", ")}</span>
          </Fact>
        )}
      </dl>
      <NextTimes schedule={schedule} isOpenAtFirst={isOpen} />
    </article>
  );
}

function NextTimes({ schedule, isOpenAtFirst }: { schedule: Schedule; isOpenAtFirst: boolean }) {
  const [isOpen, setOpen] = useState(isOpenAtFirst);
  const times = useQuery({ queryKey: ["next", schedule.schedule_id, schedule.next_at], queryFn: () => nextTimes(schedule.schedule_id), enabled: isOpen });
  if (!schedule.next_at && schedule.state !== "paused") return null;
  return (
    <details className="mt-3 text-sm" open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        {schedule.next_at ? (
          <>
            Next: {planned(schedule.next_at)} (<Ago at={schedule.next_at} />)
          </>
        ) : (
          "Next times after it is resumed"
        )}
      </summary>
      <ol className="mt-2 grid gap-x-8 gap-y-0.5 pl-4 text-soft sm:grid-cols-2">
        {times.data?.next.map((time) => (
          <li key={time.at}>
            {planned(time.at)}
            {schedule.timezone && (
              <span className="text-faint">
                {" "}
                ({localTime(time.at, time.local)} in {schedule.timezone})
              </span>
            )}
          </li>
        ))}
      </ol>
      {times.error && <p className="text-bad">The times could not be read.</p>}
    </details>
  );
}

function Actions({ schedule }: { schedule: Schedule }) {
  const queries = useQueryClient();
  const mayRun = useMay("run");
  const [busy, setBusy] = useState(false);
  const [isBackfill, setBackfill] = useState(false);
  if (!mayRun) return null;
  const act = async (call: () => Promise<unknown>, text: string) => {
    setBusy(true);
    try {
      await call();
      done(text);
      await queries.invalidateQueries({ queryKey: ["schedules"] });
    } catch (error) {
      failed(error);
    } finally {
      setBusy(false);
    }
  };
  const id = schedule.schedule_id;
  const isActive = schedule.state === "active";
  return (
    <div className="no-print flex flex-wrap gap-2">
      <Button busy={busy} onClick={() => void act(() => changeSchedule(id, { enabled: !isActive }), isActive ? "The schedule is paused." : "The schedule continues.")}>
        {isActive ? "Pause" : "Resume"}
      </Button>
      <Button busy={busy} onClick={() => void act(() => triggerSchedule(id), "A run was started.")}>
        Run now
      </Button>
      <Button onClick={() => setBackfill(true)}>Backfill</Button>
      {isBackfill && <Backfill id={id} onClose={() => setBackfill(false)} />}
    </div>
  );
}

function Backfill({ id, onClose }: { id: string; onClose: () => void }) {
  const queries = useQueryClient();
  const [start, setStart] = useState("");
  const [end, setEnd] = useState("");
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    try {
      const made = await backfill(id, { start: new Date(start).toISOString(), end: new Date(end).toISOString() });
      done(`${plural(made.started.length, "run")} started, ${made.existing.length} existed.`);
      await queries.invalidateQueries({ queryKey: ["schedules"] });
      onClose();
    } catch (error) {
      failed(error);
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={`Backfill ${id}`}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>Back</Button>
          <Button look="primary" busy={busy} disabled={!start || !end} onClick={() => void run()}>
            Start the runs
          </Button>
        </>
      }
    >
      <p className="mb-4 text-soft">Starts the runs of past times that have none, at most 1,000. Times are those of this browser.</p>
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label="From">
          <input type="datetime-local" className="field" value={start} onChange={(event) => setStart(event.target.value)} />
        </Field>
        <Field label="To">
          <input type="datetime-local" className="field" value={end} onChange={(event) => setEnd(event.target.value)} />
        </Field>
      </div>
    </Dialog>
  );
}
