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
    // A line may end with CR, LF or both: a CR at the end of a piece waits for what follows it.
    const text = this.#rest + piece;
    const open = text.endsWith("\r") ? "\r" : "";
    const parts = text.slice(0, text.length - open.length).replace(/\r\n?/g, "\n").split("\n\n");
    this.#rest = (parts.pop() ?? "") + open;
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
