// An input as a form or as JSON.
import { useState } from "react";
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
  return (
    <div>
      {schema && (
        <div className="float-right mb-1 ml-4">
          <Tabs label="Input as" value={mode} options={MODES} onChange={setMode} />
        </div>
      )}
      {schema && mode === "form" ? (
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
