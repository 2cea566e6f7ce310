// Runs: lists, one run, and operations on them.
import { get, part, post, taskPart, type Schemas } from "./client";

export type Run = Schemas["ExecutionDetail"];
export type ListedRun = Schemas["ListedExecution"];
export type RunPage = Schemas["ExecutionList"];
export type Task = Schemas["TaskInfo"];
export type Graph = Schemas["ExecutionGraph"];
export type Message = Schemas["MessageInfo"];

export interface RunFilter {
  status?: string[];
  workflow?: string;
  label?: string[];
  trigger?: string;
  by?: string;
  q?: string;
  after?: string;
  before?: string;
  parent?: string;
}

const RUNS = "/executions/workflows";
export const runPath = (id: string) => `${RUNS}/${part(id)}`;

export function filterQuery(filter: RunFilter) {
  return {
    status: filter.status,
    workflow_id: filter.workflow,
    label: filter.label,
    trigger: filter.trigger,
    started_by: filter.by,
    q: filter.q,
    created_after: filter.after,
    created_before: filter.before,
    parent: filter.parent,
  };
}

export const listRuns = (filter: RunFilter, cursor?: string | null, limit = 50, signal?: AbortSignal) =>
  // `follow`: a run that is opened while a model writes shows the text from its start.
  get<RunPage>(RUNS, { ...filterQuery(filter), cursor, limit, follow: true }, signal);

export const summaryOf = async (id: string): Promise<ListedRun | undefined> =>
  (await get<RunPage>(RUNS, { id_prefix: id, limit: 10 })).executions.find((run) => run.execution_id === id);

/** A run without the values of it and of its tasks. */
export const getRun = (id: string, signal?: AbortSignal) => get<Run>(runPath(id), { fields: "summary" }, signal);
export const getWholeRun = (id: string) => get<Run>(runPath(id));
export const getTask = (id: string, path: string) => get<Task>(`${runPath(id)}/tasks/${taskPart(path)}`);
export const getGraph = (id: string) => get<Graph>(`${runPath(id)}/graph`);
export const getMessages = (id: string) => get<Schemas["MessageList"]>(`${runPath(id)}/messages`);
export const getRequests = (id: string) => get<Schemas["ModelRequestList"]>(`${runPath(id)}/requests`);
export const getDefinition = (id: string) => get<Schemas["ExecutionDefinition"]>(`${runPath(id)}/definition`);
export const getEvents = (id: string, after = 0) => get<Schemas["EventList"]>(`${runPath(id)}/events`, { after });

export const control = (id: string, verb: "pause" | "resume" | "cancel", body?: unknown) =>
  post<Run>(`${runPath(id)}/${verb}`, body);
export const rerun = (id: string, body: Schemas["RerunBody"]) => post<Run>(`${runPath(id)}/rerun`, body);
export const approve = (id: string, body: Schemas["ApproveBody"]) =>
  post<Schemas["SignalSent"]>(`${runPath(id)}/approve`, body);
export const sendSignal = (id: string, body: Schemas["SignalBody"]) =>
  post<Schemas["SignalSent"]>(`${runPath(id)}/signals`, body);
export const batch = (body: Schemas["BatchBody"]) => post<Run | Schemas["BatchPreview"]>(`${RUNS}/batch`, body);
