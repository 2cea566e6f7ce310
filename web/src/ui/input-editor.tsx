// An input as a form or as JSON.
import { useState } from "react";
import { InvalidJson } from "../lib/json";
import type { Mismatch, Schema } from "../lib/schema";
import { Tabs } from "./button";
import { JsonControl, SchemaForm } from "./schema-form";

const MODES = [
  { value: "form", label: "Form" },
  { value: "json", label: "JSON" },
] as const;

export function InputEditor({ schema, value, onChange, mismatches = [] }: {
  schema: Schema | null;
  value: unknown;
  onChange: (value: unknown) => void;
  mismatches?: Mismatch[];
}) {
  const [mode, setMode] = useState<"form" | "json">(schema ? "form" : "json");
  // A text that is not valid JSON has no fields.
  const isForm = schema !== null && mode === "form" && !(value instanceof InvalidJson);
  return (
    <div>
      {schema && (
        <div className="float-right mb-1 ml-4">
          <Tabs label="Input as" value={isForm ? "form" : "json"} options={MODES} onChange={setMode} />
        </div>
      )}
      {isForm ? (
        <SchemaForm root={schema} schema={schema} value={value} onChange={onChange} mismatches={mismatches} />
      ) : (
        <label className="block">
          <span className="sr-only">Input as JSON</span>
          <JsonControl common={{ className: "field" }} value={value} onChange={onChange} rows={8} />
        </label>
      )}
    </div>
  );
}
