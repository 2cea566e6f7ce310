// Conversations that agents remember: the list, and one with its messages.
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import {
  appendMessage,
  clearConversation,
  deleteConversation,
  listConversations,
  readConversation,
  type Conversation,
  type StoredMessage,
} from "../api/admin";
import { explain } from "../api/client";
import { summaryOf } from "../api/runs";
import { LABEL } from "../lib/chat";
import { number, plural } from "../lib/format";
import { useMay } from "../lib/me";
import { one, type Search } from "../lib/search";
import { Bubble } from "../ui/bubble";
import { Button } from "../ui/button";
import { Confirm } from "../ui/confirm";
import { Empty, Fact, Fault, Loading, PageHead, Part } from "../ui/layout";
import { Teach } from "../ui/list-page";
import { Table } from "../ui/table";
import { Ago } from "../ui/time";
import { done } from "../ui/toast";
import { Value } from "../ui/value";

const EXAMPLE = `tasks:
  - id: reply
    prompt: "{{ .input.message }}"
    memory:
      - id: chat
        key: "user:{{ .input.user }}"`;

export default function MemoryPage() {
  const search = useSearch({ strict: false }) as Search;
  const memory = one(search.memory);
  const key = one(search.key);
  return memory && key ? <Stored key={`${memory} ${key}`} memory={memory} name={key} /> : <Conversations memory={memory} />;
}

function Conversations({ memory }: { memory: string | undefined }) {
  const pages = useInfiniteQuery({
    queryKey: ["conversations", memory],
    queryFn: ({ pageParam }) => listConversations(memory, pageParam),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) > 1 ? false : 4000),
  });
  const found = pages.data?.pages.flatMap((page) => page.conversations) ?? [];
  return (
    <>
      <PageHead title="Memory" tab="Memory" about="Conversations that agents remember in later runs.">
        {memory && (
          <Link to="/memory" className="text-sm text-accent hover:underline">
            All memories
          </Link>
        )}
      </PageHead>
      {pages.error && <Fault error={pages.error} />}
      {pages.isPending && <Loading />}
      {pages.data && found.length === 0 && (
        <Teach title="No conversations yet" example={EXAMPLE}>
          A task with a memory stores its prompt and its answer, and later runs with the same key continue. Add one, restart the server, and{" "}
          <Link to="/chat" className="text-accent underline">
            send a message
          </Link>
          :
        </Teach>
      )}
      {found.length > 0 && (
        <div className="space-y-4 px-4 pb-10 sm:px-6">
          <Table label="Conversations" heads={["Key", "Memory", "Messages", "Tokens", "Changed", "Expires"]}>
            {found.map((each) => (
              <Row key={`${each.memory_id} ${each.key}`} conversation={each} />
            ))}
          </Table>
          {pages.hasNextPage && (
            <Button busy={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
              More conversations
            </Button>
          )}
        </div>
      )}
    </>
  );
}

function Row({ conversation: { memory_id, key, message_count, token_count, updated_at, expires_at } }: { conversation: Conversation }) {
  return (
    <tr>
      <td className="long">
        <Link to="/memory" search={{ memory: memory_id, key }} data-row={key} className="font-medium text-accent hover:underline">
          {key}
        </Link>
      </td>
      <td className="long">
        <Link to="/memory" search={{ memory: memory_id }} className="text-soft hover:underline">
          {memory_id}
        </Link>
      </td>
      <td className="tabular-nums">{number(message_count)}</td>
      <td className="tabular-nums">{number(token_count)}</td>
      <td>
        <Ago at={updated_at} />
      </td>
      <td>
        <Ago at={expires_at} />
      </td>
    </tr>
  );
}

/** One conversation as it is stored. */
function Stored({ memory, name }: { memory: string; name: string }) {
  const queryKey = ["conversation", memory, name];
  const pages = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam }) => readConversation(memory, name, pageParam),
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next_before,
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) > 1 || query.state.error ? false : 4000),
  });
  const latest = pages.data?.pages[0];
  const messages = pages.data ? [...pages.data.pages].reverse().flatMap((page) => page.messages) : [];
  return (
    <>
      <PageHead
        title={<span className="break-all">{name}</span>}
        tab={name}
        about={
          <>
            <Link to="/memory" className="text-accent underline">
              Memory
            </Link>{" "}
            {memory}
          </>
        }
      >
        <Continue messages={messages} />
        {latest && <Removal memory={memory} name={name} count={latest.message_count} />}
      </PageHead>
      {pages.error && <Fault error={pages.error} />}
      {pages.isPending && <Loading />}
      {latest && (
        <div className="space-y-4 px-4 pb-10 sm:px-6">
          <dl className="flex flex-wrap gap-x-8 gap-y-2 text-sm">
            <Fact name="Messages">{number(latest.message_count)}</Fact>
            <Fact name="Tokens (estimate)">{number(latest.token_count)}</Fact>
            <Fact name="Changed">
              <Ago at={latest.updated_at} />
            </Fact>
            {latest.expires_at && (
              <Fact name="Expires">
                <Ago at={latest.expires_at} />
              </Fact>
            )}
          </dl>
          {latest.working_memory && (
            <Part title="Working memory">
              <Value value={latest.working_memory} name="working-memory" />
            </Part>
          )}
          {latest.summary && (
            <Part title="Summary of removed messages">
              <Value value={latest.summary} name="summary" />
            </Part>
          )}
          {pages.hasNextPage && (
            <Button size="sm" busy={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
              Earlier messages
            </Button>
          )}
          {messages.length === 0 && <Empty title="This conversation is empty">Its key stays. The next run with it starts from the beginning.</Empty>}
          <div role="log" aria-label="Messages">
            <ol className="space-y-4">
              {messages.map((message) => (
                <li key={message.seq}>
                  <Bubble role={message.role} text={message.content} foot={<Origin message={message} />} />
                </li>
              ))}
            </ol>
          </div>
          <Append memory={memory} name={name} queryKey={queryKey} />
        </div>
      )}
    </>
  );
}

function Origin({ message: { role, created_at, execution_id } }: { message: StoredMessage }) {
  return (
    <>
      {role !== "user" && role !== "assistant" && <span>{role}</span>}
      <Ago at={created_at} />
      {execution_id && (
        <Link to="/runs/$runId" params={{ runId: execution_id }} className="text-accent hover:underline">
          Run
        </Link>
      )}
    </>
  );
}

/** A link to the chat that the last message belongs to. */
function Continue({ messages }: { messages: StoredMessage[] }) {
  const last = messages.findLast((message) => message.execution_id)?.execution_id;
  const run = useQuery({ queryKey: ["summary", last], queryFn: async () => (await summaryOf(String(last))) ?? null, enabled: !!last, staleTime: Infinity }).data;
  const key = run?.labels[LABEL];
  if (!run || key === undefined) return null;
  return (
    <Link to="/chat" search={{ workflow: run.workflow_id, key }} className="text-sm text-accent hover:underline">
      Continue in Chat
    </Link>
  );
}

function Removal({ memory, name, count }: { memory: string; name: string; count: number }) {
  const [asked, setAsked] = useState<"Clear" | "Delete" | null>(null);
  const queries = useQueryClient();
  const navigate = useNavigate();
  if (!useMay("manage")) return null;
  const isDelete = asked === "Delete";
  const confirm = async () => {
    if (isDelete) {
      await deleteConversation(memory, name);
      await navigate({ to: "/memory" });
    } else {
      await clearConversation(memory, name);
      await queries.invalidateQueries({ queryKey: ["conversation"] });
    }
    done(isDelete ? "The conversation was deleted." : "The conversation was cleared.");
    await queries.invalidateQueries({ queryKey: ["conversations"] });
  };
  return (
    <>
      <Button onClick={() => setAsked("Clear")}>Clear</Button>
      <Button look="danger" onClick={() => setAsked("Delete")}>
        Delete
      </Button>
      {asked && (
        <Confirm title={`${asked} the conversation`} verb={isDelete ? "Delete it" : "Clear it"} onConfirm={confirm} onClose={() => setAsked(null)}>
          {plural(count, "message")} of <strong>{name}</strong>, its summary and its working memory are deleted. {isDelete ? "So is its key." : "Its key stays."} Agents no longer remember them. This
          cannot be undone.
        </Confirm>
      )}
    </>
  );
}

/** A message that the next run finds, such as a fact about a person. */
function Append({ memory, name, queryKey }: { memory: string; name: string; queryKey: string[] }) {
  const queries = useQueryClient();
  const mayRun = useMay("run");
  const [role, setRole] = useState<"user" | "assistant" | "system">("system");
  const [content, setContent] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  if (!mayRun) return null;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await appendMessage(memory, { key: name, messages: [{ role, content }], id: null });
      setContent("");
      await queries.invalidateQueries({ queryKey });
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form className="card no-print space-y-3 p-4" aria-label="Add a message" onSubmit={(event) => void submit(event)}>
      <h2 className="text-base">Add a message</h2>
      <p className="text-sm text-soft">The next run finds it in the conversation. No run is started.</p>
      <div className="flex flex-wrap items-start gap-2">
        <select aria-label="Role" className="field w-auto!" value={role} onChange={(event) => setRole(event.target.value as typeof role)}>
          <option value="system">Instruction</option>
          <option value="user">Message</option>
          <option value="assistant">Answer</option>
        </select>
        <textarea aria-label="Text" rows={2} required className="field min-w-48 flex-1" value={content} onChange={(event) => setContent(event.target.value)} />
        <Button type="submit" busy={isBusy} disabled={!content.trim()}>
          Add
        </Button>
      </div>
      {error !== null && (
        <p role="alert" className="text-sm text-bad">
          {explain(error)}
        </p>
      )}
    </form>
  );
}
