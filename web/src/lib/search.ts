// The query of an address as plain names and values: `status=FAILED&status=RUNNING&q=text`.

export type Search = Record<string, string | string[]>;

export function parseSearch(text: string): Search {
  const found: Search = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const known = found[name];
    found[name] = known === undefined ? value : [...(Array.isArray(known) ? known : [known]), value];
  }
  return found;
}

export function stringifySearch(search: Record<string, unknown>): string {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") parts.append(name, String(one));
    }
  }
  const text = parts.toString();
  return text ? `?${text}` : "";
}

export const one = (value: unknown): string | undefined =>
  Array.isArray(value) ? one(value[0]) : typeof value === "string" && value ? value : undefined;

export const many = (value: unknown): string[] | undefined => {
  const values = (Array.isArray(value) ? value : [value]).filter((each) => typeof each === "string" && each);
  return values.length ? (values as string[]) : undefined;
};
