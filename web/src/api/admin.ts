// Schedules, knowledge bases, webhooks, workers, costs, users, keys and the audit log.
import { get, part, patch, post, remove, type Schemas } from "./client";

export type Schedule = Schemas["ScheduleInfo"];
export type KnowledgeBase = Schemas["KnowledgeBaseInfo"];

const schedule = (id: string) => `/schedules/${part(id)}`;
export const listSchedules = async () => (await get<Schemas["ScheduleList"]>("/schedules")).schedules;
export const nextTimes = (id: string, count = 10) => get<Schemas["NextTimes"]>(`${schedule(id)}/next`, { count });
export const changeSchedule = (id: string, body: Schemas["ScheduleChange"]) => patch<Schedule>(schedule(id), body);
export const triggerSchedule = (id: string) => post<Schemas["Triggered"]>(`${schedule(id)}/trigger`);
export const backfill = (id: string, body: Schemas["BackfillBody"]) => post<Schemas["Backfilled"]>(`${schedule(id)}/backfill`, body);

const base = (id: string) => `/knowledge-bases/${part(id)}`;
export const listBases = async () => (await get<Schemas["KnowledgeBaseList"]>("/knowledge-bases")).knowledge_bases;
export const listDocuments = (id: string, cursor: string | null) =>
  get<Schemas["DocumentList"]>(`${base(id)}/documents`, { limit: 100, cursor });
export const ingest = (id: string) => post<Schemas["Ingestion"]>(`${base(id)}/ingest`, {});
export const retryDocuments = (id: string) => post<Schemas["Ingestion"]>(`${base(id)}/retry`);
export const ask = (id: string, query: string) => post<Schemas["MatchList"]>(`${base(id)}/query`, { query });

export const listKeys = async () => (await get<Schemas["KeyList"]>("/auth/keys")).keys;
export const createKey = (body: Schemas["KeyBody"]) => post<Schemas["NewKey"]>("/auth/generate", body);
export const rotateKey = (id: string) => post<Schemas["RotatedKey"]>(`/auth/keys/${part(id)}/rotate`, {});
export const revokeKey = (id: string) => remove<Schemas["KeyInfo"]>(`/auth/keys/${part(id)}`);
export const listUsers = async () => (await get<Schemas["UserList"]>("/users")).users;
export const addUser = (body: Schemas["UserBody"]) => post<Schemas["UserInfo"]>("/users", body);
export const changeUser = (id: string, body: Schemas["UserChange"]) => patch<Schemas["UserInfo"]>(`/users/${part(id)}`, body);
export const deleteUser = (id: string) => remove<Schemas["UserInfo"]>(`/users/${part(id)}`);
export const listAudit = (cursor: string | null) => get<Schemas["AuditPage"]>("/audit", { limit: 50, cursor });

export type Webhook = Schemas["WebhookInfo"];
export type Delivery = Schemas["DeliverySummary"];
const deliveries = (slug: string) => `/hooks/${part(slug)}/deliveries`;
export const listWebhooks = async () => (await get<Schemas["WebhookList"]>("/hooks")).webhooks;
export const listDeliveries = (slug: string, outcome: string | undefined, cursor: string | null) =>
  get<Schemas["DeliveryPage"]>(deliveries(slug), { limit: 50, outcome, cursor });
export const getDelivery = (slug: string, id: string) => get<Schemas["DeliveryInfo"]>(`${deliveries(slug)}/${part(id)}`);
export const replayDelivery = (slug: string, id: string, isNew: boolean) =>
  post<Schemas["Replayed"]>(`${deliveries(slug)}/${part(id)}/replay`, { new_run: isNew });

export const listWorkers = () => get<Schemas["WorkerList"]>("/workers");

export type CostGroup = Schemas["CostGroup"];
export type CostSum = Schemas["CostSum"];
export interface CostQuery {
  group: CostGroup;
  workflow?: string;
  since?: string;
}
export const listCosts = ({ group, workflow, since }: CostQuery) =>
  get<Schemas["CostList"]>("/costs", { group_by: group, workflow_id: workflow, since, limit: group === "day" ? 366 : 100 });

export type Conversation = Schemas["Conversation"];
export type StoredMessage = Schemas["StoredMessage"];
const memory = (id: string) => `/memory/${part(id)}`;
export const listConversations = (memory_id: string | undefined, cursor: string | null) =>
  get<Schemas["ConversationList"]>("/memory", { memory_id, limit: 50, cursor });
export const readConversation = (id: string, key: string, before: number | null) =>
  get<Schemas["ConversationMessages"]>(`${memory(id)}/read`, { key, before, limit: 50 });
export const appendMessage = (id: string, body: Schemas["AppendBody"]) => post<Schemas["Appended"]>(`${memory(id)}/append`, body);
export const clearConversation = (id: string, key: string) => post<Schemas["Cleared"]>(`${memory(id)}/clear`, { key, confirm: true });
export const deleteConversation = (id: string, key: string) => post<Schemas["DeletedConversation"]>(`${memory(id)}/delete`, { key });
