// The format of server-sent events. EventSource cannot send an API key, so the page reads the stream itself.

export interface StreamEvent {
  name: string;
  data: string;
  id: string | null;
}

/** Collects the pieces of a stream, and returns the events that are complete. */
export class EventParser {
  #rest = "";

  take(piece: string): StreamEvent[] {
    const parts = (this.#rest + piece).replace(/\r\n?/g, "\n").split("\n\n");
    this.#rest = parts.pop() ?? "";
    return parts.map(parseEvent).filter((event) => event !== null);
  }
}

function parseEvent(text: string): StreamEvent | null {
  const event: StreamEvent = { name: "message", data: "", id: null };
  const data: string[] = [];
  for (const line of text.split("\n")) {
    const [, field, value] = /^([^:]+):? ?(.*)$/.exec(line) ?? [];
    if (field === "event") event.name = value ?? "";
    if (field === "data") data.push(value ?? "");
    if (field === "id") event.id = value ?? "";
  }
  return data.length ? { ...event, data: data.join("\n") } : null;
}
