// One stream for everything that the page shows: browsers allow few connections to a server.
import { headers, url } from "../api/client";
import { EventParser, type StreamEvent } from "./parse";
import { addChunk, type LiveTexts } from "./texts";

export interface RunEvent {
  execution_id: string;
  kind: string;
  path: string | null;
  seq: number;
  data: { status?: string; [name: string]: unknown };
  created_at: string;
}

export interface Chunk {
  execution_id: string;
  path: string;
  request: number;
  attempt: number;
  offset: number;
  text: string;
  final: boolean;
}

export interface Listener {
  /** An event that is stored with the run. */
  event?(event: RunEvent): void;
  /** Text that a model is writing. */
  chunk?(chunk: Chunk): void;
  /** The run has ended, or cannot be followed. */
  end?(id: string): void;
  /** The stream was interrupted; some text may be missing. */
  reconnect?(): void;
}

interface Watched {
  listeners: Set<Listener>;
  texts: number;
}

const MAX_RUNS = 50;
const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 10_000;
// Changes of the watched runs are collected for this long before the stream is opened again.
const COLLECT_MS = 60;

class Live {
  readonly #watched = new Map<string, Watched>();
  readonly #positions = new Map<string, number>();
  readonly #ended = new Set<string>();
  // Text so far, for listeners that come later.
  readonly #texts = new Map<string, LiveTexts>();
  #open: AbortController | null = null;
  #timer: number | undefined;
  #waitMs = FIRST_WAIT_MS;
  #isConnected = false;
  // The runs and texts that the open stream delivers.
  #wanted = "";

  /** Follow a run until the returned function is called. `texts` also delivers text as models write it. */
  watch(id: string, listener: Listener, texts = false): () => void {
    const known = this.#watched.get(id) ?? { listeners: new Set<Listener>(), texts: 0 };
    known.listeners.add(listener);
    known.texts += Number(texts);
    this.#watched.set(id, known);
    this.#ended.delete(id);
    this.#schedule(COLLECT_MS);
    if (texts) queueMicrotask(() => this.#repeat(id, listener));
    return () => {
      known.listeners.delete(listener);
      known.texts -= Number(texts);
      if (known.listeners.size === 0) {
        this.#watched.delete(id);
        this.#positions.delete(id);
        this.#texts.delete(id);
      }
      this.#schedule(COLLECT_MS);
    };
  }

  #repeat(id: string, listener: Listener) {
    for (const [path, { request, attempt, text, isFinal }] of this.#texts.get(id) ?? []) {
      listener.chunk?.({ execution_id: id, path, request, attempt, offset: 0, text, final: isFinal });
    }
  }

  #schedule(ms: number) {
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#connect(), ms);
  }

  #hasTexts(ids: string[]): boolean {
    return ids.some((id) => (this.#watched.get(id)?.texts ?? 0) > 0);
  }

  #ids(): string[] {
    return [...this.#watched.keys()].filter((id) => !this.#ended.has(id)).slice(0, MAX_RUNS);
  }

  async #connect() {
    const ids = this.#ids();
    const wanted = `${ids.join(" ")} ${this.#hasTexts(ids)}`;
    if (this.#open && wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#open?.abort();
    this.#open = null;
    if (ids.length === 0) return;
    const opened = new AbortController();
    this.#open = opened;
    try {
      await this.#read(ids, opened);
    } catch {
      if (opened.signal.aborted) return;
    }
    if (opened !== this.#open) return;
    this.#open = null;
    if (this.#isConnected) {
      this.#isConnected = false;
      this.#texts.clear();
      this.#tell(ids, (listener) => listener.reconnect?.());
    }
    if (this.#ids().length === 0) return;
    this.#schedule(this.#waitMs);
    this.#waitMs = Math.min(this.#waitMs * 2, MAX_WAIT_MS);
  }

  async #read(ids: string[], opened: AbortController) {
    // Lists need the states of runs only.
    const events = this.#hasTexts(ids) ? undefined : "workflow_status,complete,error";
    const known = ids.flatMap((id) => (this.#positions.has(id) ? [`${id}=${this.#positions.get(id)}`] : []));
    const last: Record<string, string> = known.length ? { "Last-Event-ID": known.join(",") } : {};
    const address = url("/stream", { execution: ids, events });
    const answer = await fetch(address, { headers: headers(last), signal: opened.signal });
    if (!answer.ok || !answer.body) {
      // All of them were deleted; the pages notice it when they ask for one.
      if (answer.status === 404) ids.forEach((id) => this.#end(id));
      throw new Error(`stream: ${answer.status}`);
    }
    this.#isConnected = true;
    this.#waitMs = FIRST_WAIT_MS;
    const parser = new EventParser();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const event of parser.take(value)) this.#deliver(event);
    }
  }

  #deliver(event: StreamEvent) {
    const data = JSON.parse(event.data) as RunEvent & Chunk;
    const id = data.execution_id;
    if (event.name === "complete" || event.name === "error") {
      this.#end(id);
    } else if (event.name === "llm_chunk") {
      this.#texts.set(id, addChunk(this.#texts.get(id) ?? new Map(), data));
      this.#tell([id], (listener) => listener.chunk?.(data));
    } else {
      this.#positions.set(id, data.seq);
      this.#tell([id], (listener) => listener.event?.(data));
    }
  }

  #end(id: string) {
    this.#ended.add(id);
    this.#tell([id], (listener) => listener.end?.(id));
  }

  #tell(ids: string[], call: (listener: Listener) => void) {
    for (const id of ids) [...(this.#watched.get(id)?.listeners ?? [])].forEach(call);
  }
}

export const live = new Live();
