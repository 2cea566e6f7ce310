// JSON that a person enters. A text that is not valid JSON stays in the value, so that no request silently leaves it out.

/** A text that was entered as JSON and is not valid. */
export class InvalidJson {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** The value of a field: undefined if it is empty. */
export function readJson(text: string): unknown {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return new InvalidJson(text);
  }
}

/** A value as the text of a field. */
export function fieldText(value: unknown): string {
  if (value instanceof InvalidJson) return value.text;
  return JSON.stringify(value, (_, each: unknown) => (each instanceof InvalidJson ? each.text : each), 2) ?? "";
}

/** The body of a request. */
export function requestBody(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => {
    if (each instanceof InvalidJson) throw new Error("A field is not valid JSON. Correct it, and try again.");
    return each;
  });
}

/** Whether two values are equal; the order of keys does not matter. */
export const isEqual = (a: unknown, b: unknown) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

/** A value with its keys in alphabetical order. */
export function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, sorted(each)]),
  );
}
