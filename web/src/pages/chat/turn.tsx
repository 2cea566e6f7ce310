// A message and its answer, which is the result of a run.
import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, type ReactNode } from "react";
import type { Chat } from "../../api/project";
import type { ListedRun, Run } from "../../api/runs";
import { replyOf, valuesOf } from "../../lib/chat";
import { isFinal, shownStatus } from "../../lib/status";
import { textOf } from "../../lib/text";
import { Bubble } from "../../ui/bubble";
import { Money } from "../../ui/cost";
import { Fault, Loading } from "../../ui/layout";
import { StatusBadge } from "../../ui/status";
import { Ago, Took } from "../../ui/time";
import { useRun } from "../run/data";
import { TaskError } from "../run/panel";
import { Waiting } from "../run/waiting";
import { useWholeRun } from "../run/whole";

export function Turn({ run, chat, message }: { run: ListedRun; chat: Chat; message: string }) {
  const whole = useWholeRun(run.execution_id, run.status);
  useListAfter(whole.data !== undefined && isFinal(whole.data.status) && !isFinal(run.status));
  const said = valuesOf(whole.data?.input)[message];
  if (whole.error) return <Fault error={whole.error} />;
  if (!whole.data) return <Loading />;
  return (
    <div className="space-y-3">
      {said !== undefined && <Bubble role="user" text={textOf(said)} foot={<Ago at={run.created_at} />} />}
      {isFinal(whole.data.status) ? <Answer run={whole.data} chat={chat} /> : <Progress listed={run} chat={chat} />}
    </div>
  );
}

/** Read the list of turns again when a run has ended that it has as unfinished: until then, nothing can be sent. */
function useListAfter(hasEnded: boolean) {
  const queries = useQueryClient();
  useEffect(() => {
    if (hasEnded) void queries.invalidateQueries({ queryKey: ["chat"] });
  }, [hasEnded, queries]);
}

function Answer({ run, chat }: { run: Run; chat: Chat }) {
  const foot = (
    <>
      <RunPage id={run.execution_id}>Run</RunPage>
      <Took times={run} />
      {run.cost !== null && <Money of={run} />}
    </>
  );
  if (run.status === "SUCCESS") return <Bubble role="assistant" text={replyOf(run, chat.task)} foot={foot} />;
  return (
    <div className="space-y-1 text-sm">
      {run.error && run.status !== "CANCELED" ? (
        <TaskError error={run.error} />
      ) : (
        <p className="text-soft">{run.status === "CANCELED" ? "The answer was stopped. Nothing of it is remembered." : shownStatus(run.status).sentence}</p>
      )}
      <p className="flex gap-3 text-xs text-faint">
        <StatusBadge status={run.status} />
        {foot}
      </p>
    </div>
  );
}

/** The answer while it is written, and the questions that it waits for. */
function Progress({ listed, chat }: { listed: ListedRun; chat: Chat }) {
  const id = listed.execution_id;
  const { run, texts } = useRun(id);
  const status = run.data?.status;
  const text = texts.get(chat.task)?.text ?? "";
  useListAfter(status !== undefined && isFinal(status));
  return (
    <div className="space-y-3">
      {run.data && <Waiting run={run.data} />}
      <div aria-live="off" data-live-text={text ? chat.task : undefined}>
        {text && (
          <Bubble role="assistant" text={text}>
            <span className="ml-0.5 inline-block h-3.5 w-1.5 animate-pulse bg-run align-text-bottom" aria-hidden />
          </Bubble>
        )}
      </div>
      <p className="flex items-center gap-3 px-1 text-xs text-faint">
        <StatusBadge status={status ?? listed.status} />
        <RunPage id={id}>Run</RunPage>
      </p>
    </div>
  );
}

function RunPage({ id, children }: { id: string; children: ReactNode }) {
  return (
    <Link to="/runs/$runId" params={{ runId: id }} className="text-accent hover:underline">
      {children}
    </Link>
  );
}
