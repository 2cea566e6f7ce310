// One conversation: its turns, and the message to send next.
import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo, useRef, useState, type FormEvent } from "react";
import { ApiError, explain } from "../../api/client";
import { startRun, type Chat, type WorkflowDetail } from "../../api/project";
import { control, listRuns, type ListedRun } from "../../api/runs";
import { conversationOf, LABEL, valuesOf } from "../../lib/chat";
import { useMay } from "../../lib/me";
import { hasForm, initialValue, kindOf, mismatchesOf, propertiesOf, resolve, type Schema } from "../../lib/schema";
import { isFinal } from "../../lib/status";
import { live } from "../../live/live";
import { Button } from "../../ui/button";
import { Fault, Loading } from "../../ui/layout";
import { SchemaForm } from "../../ui/schema-form";
import { failed } from "../../ui/toast";
import { useWholeRun } from "../run/whole";
import { useFollowedEnd } from "./follow";
import { Turn } from "./turn";

type Values = Record<string, unknown>;

const OPENS_MS = 15_000;
const PAGE = 20;

/** The input of a workflow without its message and the value that names the conversation. */
function schemaOfOthers(schema: Schema | null, without: (string | null)[]): Schema | null {
  if (!hasForm(schema)) return null;
  const whole = resolve(schema, schema);
  const properties = Object.entries(whole.properties as Values).filter(([name]) => !without.includes(name));
  return properties.length ? { ...whole, properties: Object.fromEntries(properties) } : null;
}

export function Conversation({ workflow, chat, name }: { workflow: WorkflowDetail; chat: Chat; name: string | undefined }) {
  const schema = workflow.input_schema as Schema | null;
  const names = hasForm(schema) ? propertiesOf(schema, resolve(schema, schema)).map((each) => each.name) : [];
  const [message, setMessage] = useState(chat.message ?? "");
  const others = useMemo(() => schemaOfOthers(schema, [message, chat.key]), [schema, message, chat.key]);
  const [changed, setChanged] = useState<Values | null>(null);
  const given: Values = chat.key ? { [chat.key]: typed(schema, chat.key, name) } : {};
  const label = conversationOf(chat, { ...(changed ?? initialOf(others)), ...given });
  const queryKey = ["chat", workflow.id, label];
  const turns = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam }) => listRuns({ workflow: workflow.id, label: [`${LABEL}=${label}`] }, pageParam, PAGE),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) > 1 ? false : 3000),
  });
  const runs = useMemo(() => (turns.data?.pages.flatMap((page) => page.executions) ?? []).reverse(), [turns.data]);
  const last = runs.at(-1);
  const before = useWholeRun(last?.execution_id ?? "", "input", last !== undefined && changed === null && others !== null).data;
  const values = changed ?? { ...initialOf(others), ...known(others, before?.input) };
  const { list, end, isFollowed } = useFollowedEnd();
  return (
    <section aria-label="Messages" className="flex flex-col gap-5">
      {turns.error && <Fault error={turns.error} />}
      {turns.isPending && <Loading />}
      {turns.hasNextPage && (
        <Button size="sm" className="self-center" busy={turns.isFetchingNextPage} onClick={() => void turns.fetchNextPage()}>
          Earlier messages
        </Button>
      )}
      {turns.data && runs.length === 0 && (
        <p className="py-8 text-center text-soft">
          No messages yet. {name ? <>The workflow will know messages of “{name}” in later runs.</> : "The workflow will know earlier messages in later runs."}
        </p>
      )}
      <div role="log" aria-label="Conversation" ref={list}>
        <ol className="space-y-5">
          {runs.map((run) => (
            <li key={run.execution_id} data-turn={run.execution_id}>
              <Turn run={run} chat={chat} message={message} />
            </li>
          ))}
        </ol>
      </div>
      <Composer
        onSend={() => {
          isFollowed.current = true;
        }}
        workflow={workflow.id}
        last={last}
        message={message}
        names={chat.message === null ? names.filter((each) => each !== chat.key) : []}
        onMessage={setMessage}
        input={{ ...values, ...given }}
        label={label}
        queryKey={queryKey}
        others={others}
        onOthers={setChanged}
        values={values}
      />
      <div ref={end} />
    </section>
  );
}

/** The value that names a conversation, as a number if the schema says so. */
function typed(schema: Schema | null, key: string, name: string | undefined): unknown {
  const property = schema ? propertiesOf(schema, resolve(schema, schema)).find((each) => each.name === key) : undefined;
  return property && ["number", "integer"].includes(kindOf(property.schema)) ? Number(name) : name;
}

const initialOf = (schema: Schema | null): Values => (schema ? valuesOf(initialValue(schema, schema)) : {});

/** The values of an input that a schema names. */
function known(schema: Schema | null, input: unknown): Values {
  const names = Object.keys(valuesOf(schema?.properties));
  return Object.fromEntries(Object.entries(valuesOf(input)).filter(([name]) => names.includes(name)));
}

interface ComposerProps {
  onSend: () => void;
  workflow: string;
  last: ListedRun | undefined;
  message: string;
  names: string[];
  onMessage: (name: string) => void;
  input: Values;
  label: string;
  queryKey: string[];
  others: Schema | null;
  values: Values;
  onOthers: (values: Values) => void;
}

function Composer({ onSend, workflow, last, message, names, onMessage, input, label, queryKey, others, values, onOthers }: ComposerProps) {
  const queries = useQueryClient();
  const mayRun = useMay("run");
  const [text, setText] = useState("");
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const form = useRef<HTMLFormElement>(null);
  const isOpen = last !== undefined && !isFinal(last.status);
  const send = async (event: FormEvent) => {
    event.preventDefault();
    if (!text.trim() || isOpen || isBusy || !message) return;
    onSend();
    setBusy(true);
    setError(null);
    try {
      const run = await startRun(workflow, { input: { ...input, [message]: text }, labels: { [LABEL]: label } });
      window.setTimeout(live.watch(run.execution_id, {}, true), OPENS_MS);
      setText("");
      await queries.invalidateQueries({ queryKey });
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  if (!mayRun) return <p className="text-center text-sm text-soft">Your role does not permit sending messages.</p>;
  return (
    <form ref={form} className="no-print sticky bottom-0 space-y-2 border-t border-line bg-page py-3" aria-label="Send a message" onSubmit={(event) => void send(event)}>
      {error !== null && (
        <p role="alert" data-tone="bad" className="note text-sm">
          {explain(error)}
        </p>
      )}
      {names.length > 0 && (
        <label className="flex items-center gap-2 text-sm">
          The message is
          <select className="field w-auto!" required value={message} onChange={(event) => onMessage(event.target.value)}>
            <option value="">–</option>
            {names.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
      )}
      {others && (
        <details className="card max-h-80 overflow-y-auto px-4 py-2 text-sm" open={error instanceof ApiError || undefined}>
          <summary>Other values of the input</summary>
          <div className="py-3">
            <SchemaForm root={others} schema={others} value={values} onChange={(next) => onOthers(valuesOf(next))} mismatches={error instanceof ApiError ? mismatchesOf(error.problem.details) : []} />
          </div>
        </details>
      )}
      <div className="flex items-end gap-2">
        <textarea
          aria-label="Message"
          data-search
          rows={2}
          className="field max-h-60 [field-sizing:content]"
          placeholder="Write a message. Enter sends it, Shift+Enter starts a line."
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            form.current?.requestSubmit();
          }}
        />
        {isOpen ? (
          <Button look="danger" onClick={() => void control(last.execution_id, "cancel", { reason: "stopped on the web page" }).then(() => queries.invalidateQueries({ queryKey }), failed)}>
            Stop
          </Button>
        ) : (
          <Button type="submit" look="primary" busy={isBusy} disabled={!text.trim() || !message}>
            Send
          </Button>
        )}
      </div>
    </form>
  );
}
