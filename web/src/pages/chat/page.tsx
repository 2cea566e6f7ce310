// A chat with a workflow that remembers: each message starts a run.
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { getWorkflow, listWorkflows, type Chat, type Workflow } from "../../api/project";
import { listRuns } from "../../api/runs";
import { LABEL } from "../../lib/chat";
import { one, type Search } from "../../lib/search";
import { Button } from "../../ui/button";
import { Empty, Fault, Field, Loading } from "../../ui/layout";
import { ListPage, Teach } from "../../ui/list-page";
import { Conversation } from "./conversation";

const EXAMPLE = `memories:
  - id: chat
    default_key_template: "user:{{ .workflow.input.user }}"`;
const TASK = `tasks:
  - id: reply
    prompt: "{{ .input.message }}"
    memory: [chat]`;

export default function ChatPage() {
  const workflows = useQuery({ queryKey: ["workflows"], queryFn: listWorkflows, staleTime: 30_000, select: (found) => found.filter((each) => each.chat) });
  const search = useSearch({ strict: false }) as Search;
  const id = one(search.workflow);
  return (
    <ListPage
      title="Chat"
      about="Talk to a workflow that remembers. Each message starts a run."
      query={workflows}
      empty={
        <Teach title="No workflow remembers a conversation yet" example={`${EXAMPLE}\n\n${TASK}`}>
          Add a memory to compozy.yaml, use it in a task with a prompt, and restart the server:
        </Teach>
      }
    >
      {(found) => {
        const chosen = id === undefined ? found[0] : found.find((each) => each.id === id);
        return (
          <>
            <Choice workflows={found} chosen={chosen} name={one(search.key)} />
            {!chosen && <Empty title={`Workflow ${id} does not remember a conversation`}>Choose another one above.</Empty>}
            {chosen && <Chosen key={chosen.id} workflow={chosen} name={one(search.key)} />}
          </>
        );
      }}
    </ListPage>
  );
}

/** The workflow to talk to, and the value that names the conversation. */
function Choice({ workflows, chosen, name }: { workflows: Workflow[]; chosen: Workflow | undefined; name: string | undefined }) {
  const navigate = useNavigate();
  const open = (workflow: string | undefined, key?: string) => void navigate({ to: "/chat", search: { workflow, key } });
  const key = chosen?.chat?.key;
  return (
    <form
      aria-label="Conversation"
      className="card flex flex-wrap items-end gap-3 p-4"
      onSubmit={(event) => {
        event.preventDefault();
        open(chosen?.id, String(new FormData(event.currentTarget).get("key")).trim());
      }}
    >
      <Field label="Workflow">
        <select className="field max-w-72" value={chosen?.id ?? ""} onChange={(event) => open(event.target.value)}>
          {!chosen && <option value="" />}
          {workflows.map((each) => (
            <option key={each.id} value={each.id}>
              {each.name ?? each.id}
            </option>
          ))}
        </select>
      </Field>
      {chosen && key && (
        <>
          <Field label={`Conversation (${key})`}>
            <input key={name} name="key" className="field" defaultValue={name} maxLength={256} required />
          </Field>
          <Button type="submit" look={name ? "plain" : "primary"}>
            Open
          </Button>
          <Recent workflow={chosen.id} onOpen={(each) => open(chosen.id, each)} />
        </>
      )}
    </form>
  );
}

const RECENT = 50;

function Recent({ workflow, onOpen }: { workflow: string; onOpen: (name: string) => void }) {
  const runs = useQuery({ queryKey: ["chats", workflow], queryFn: () => listRuns({ workflow }, null, RECENT) });
  const names = [...new Set(runs.data?.executions.map((run) => run.labels[LABEL]).filter((each) => each !== undefined))];
  if (names.length === 0) return null;
  return (
    <select aria-label="Recent conversations" className="field w-auto!" value="" onChange={(event) => onOpen(event.target.value)}>
      <option value="">Recent…</option>
      {names.map((each) => (
        <option key={each}>{each}</option>
      ))}
    </select>
  );
}

function Chosen({ workflow, name }: { workflow: Workflow; name: string | undefined }) {
  const detail = useQuery({ queryKey: ["workflow", workflow.id], queryFn: () => getWorkflow(workflow.id) });
  const chat = workflow.chat as Chat;
  if (detail.error) return <Fault error={detail.error} />;
  if (!detail.data) return <Loading />;
  if (chat.key && !name) {
    return (
      <Empty title="Open a conversation">
        The workflow has one conversation for each value of <code>{chat.key}</code>. Enter a value, for example a name, and press Enter.
      </Empty>
    );
  }
  return <Conversation key={name} workflow={detail.data} chat={chat} name={name} />;
}
