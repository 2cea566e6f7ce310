// API keys, users and the audit log.
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import { addUser, changeUser, createKey, deleteUser, listAudit, listKeys, listUsers, revokeKey, rotateKey } from "../api/admin";
import type { Schemas } from "../api/client";
import { dateTime } from "../lib/format";
import { useMay, useMe } from "../lib/me";
import { one, type Search } from "../lib/search";
import { Button, Tabs } from "../ui/button";
import { Confirm } from "../ui/confirm";
import { Dialog } from "../ui/dialog";
import { Fault, Field, PageHead } from "../ui/layout";
import { Table, Tag } from "../ui/table";
import { Ago } from "../ui/time";
import { done, failed } from "../ui/toast";
import { copy } from "../ui/value";

type Key = Schemas["KeyInfo"];
type User = Schemas["UserInfo"];
const ROLES = ["viewer", "user", "admin"] as const;
type Role = (typeof ROLES)[number];
const TONES: Record<string, string> = { active: "good", expired: "gone", revoked: "gone" };

export default function AccessPage() {
  const search = useSearch({ strict: false }) as Search;
  const navigate = useNavigate();
  const mayManage = useMay("manage");
  const view = one(search.view) ?? "keys";
  const views = [{ value: "keys", label: "API keys" }, ...(mayManage ? [{ value: "users", label: "Users" }, { value: "audit", label: "Audit log" }] : [])];
  return (
    <>
      <PageHead title="Access" tab="Access" about={mayManage ? "Users and API keys of this server, and the log of their changes." : "Your API keys."} />
      <div className="space-y-4 px-4 pb-10 sm:px-6">
        <Tabs label="View" value={view} options={views} onChange={(next) => void navigate({ to: "/access", search: { view: next }, replace: true })} />
        {view === "users" ? <Users /> : view === "audit" ? <Audit /> : <ApiKeys />}
      </div>
    </>
  );
}

function ApiKeys() {
  const queries = useQueryClient();
  const keys = useQuery({ queryKey: ["keys"], queryFn: listKeys });
  const [isNew, setNew] = useState(false);
  const [made, setMade] = useState<Schemas["NewKey"] | null>(null);
  const [revoked, setRevoked] = useState<Key | null>(null);
  const refresh = () => queries.invalidateQueries({ queryKey: ["keys"] });
  const rotate = async (key: Key) => {
    try {
      setMade(await rotateKey(key.key_id));
      await refresh();
    } catch (error) {
      failed(error);
    }
  };
  if (keys.error) return <Fault error={keys.error} />;
  return (
    <div className="space-y-4">
      <Button look="primary" onClick={() => setNew(true)}>
        New API key
      </Button>
      {keys.data?.length === 0 && <p className="text-soft">No API keys yet. Programs send them as `Authorization: Bearer KEY`.</p>}
      {keys.data && keys.data.length > 0 && (
        <Table label="API keys" heads={["Name", "State", "User", "Role", "Workflows", "Last use", "Expires", ""]}>
          {keys.data.map((key) => (
            <tr key={key.key_id}>
              <td className="long">
                <span className="font-medium">{key.name}</span>
                <br />
                <code className="text-xs text-faint">{key.prefix}…</code>
              </td>
              <td>
                <Tag tone={TONES[key.status] ?? "idle"}>{key.status}</Tag>
              </td>
              <td className="long">{key.user}</td>
              <td>{key.role}</td>
              <td className="long">{key.workflows?.join(", ") ?? "all"}</td>
              <td>{key.last_used_at ? <Ago at={key.last_used_at} /> : "never"}</td>
              <td>{key.expires_at ? <Ago at={key.expires_at} /> : "never"}</td>
              <td>
                {key.status === "active" && (
                  <span className="flex gap-1.5">
                    <Button size="sm" onClick={() => void rotate(key)}>
                      Rotate
                    </Button>
                    <Button size="sm" look="danger" onClick={() => setRevoked(key)}>
                      Revoke
                    </Button>
                  </span>
                )}
              </td>
            </tr>
          ))}
        </Table>
      )}
      {isNew && <NewKeyDialog onClose={() => setNew(false)} onMade={(key) => { setNew(false); setMade(key); void refresh(); }} />}
      {made && (
        <Dialog title="New API key" onClose={() => setMade(null)} footer={<Button look="primary" onClick={() => setMade(null)}>Done</Button>}>
          <p className="mb-3">Copy the key now: it is shown only here.</p>
          <div className="flex gap-2">
            <input readOnly aria-label="API key" className="field font-mono" value={made.api_key} onFocus={(event) => event.target.select()} />
            <Button onClick={() => void copy(made.api_key)}>Copy</Button>
          </div>
        </Dialog>
      )}
      {revoked && (
        <Confirm title={`Revoke ${revoked.name}?`} verb="Revoke the key" onClose={() => setRevoked(null)} onConfirm={async () => { await revokeKey(revoked.key_id); done("The key was revoked."); await refresh(); }}>
          Programs that use this key are refused within a second. This cannot be undone.
        </Confirm>
      )}
    </div>
  );
}

function NewKeyDialog({ onClose, onMade }: { onClose: () => void; onMade: (key: Schemas["NewKey"]) => void }) {
  const me = useMe();
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const text = (name: string) => String(new FormData(event.currentTarget).get(name) ?? "").trim();
    const workflows = text("workflows").split(",").map((each) => each.trim()).filter(Boolean);
    const body = { name: text("name"), role: (text("role") || null) as Role | null, workflows, expires_in: text("expires") || null, user: text("user") || null };
    setBusy(true);
    try {
      onMade(await createKey(body));
    } catch (error) {
      failed(error);
      setBusy(false);
    }
  };
  return (
    <Dialog title="New API key" onClose={onClose}>
      <form className="space-y-4" onSubmit={(event) => void submit(event)}>
        <Field label="Name">
          <input name="name" required maxLength={100} className="field" placeholder="nightly import" />
        </Field>
        {me?.user_id === null && (
          <Field label="User" hint="Email address of the user that the key belongs to">
            <input name="user" required className="field" />
          </Field>
        )}
        <Field label="Role">
          <select name="role" className="field">
            <option value="">Role of its user</option>
            {ROLES.map((role) => (
              <option key={role}>{role}</option>
            ))}
          </select>
        </Field>
        <Field label="Workflows" hint="IDs with commas; empty for all">
          <input name="workflows" className="field" />
        </Field>
        <Field label="Expires after" hint="For example 90d or 12h; empty for never">
          <input name="expires" className="field" />
        </Field>
        <Button type="submit" look="primary" busy={busy}>
          Create
        </Button>
      </form>
    </Dialog>
  );
}

function Users() {
  const queries = useQueryClient();
  const users = useQuery({ queryKey: ["users"], queryFn: listUsers });
  const [isNew, setNew] = useState(false);
  const [removed, setRemoved] = useState<User | null>(null);
  const [password, setPassword] = useState<User | null>(null);
  const refresh = () => queries.invalidateQueries({ queryKey: ["users"] });
  const setRole = async (user: User, role: Role) => {
    try {
      await changeUser(user.user_id, { role });
      done(`${user.email} has the role ${role}.`);
      await refresh();
    } catch (error) {
      failed(error);
    }
  };
  if (users.error) return <Fault error={users.error} />;
  return (
    <div className="space-y-4">
      <Button look="primary" onClick={() => setNew(true)}>
        New user
      </Button>
      {users.data?.length === 0 && <p className="text-soft">No users yet. Create the first one here, or with `compozy auth bootstrap`.</p>}
      {users.data && users.data.length > 0 && (
        <Table label="Users" heads={["Email address", "Role", "Password", "Created", ""]}>
          {users.data.map((user) => (
            <tr key={user.user_id}>
              <td className="long font-medium">{user.email}</td>
              <td>
                <select aria-label={`Role of ${user.email}`} className="field w-auto!" value={user.role} onChange={(event) => void setRole(user, event.target.value as Role)}>
                  {ROLES.map((role) => (
                    <option key={role}>{role}</option>
                  ))}
                  {!ROLES.includes(user.role as Role) && <option>{user.role}</option>}
                </select>
              </td>
              <td>
                <Button size="sm" onClick={() => setPassword(user)}>
                  {user.has_password ? "Change" : "Set"}
                </Button>
              </td>
              <td>
                <Ago at={user.created_at} />
              </td>
              <td>
                <Button size="sm" look="danger" onClick={() => setRemoved(user)}>
                  Delete
                </Button>
              </td>
            </tr>
          ))}
        </Table>
      )}
      {isNew && <UserDialog onClose={() => setNew(false)} onDone={refresh} />}
      {password && <PasswordDialog user={password} onClose={() => setPassword(null)} onDone={refresh} />}
      {removed && (
        <Confirm title={`Delete ${removed.email}?`} verb="Delete the user" onClose={() => setRemoved(null)} onConfirm={async () => { await deleteUser(removed.user_id); done("The user was deleted."); await refresh(); }}>
          All API keys and sessions of the user are deleted as well. Runs and the audit log keep the name.
        </Confirm>
      )}
    </div>
  );
}

/** A dialog with one form; it closes when its request succeeded. */
function FormDialog({ title, verb, children, onSubmit, onClose, onDone }: {
  title: string;
  verb: string;
  children: React.ReactNode;
  onSubmit: (values: FormData) => Promise<unknown>;
  onClose: () => void;
  onDone: () => Promise<unknown>;
}) {
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setBusy(true);
    try {
      await onSubmit(new FormData(event.currentTarget));
      await onDone();
      onClose();
    } catch (error) {
      failed(error);
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form className="space-y-4" onSubmit={(event) => void submit(event)}>
        {children}
        <Button type="submit" look="primary" busy={busy}>
          {verb}
        </Button>
      </form>
    </Dialog>
  );
}

function UserDialog({ onClose, onDone }: { onClose: () => void; onDone: () => Promise<unknown> }) {
  return (
    <FormDialog title="New user" verb="Create" onClose={onClose} onDone={onDone} onSubmit={(values) => addUser({ email: String(values.get("email")), role: values.get("role") as Role })}>
      <Field label="Email address">
        <input name="email" type="email" required className="field" />
      </Field>
      <Field label="Role">
        <select name="role" className="field" defaultValue="user">
          {ROLES.map((role) => (
            <option key={role}>{role}</option>
          ))}
        </select>
      </Field>
    </FormDialog>
  );
}

function PasswordDialog({ user, onClose, onDone }: { user: User; onClose: () => void; onDone: () => Promise<unknown> }) {
  return (
    <FormDialog title={`Password of ${user.email}`} verb="Save" onClose={onClose} onDone={onDone} onSubmit={(values) => changeUser(user.user_id, { password: String(values.get("password")) })}>
      <Field label="New password" hint="Sessions of this user end.">
        <input name="password" type="password" required autoComplete="new-password" className="field" />
      </Field>
    </FormDialog>
  );
}

function Audit() {
  const pages = useInfiniteQuery({
    queryKey: ["audit"],
    queryFn: ({ pageParam }) => listAudit(pageParam),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
  if (pages.error) return <Fault error={pages.error} />;
  const entries = pages.data?.pages.flatMap((page) => page.entries) ?? [];
  if (pages.data && entries.length === 0) return <p className="text-soft">Nothing yet. Changes by users and API keys are recorded here.</p>;
  return (
    <div className="space-y-3">
      <Table label="Audit log" heads={["Time", "User", "Credential", "Action", "Target", "Status", "Address"]}>
        {entries.map((entry) => (
          <tr key={entry.audit_id}>
            <td className="whitespace-nowrap">{dateTime(entry.created_at)}</td>
            <td className="long">{entry.actor}</td>
            <td className="long text-soft">{entry.credential}</td>
            <td>{entry.action}</td>
            <td className="long">
              {entry.execution_id ? (
                <Link to="/runs/$runId" params={{ runId: entry.execution_id }} className="text-accent hover:underline">
                  {entry.execution_id}
                </Link>
              ) : (
                entry.target
              )}
            </td>
            <td className={entry.status >= 400 ? "text-bad" : "text-soft"}>{entry.status}</td>
            <td className="text-soft">{entry.address}</td>
          </tr>
        ))}
      </Table>
      {pages.hasNextPage && (
        <Button busy={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
          Older entries
        </Button>
      )}
    </div>
  );
}
