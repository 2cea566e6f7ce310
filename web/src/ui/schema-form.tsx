// A form for a JSON Schema, and for everything that it cannot show a field with JSON.
import { useEffect, useId, useState, type ReactNode } from "react";
import { fieldText, InvalidJson, isEqual, readJson } from "../lib/json";
import { isObject, kindOf, propertiesOf, withProperty, type Mismatch, type Property, type Schema } from "../lib/schema";

interface Props {
  root: Schema;
  schema: Schema;
  value: unknown;
  onChange: (value: unknown) => void;
  mismatches?: Mismatch[];
  path?: string;
  depth?: number;
}

export function SchemaForm({ root, schema, value, onChange, mismatches = [], path = "", depth = 0 }: Props) {
  const known = isObject(value) ? value : {};
  return (
    <div className="space-y-4">
      {propertiesOf(root, schema).map((property) => (
        <SchemaField
          key={property.name}
          root={root}
          property={property}
          value={known[property.name]}
          onChange={(next) => onChange(withProperty(known, property.name, next))}
          mismatches={mismatches}
          path={path ? `${path}.${property.name}` : property.name}
          depth={depth + 1}
        />
      ))}
    </div>
  );
}

interface FieldProps extends Omit<Props, "schema"> {
  property: Property;
  path: string;
  depth: number;
}

function SchemaField({ root, property, value, onChange, mismatches = [], path, depth }: FieldProps) {
  const id = useId();
  const { schema, name, isRequired } = property;
  const kind = kindOf(schema, depth);
  const wrong = mismatches.filter((each) => matches(each.path, path)).map((each) => each.message);
  const title = typeof schema.title === "string" ? schema.title : name;
  // A box has no state for "not answered": without a default, a required yes or no is chosen.
  const isChosen = kind === "boolean" && isRequired && schema.default === undefined;
  const isBox = kind === "boolean" && !isChosen;
  const label = (
    <>
      {title}
      {isRequired && !isBox && <span className="ml-1 font-normal text-faint">(required)</span>}
    </>
  );
  const about = typeof schema.description === "string" ? schema.description : "";
  if (kind === "object") {
    return (
      <fieldset className="rounded-lg border border-line p-3">
        <legend className="px-1 text-sm font-medium">{label}</legend>
        {about && <p className="mb-2 text-xs text-faint">{about}</p>}
        <SchemaForm root={root} schema={schema} value={value} onChange={onChange} mismatches={mismatches} path={path} depth={depth} />
      </fieldset>
    );
  }
  const control = { id, schema, value, onChange, isRequired, describedBy: `${id}-about`, isWrong: wrong.length > 0 };
  return (
    <div>
      {isChosen ? (
        <YesNo label={label} {...control} />
      ) : isBox ? (
        <label className="flex items-center gap-2 text-sm font-medium" htmlFor={id}>
          <input
            id={id}
            type="checkbox"
            className="size-4 accent-accent"
            checked={value === true}
            onChange={(event) => onChange(event.target.checked)}
            aria-describedby={control.describedBy}
          />
          <span>{label}</span>
        </label>
      ) : (
        <>
          <label className="mb-1 block text-sm font-medium" htmlFor={id}>
            {label}
          </label>
          <Control kind={kind} {...control} />
        </>
      )}
      <div id={control.describedBy} className="text-xs">
        {about && <p className="mt-1 text-faint">{about}</p>}
        {wrong.map((message) => (
          <p key={message} className="mt-1 text-bad">
            {message}
          </p>
        ))}
      </div>
    </div>
  );
}

/** Whether a mismatch of the server, such as `input.city` or `city`, is about a field. */
const matches = (found: string, path: string) => found === path || found.endsWith(`.${path}`);

interface ControlProps {
  kind: ReturnType<typeof kindOf>;
  id: string;
  schema: Schema;
  value: unknown;
  onChange: (value: unknown) => void;
  isRequired: boolean;
  describedBy: string;
  isWrong: boolean;
}

function Control({ kind, id, schema, value, onChange, isRequired, describedBy, isWrong }: ControlProps) {
  const common = { id, "aria-describedby": describedBy, "aria-invalid": isWrong || undefined, className: "field" };
  if (kind === "choice") {
    const options = schema.enum as unknown[];
    return (
      <select {...common} value={options.indexOf(value)} onChange={(event) => onChange(options[Number(event.target.value)])}>
        {(!isRequired || value === undefined) && <option value={-1}>–</option>}
        {options.map((option, index) => (
          <option key={index} value={index}>
            {String(option)}
          </option>
        ))}
      </select>
    );
  }
  if (kind === "number" || kind === "integer") {
    return (
      <input
        {...common}
        type="number"
        step={kind === "integer" ? 1 : "any"}
        value={typeof value === "number" ? value : ""}
        onChange={(event) => onChange(event.target.value === "" ? undefined : Number(event.target.value))}
      />
    );
  }
  if (kind === "json") return <JsonControl common={common} value={value} onChange={onChange} />;
  const text = typeof value === "string" ? value : "";
  const change = (next: string) => onChange(next === "" && !isRequired ? undefined : next);
  return kind === "paragraph" ? (
    <textarea {...common} rows={5} value={text} onChange={(event) => change(event.target.value)} />
  ) : (
    <input {...common} type="text" value={text} onChange={(event) => change(event.target.value)} />
  );
}

/** Two options, of which none is chosen at first. */
function YesNo({ label, id, value, onChange, describedBy, isWrong }: Omit<ControlProps, "kind"> & { label: ReactNode }) {
  return (
    <div role="radiogroup" aria-labelledby={`${id}-label`} aria-describedby={describedBy} aria-invalid={isWrong || undefined}>
      <div id={`${id}-label`} className="mb-1 text-sm font-medium">
        {label}
      </div>
      <div className="flex gap-6 text-sm">
        {[true, false].map((option) => (
          <label key={String(option)} className="flex items-center gap-2">
            <input type="radio" name={id} className="size-4 accent-accent" checked={value === option} onChange={() => onChange(option)} />
            {option ? "Yes" : "No"}
          </label>
        ))}
      </div>
    </div>
  );
}

/** A value as JSON. A text that is not valid JSON is passed on as such; no request with it is sent. */
export function JsonControl({ common, value, onChange, rows = 3 }: {
  common: { id?: string; className: string; "aria-invalid"?: boolean };
  value: unknown;
  onChange: (value: unknown) => void;
  rows?: number;
}) {
  const [text, setText] = useState(() => fieldText(value));
  const isWrong = value instanceof InvalidJson;
  useEffect(() => setText((known) => (isEqual(readJson(known), value) ? known : fieldText(value))), [value]);
  return (
    <>
      <textarea
        {...common}
        className={`${common.className} font-mono`}
        rows={Math.max(rows, Math.min(16, text.split("\n").length))}
        placeholder="JSON"
        spellCheck={false}
        aria-invalid={isWrong || common["aria-invalid"]}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          onChange(readJson(event.target.value));
        }}
      />
      {isWrong && <span className="mt-1 block text-xs text-bad">This is not valid JSON.</span>}
    </>
  );
}
