// The frame of every page: navigation, the user, the state of the connection.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { ApiError, apiKey, connection } from "../api/client";
import { getMe, signOut } from "../api/project";
import { listenKeys } from "../lib/keys";
import { MeContext, useMe, useProject } from "../lib/me";
import { applyTheme, readTheme, type Theme } from "../lib/theme";
import { Icon } from "../ui/icon";
import { Loading } from "../ui/layout";
import { Toasts } from "../ui/toast";
import { KeyHelp } from "./key-help";
import { SignIn } from "./sign-in";

const PAGES = [
  { to: "/runs", icon: "runs", label: "Runs" },
  { to: "/workflows", icon: "workflows", label: "Workflows" },
  { to: "/chat", icon: "chat", label: "Chat" },
  { to: "/schedules", icon: "schedules", label: "Schedules" },
  { to: "/webhooks", icon: "webhooks", label: "Webhooks" },
  { to: "/knowledge", icon: "knowledge", label: "Knowledge" },
  { to: "/memory", icon: "memory", label: "Memory" },
  { to: "/costs", icon: "costs", label: "Costs" },
  { to: "/tests", icon: "tests", label: "Tests" },
  { to: "/workers", icon: "workers", label: "Workers" },
  { to: "/access", icon: "access", label: "Access" },
] as const;

export function Shell() {
  const me = useQuery({ queryKey: ["me"], queryFn: getMe, retry: false, staleTime: 60_000 });
  const isKnown = me.data !== undefined;
  const navigate = useNavigate();
  const [isHelp, setHelp] = useState(false);
  useEffect(() => (isKnown ? listenKeys({ go: (to) => void navigate({ to }), help: () => setHelp(true) }) : undefined), [isKnown, navigate]);
  if (me.error instanceof ApiError && me.error.status === 401) {
    return (
      <>
        <SignIn onDone={() => void me.refetch()} wasRefused={apiKey.get() !== null} />
        <Toasts />
      </>
    );
  }
  return (
    <MeContext value={me.data ?? null}>
      <Offline />
      <div className="flex min-h-dvh flex-col md:h-dvh md:flex-row">
        <Sidebar onKeys={() => setHelp(true)} />
        <main id="main" className="print-full min-w-0 flex-1 md:overflow-y-auto" tabIndex={-1}>
          {me.data ? <Outlet /> : <Loading />}
        </main>
      </div>
      <Toasts />
      {isHelp && <KeyHelp onClose={() => setHelp(false)} />}
    </MeContext>
  );
}

/** A line while the server does not answer. The page asks for it, and reads everything again when it answers. */
function Offline() {
  const reach = useSyncExternalStore(connection.subscribe, connection.get);
  const queries = useQueryClient();
  const was = useRef(reach);
  useEffect(() => {
    if (was.current === "offline" && reach === "online") void queries.invalidateQueries();
    was.current = reach;
    if (reach === "online") return;
    const timer = window.setInterval(() => void getMe().catch(() => undefined), 1500);
    return () => window.clearInterval(timer);
  }, [reach, queries]);
  if (reach === "online") return null;
  return (
    <div role="alert" data-tone="wait" className="note no-print sticky top-0 z-40 rounded-none border-x-0 border-t-0 text-center text-sm">
      The server does not answer. This page continues as soon as it answers. Accepted runs are not lost.
    </div>
  );
}

function Sidebar({ onKeys }: { onKeys: () => void }) {
  const [isOpen, setOpen] = useState(false);
  const path = useRouterState({ select: (state) => state.location.pathname });
  useEffect(() => setOpen(false), [path]);
  const project = useProject();
  return (
    <div className="no-print shrink-0 border-line bg-panel md:flex md:w-52 md:flex-col md:border-r">
      <div className="flex items-center gap-2.5 border-b border-line px-4 py-3 md:border-0 md:pt-5">
        <Logo />
        <div className="min-w-0 flex-1">
          <div className="text-sm leading-4 font-semibold">Compozy</div>
          <div className="truncate text-xs text-faint">{project.data?.name ?? " "}</div>
        </div>
        <button
          type="button"
          aria-expanded={isOpen}
          aria-controls="menu"
          className="rounded-md border border-strong px-2.5 py-1 text-sm md:hidden"
          onClick={() => setOpen(!isOpen)}
        >
          Menu
        </button>
      </div>
      <div id="menu" className={`${isOpen ? "flex" : "hidden"} min-h-0 flex-1 flex-col border-b border-line md:flex md:border-0`}>
        <nav aria-label="Pages" className="flex-1 space-y-0.5 overflow-y-auto p-2 md:px-2.5">
          {PAGES.map((page) => (
            <Link
              key={page.to}
              to={page.to}
              className="flex items-center gap-2.5 rounded-md px-2.5 py-1.5 font-medium text-soft hover:bg-raised hover:text-ink"
              activeProps={{ className: "bg-raised text-ink!", "aria-current": "page" }}
            >
              <Icon name={page.icon} />
              {page.label}
            </Link>
          ))}
        </nav>
        <Foot onKeys={onKeys} />
      </div>
    </div>
  );
}

function Foot({ onKeys }: { onKeys: () => void }) {
  const me = useMe();
  const project = useProject().data;
  const [theme, setTheme] = useState(readTheme);
  return (
    <div className="space-y-2.5 p-4 text-xs text-faint">
      {project?.files_changed && (
        <p data-tone="wait" className="note px-2.5 py-1.5 text-soft">
          Project files changed since this server started. Restart the server to use them.
        </p>
      )}
      <label className="flex items-center justify-between gap-2">
        Theme
        <select
          className="rounded border border-line bg-panel px-1 py-0.5 text-soft"
          value={theme}
          onChange={(event) => {
            applyTheme(event.target.value as Theme);
            setTheme(event.target.value as Theme);
          }}
        >
          <option value="system">System</option>
          <option value="light">Light</option>
          <option value="dark">Dark</option>
        </select>
      </label>
      {me && me.credential !== "local" && me.name !== "local" && <User name={me.name} role={me.role} />}
      <div className="flex flex-wrap justify-between gap-x-2 gap-y-1.5 whitespace-nowrap">
        <button type="button" className="hover:text-ink hover:underline" onClick={onKeys}>
          Keyboard ?
        </button>
        <a href="/docs" className="hover:text-ink hover:underline">
          HTTP API
        </a>
        <span>{project && `v${project.compozy_version} · ${project.database.driver}`}</span>
      </div>
    </div>
  );
}

function User({ name, role }: { name: string; role: string }) {
  const leave = async () => {
    apiKey.clear();
    await signOut().catch(() => undefined);
    window.location.assign("/ui/");
  };
  return (
    <div className="flex items-center justify-between gap-2">
      <span className="min-w-0 truncate" title={name}>
        {name} ({role})
      </span>
      <button type="button" className="shrink-0 text-soft hover:underline" onClick={() => void leave()}>
        Sign out
      </button>
    </div>
  );
}

export function Logo() {
  return (
    <svg viewBox="0 0 32 32" className="size-7 shrink-0" aria-hidden>
      <path d="M22.6 9.4A9.3 9.3 0 1 0 22.6 22.6" fill="none" stroke="currentColor" strokeWidth="3.6" strokeLinecap="round" />
      <circle cx="24.4" cy="10.9" r="3.4" className="fill-accent" />
      <circle cx="24.4" cy="21.1" r="3.4" fill="currentColor" />
    </svg>
  );
}
