// Requests to the API of this server. Errors are problems (RFC 9457) with a code and a hint.
import { requestBody } from "../lib/json";
import type { components } from "./schema";

export type Schemas = components["schemas"];
export type Problem = Partial<Schemas["Problem"]> & { detail: string; status: number };

const PREFIX = "/api/v0";
const KEY = "compozy.api-key";

/** An answer of the server that reports an error. */
export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }

  get status(): number {
    return this.problem.status;
  }
}

/** The server did not answer. */
export class OfflineError extends Error {
  constructor() {
    super("The server does not answer.");
  }
}

type Query = Record<string, string | number | boolean | string[] | null | undefined>;
type Reach = "online" | "offline";

let reach: Reach = "online";
const listeners = new Set<() => void>();

export const connection = {
  get: () => reach,
  subscribe(listener: () => void) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

function note(next: Reach) {
  if (next !== reach) {
    reach = next;
    listeners.forEach((listener) => listener());
  }
}

/** The API key that was given on the sign-in page; it is kept until the tab is closed. */
export const apiKey = {
  get: () => sessionStorage.getItem(KEY),
  set: (key: string) => sessionStorage.setItem(KEY, key),
  clear: () => sessionStorage.removeItem(KEY),
};

export function headers(more: Record<string, string> = {}): Record<string, string> {
  const key = apiKey.get();
  // A session needs this header for changes.
  return { "X-Compozy-Request": "1", ...(key ? { Authorization: `Bearer ${key}` } : {}), ...more };
}

export function url(path: string, query: Query = {}): string {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") parts.append(name, String(one));
    }
  }
  const text = parts.toString();
  return `${PREFIX}${path}${text ? `?${text}` : ""}`;
}

/** Encode a part of a path. */
export const part = encodeURIComponent;
/** Encode the path of a task, which contains slashes. */
export const taskPart = (path: string) => path.split("/").map(part).join("/");

async function send(address: string, init: RequestInit): Promise<Response> {
  try {
    const answer = await fetch(address, init);
    note("online");
    return answer;
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    note("offline");
    throw new OfflineError();
  }
}

async function problemOf(answer: Response): Promise<Problem> {
  try {
    const body = (await answer.json()) as Problem;
    return { ...body, status: answer.status, detail: body.detail ?? answer.statusText };
  } catch {
    return { status: answer.status, detail: `The server answered with status ${answer.status}.` };
  }
}

export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  const answer = await send(url(path, query), { headers: headers(), signal });
  if (!answer.ok) throw new ApiError(await problemOf(answer));
  return (await answer.json()) as T;
}

export async function change<T>(method: string, path: string, body?: unknown, query: Query = {}): Promise<T> {
  const content = body === undefined ? {} : { body: requestBody(body) };
  const type: Record<string, string> = body === undefined ? {} : { "Content-Type": "application/json" };
  const answer = await send(url(path, query), { method, headers: headers(type), ...content });
  if (!answer.ok) throw new ApiError(await problemOf(answer));
  return (await answer.json()) as T;
}

export const post = <T>(path: string, body?: unknown, query?: Query) => change<T>("POST", path, body, query);
export const patch = <T>(path: string, body: unknown) => change<T>("PATCH", path, body);
export const remove = <T>(path: string, query?: Query) => change<T>("DELETE", path, undefined, query);

// Hints about the parts of a request do not help on the page, which writes the requests.
const ABOUT_REQUESTS = /\/api\/v0|in the body/;

/** The text of an error for a person, with its hint. */
export function explain(error: unknown): string {
  if (error instanceof ApiError) {
    const { detail, hint } = error.problem;
    const text = detail.charAt(0).toUpperCase() + detail.slice(1);
    return hint && !ABOUT_REQUESTS.test(hint) ? `${text.replace(/\.$/, "")}: ${hint}.` : text;
  }
  return error instanceof Error ? error.message : String(error);
}
