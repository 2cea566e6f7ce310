// Forms from JSON Schemas: which field shows a value, and which value it has at first. The server decides what is valid.

import { InvalidJson } from "./json";

export type Schema = Record<string, unknown>;

export type Kind = "object" | "choice" | "boolean" | "number" | "integer" | "text" | "paragraph" | "json";

const MAX_DEPTH = 4;
const LONG = 200;

export const isObject = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof InvalidJson);

/** Replace a schema that only refers to another part of `root`. */
export function resolve(root: Schema, schema: unknown): Schema {
  let found = schema;
  for (let depth = 0; depth < 10 && isObject(found) && typeof found.$ref === "string"; depth++) {
    const parts = found.$ref.replace(/^#\/?/, "").split("/").filter(Boolean);
    let target: unknown = root;
    for (const part of parts) target = isObject(target) ? target[part.replace(/~1/g, "/").replace(/~0/g, "~")] : undefined;
    found = target;
  }
  return isObject(found) ? found : {};
}

/** The only type of a value that is not null; undefined if there are several. */
function typeOf(schema: Schema): string | undefined {
  const types = (Array.isArray(schema.type) ? schema.type : [schema.type]).filter((type) => type !== "null");
  return types.length === 1 ? (types[0] as string | undefined) : undefined;
}

export function kindOf(schema: Schema, depth = 0): Kind {
  if (Array.isArray(schema.enum) && schema.enum.every((each) => !isObject(each))) return "choice";
  switch (typeOf(schema)) {
    case "boolean":
      return "boolean";
    case "integer":
      return "integer";
    case "number":
      return "number";
    case "string":
      return schema.format === "textarea" || Number(schema.maxLength ?? 0) > LONG ? "paragraph" : "text";
    case "object":
      return isObject(schema.properties) && Object.keys(schema.properties).length > 0 && depth < MAX_DEPTH ? "object" : "json";
    default:
      return "json";
  }
}

export interface Property {
  name: string;
  schema: Schema;
  isRequired: boolean;
}

export function propertiesOf(root: Schema, schema: Schema): Property[] {
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(isObject(schema.properties) ? schema.properties : {}).map(([name, property]) => ({
    name,
    schema: resolve(root, property),
    isRequired: required.includes(name),
  }));
}

/** Whether a form can show a schema: an object with properties. */
export const hasForm = (schema: Schema | null | undefined): schema is Schema =>
  !!schema && kindOf(resolve(schema, schema)) === "object";

/** The value that a form has at first: defaults, and no more. */
export function initialValue(root: Schema, schema: Schema): unknown {
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (kindOf(schema) !== "object") return undefined;
  const entries = propertiesOf(root, schema).map((property) => [property.name, initialValue(root, property.schema)]);
  const known = entries.filter(([, value]) => value !== undefined);
  return known.length ? Object.fromEntries(known) : undefined;
}

/** Set one property of a value; undefined removes it. */
export function withProperty(value: unknown, name: string, next: unknown): Record<string, unknown> {
  const { [name]: _, ...others } = isObject(value) ? value : {};
  return next === undefined ? others : { ...others, [name]: next };
}

export interface Mismatch {
  path: string;
  message: string;
}

const MISSING = /^missing key '(.*)'$/;

/** The mismatches that a problem of the server lists. A missing key is reported at its field. */
export function mismatchesOf(details: unknown): Mismatch[] {
  const problems = isObject(details) ? details.problems : undefined;
  const known = Array.isArray(problems) ? problems.filter((each): each is Mismatch => isObject(each) && typeof each.message === "string") : [];
  return known.map((each) => {
    const key = MISSING.exec(each.message)?.[1];
    return key === undefined ? each : { path: each.path ? `${each.path}.${key}` : key, message: "This value is required." };
  });
}
