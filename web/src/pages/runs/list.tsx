// The rows of the run list. Only those that can be seen are drawn.
import { Link } from "@tanstack/react-router";
import { useVirtualizer, useWindowVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";
import type { ListedRun } from "../../api/runs";
import { Money } from "../../ui/cost";
import { StatusBadge } from "../../ui/status";
import { Ago, Took } from "../../ui/time";

interface Props {
  rows: ListedRun[];
  selected: ReadonlySet<string>;
  onSelect: ((id: string, isSelected: boolean) => void) | null;
  onEnd: () => void;
}

export function RunList(props: Props) {
  // On a phone the window scrolls, on wide screens the page next to the navigation.
  const [isWide] = useState(() => window.matchMedia("(min-width: 48rem)").matches);
  return isWide ? <InPage {...props} /> : <InWindow {...props} />;
}

function InPage(props: Props) {
  const list = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: props.rows.length,
    getScrollElement: () => document.getElementById("main"),
    estimateSize: () => 61,
    getItemKey: (index) => props.rows[index]?.execution_id ?? index,
    overscan: 12,
    scrollMargin: list.current?.offsetTop ?? 0,
  });
  return <Rows {...props} box={list} virtual={virtual} />;
}

function InWindow(props: Props) {
  const list = useRef<HTMLDivElement>(null);
  const virtual = useWindowVirtualizer({
    count: props.rows.length,
    estimateSize: () => 86,
    getItemKey: (index) => props.rows[index]?.execution_id ?? index,
    overscan: 12,
    scrollMargin: list.current?.offsetTop ?? 0,
  });
  return <Rows {...props} box={list} virtual={virtual} />;
}

type AnyVirtualizer = ReturnType<typeof useVirtualizer<HTMLElement, Element>> | ReturnType<typeof useWindowVirtualizer<Element>>;

function Rows({ rows, selected, onSelect, onEnd, box, virtual }: Props & { box: React.RefObject<HTMLDivElement | null>; virtual: AnyVirtualizer }) {
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (last >= rows.length - 10) onEnd();
  }, [last, rows.length, onEnd]);
  return (
    <div ref={box} role="list" aria-label="Runs" className="relative border-t border-line bg-panel" style={{ height: virtual.getTotalSize() }}>
      {items.map((item) => {
        const run = rows[item.index];
        if (!run) return null;
        return (
          <div
            key={item.key}
            ref={virtual.measureElement}
            data-index={item.index}
            role="listitem"
            className="absolute inset-x-0 top-0"
            style={{ transform: `translateY(${item.start - virtual.options.scrollMargin}px)` }}
          >
            <Row run={run} isSelected={selected.has(run.execution_id)} onSelect={onSelect} />
          </div>
        );
      })}
    </div>
  );
}

function Row({ run, isSelected, onSelect }: { run: ListedRun; isSelected: boolean; onSelect: Props["onSelect"] }) {
  const id = run.execution_id;
  return (
    <div className={`flex border-b border-line hover:bg-raised ${isSelected ? "bg-tint" : ""}`}>
      {onSelect && (
        <label className="no-print flex w-10 shrink-0 cursor-pointer items-center justify-center pl-2 sm:w-12">
          <span className="sr-only">Select {id}</span>
          <input type="checkbox" className="size-4 accent-accent" checked={isSelected} onChange={(event) => onSelect(id, event.target.checked)} />
        </label>
      )}
      <Link
        to="/runs/$runId"
        params={{ runId: id }}
        data-row={id}
        className="grid min-w-0 flex-1 grid-cols-[minmax(0,1fr)_auto] items-center gap-x-4 gap-y-0.5 py-2.5 pr-4 pl-1 -outline-offset-2 sm:pr-6 md:grid-cols-[7.5rem_minmax(0,1.1fr)_minmax(0,1.4fr)_6.5rem_5.5rem]"
      >
        <div className="order-2 justify-self-end md:order-none md:justify-self-start">
          <StatusBadge status={run.status} requested={run.requested} />
        </div>
        <div className="order-1 min-w-0 md:order-none">
          <div className="truncate font-medium">{run.workflow_id}</div>
          <div className="truncate font-mono text-xs text-faint">{id}</div>
        </div>
        <div className="order-3 col-span-2 min-w-0 text-sm md:order-none md:col-span-1">
          <About run={run} />
        </div>
        <div className="order-4 text-sm text-faint md:order-none">
          <Ago at={run.created_at} />
        </div>
        <div className="order-5 flex justify-end gap-3 text-sm text-soft md:order-none md:flex-col md:items-end md:gap-0">
          <Took times={run} />
          {run.cost !== null && run.cost > 0 && (
            <span className="text-xs text-faint">
              <Money of={run} />
            </span>
          )}
        </div>
      </Link>
    </div>
  );
}

function About({ run }: { run: ListedRun }) {
  const trigger = run.trigger;
  const from = [trigger?.type, trigger?.id, trigger?.by && `by ${trigger.by}`].filter(Boolean).join(" · ");
  const labels = Object.entries(run.labels);
  return (
    <>
      {run.error && (
        <div className="truncate text-bad" title={run.error.message}>
          {run.error.message}
        </div>
      )}
      {run.waiting_since && <div className="truncate">Waits for a place</div>}
      <div className="flex gap-1.5 overflow-hidden text-xs text-faint">
        <span className="shrink-0 truncate">{from || "–"}</span>
        {labels.map(([name, value]) => (
          <span key={name} className="truncate rounded bg-raised px-1.5 text-soft">
            {name}={value}
          </span>
        ))}
      </div>
    </>
  );
}
