// JSON values: small ones completely, large ones in part until the user shows all.
import { useMemo, useState } from "react";
import { bytes } from "../lib/format";
import { textOf } from "../lib/text";
import { done, failed } from "./toast";

const PART = 20_000;
const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

export function Value({ value, name = "value", tall = false }: { value: unknown; name?: string; tall?: boolean }) {
  const text = useMemo(() => textOf(value), [value]);
  const [isWhole, setWhole] = useState(false);
  if (value === null || value === undefined) return <p className="text-sm text-faint">None</p>;
  const isCut = text.length > PART && !isWhole;
  const shown = isCut ? text.slice(0, PART) : text;
  const isText = typeof value === "string";
  return (
    <div className="group relative min-w-0">
      <div className="no-print absolute top-1.5 right-1.5 z-10 flex gap-1 opacity-0 group-hover:opacity-100 focus-within:opacity-100">
        <Small onClick={() => void copy(text)}>Copy</Small>
        {text.length > PART && <Small onClick={() => download(`${name}.${isText ? "txt" : "json"}`, text)}>Download</Small>}
      </div>
      <pre
        tabIndex={0}
        className={`print-full overflow-auto rounded-lg border border-line bg-page p-3 font-mono text-xs leading-5 whitespace-pre-wrap ${tall ? "max-h-[70vh]" : "max-h-80"}`}
      >
        {isText || text.length > 4 * PART ? shown : <Coloured text={shown} />}
      </pre>
      {isCut && (
        <p className="mt-1 text-xs text-faint">
          {bytes(PART)} of {bytes(text.length)} are shown.{" "}
          <button type="button" className="font-medium text-accent hover:underline" onClick={() => setWhole(true)}>
            Show all
          </button>
        </p>
      )}
    </div>
  );
}

function Small({ onClick, children }: { onClick: () => void; children: string }) {
  return (
    <button type="button" onClick={onClick} className="rounded border border-line bg-panel px-1.5 text-xs leading-5 text-soft hover:text-ink">
      {children}
    </button>
  );
}

function Coloured({ text }: { text: string }) {
  const parts: React.ReactNode[] = [];
  let at = 0;
  for (const match of text.matchAll(TOKENS)) {
    const [whole, string, colon] = match;
    parts.push(text.slice(at, match.index));
    const look = colon ? "text-soft" : string ? "text-good" : "text-run";
    parts.push(
      <span key={match.index} className={look}>
        {whole}
      </span>,
    );
    at = match.index + whole.length;
  }
  parts.push(text.slice(at));
  return parts;
}

export async function copy(text: string) {
  try {
    await navigator.clipboard.writeText(text);
    done("Copied.");
  } catch {
    // Browsers have no clipboard for pages over plain HTTP, except from this machine.
    failed(new Error("The browser does not permit copying. Open the page over HTTPS, or select the text."));
  }
}

export function download(name: string, text: string) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}
