// The project, its workflows, and the user of the page.
import { get, part, post, type Schemas } from "./client";

export type Me = Schemas["Me"];
export type Project = Schemas["ProjectInfo"];
export type Workflow = Schemas["WorkflowInfo"];
export type WorkflowDetail = Schemas["WorkflowDetail"];
export type Chat = Schemas["ChatInfo"];

export const getMe = () => get<Me>("/auth/me");
export const signIn = (body: Schemas["LoginBody"]) => post<Me>("/auth/login", body);
export const signInMethods = () => get<Schemas["SignInMethods"]>("/auth/methods");
export const signOut = () => post<Schemas["LoggedOut"]>("/auth/logout");
export const getProject = () => get<Project>("/project");
export const listWorkflows = async () => (await get<Schemas["WorkflowList"]>("/workflows")).workflows;
export const getWorkflow = (id: string) => get<WorkflowDetail>(`/workflows/${part(id)}`);
export const startRun = (workflow: string, body: Schemas["StartBody"]) =>
  post<Schemas["ExecutionDetail"]>(`/workflows/${part(workflow)}/executions`, body, { follow: true });
export const getWorkflowGraph = (id: string) => get<Schemas["WorkflowGraph"]>(`/workflows/${part(id)}/graph`);
