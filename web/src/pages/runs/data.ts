// The runs of the list: pages by cursor, the newest one read again and again, changes of open runs by the stream.
import { useInfiniteQuery, useQuery, useQueryClient, type InfiniteData } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, type RefObject } from "react";
import { listRuns, summaryOf, type ListedRun, type RunFilter, type RunPage } from "../../api/runs";
import { isFinal } from "../../lib/status";
import { live } from "../../live/live";

type Pages = InfiniteData<RunPage, string | null>;

// New runs appear after this time. Changes of runs that are shown come by the stream.
const LOOK_MS = 2500;
const WATCHED = 50;
const SETTLE_MS = 100;

/** Put rows into the pages: known runs are replaced, others come first, in their order. */
export function mergeRows(pages: Pages, rows: ListedRun[]): Pages {
  const fresh = new Map(rows.map((row) => [row.execution_id, row]));
  const known = new Set<string>();
  const merged = pages.pages.map((page) => ({
    ...page,
    executions: page.executions.map((row) => {
      known.add(row.execution_id);
      return fresh.get(row.execution_id) ?? row;
    }),
  }));
  const added = rows.filter((row) => !known.has(row.execution_id));
  const [first, ...others] = merged;
  if (!first) return pages;
  return { ...pages, pages: [{ ...first, executions: [...added, ...first.executions] }, ...others] };
}

export function useRuns(filter: RunFilter) {
  const queries = useQueryClient();
  const key = useMemo(() => ["runs", filter], [filter]);
  const pages = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam, signal }) => listRuns(filter, pageParam, 50, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    staleTime: Infinity,
    refetchOnWindowFocus: false,
  });
  const head = useQuery({
    queryKey: ["runs-head", filter],
    queryFn: ({ signal }) => listRuns(filter, null, 50, signal),
    refetchInterval: LOOK_MS,
    enabled: pages.isSuccess,
  });
  useEffect(() => {
    const found = head.data;
    if (!found) return;
    queries.setQueryData<Pages>(key, (known) => {
      if (!known) return known;
      // Runs that no longer match the filter leave the part of the list that was read.
      const last = found.executions.at(-1)?.created_at ?? "";
      const ids = new Set(found.executions.map((row) => row.execution_id));
      const isGone = (row: ListedRun) => !ids.has(row.execution_id) && (!found.next_cursor || row.created_at > last);
      const kept = known.pages.map((page) => ({ ...page, executions: page.executions.filter((row) => !isGone(row)) }));
      return mergeRows({ ...known, pages: kept }, found.executions);
    });
  }, [head.data, key, queries]);

  const rows = useMemo(() => pages.data?.pages.flatMap((page) => page.executions) ?? [], [pages.data]);
  useWatch(rows, (row) => {
    queries.setQueryData<Pages>(key, (known) => known && mergeRows(known, [row]));
  });
  return { ...pages, rows };
}

/** Follow the runs that have not ended, and report each of their changes. */
function useWatch(rows: ListedRun[], report: (row: ListedRun) => void) {
  const open = rows.filter((row) => !isFinal(row.status)).slice(0, WATCHED);
  const ids = open.map((row) => row.execution_id).join(" ");
  const latest = useRef({ rows, report });
  useEffect(() => {
    latest.current = { rows, report };
  });
  useEffect(() => {
    const stops = ids ? ids.split(" ").map((id) => watchRow(id, latest)) : [];
    return () => stops.forEach((stop) => stop());
  }, [ids]);
}

type Latest = RefObject<{ rows: ListedRun[]; report: (row: ListedRun) => void }>;

function watchRow(id: string, latest: Latest): () => void {
  let timer: number | undefined;
  let isStopped = false;
  const read = async () => {
    const row = await summaryOf(id).catch(() => undefined);
    // The list may have another filter by now.
    if (row && !isStopped) latest.current.report(row);
  };
  const stop = live.watch(id, {
    event(event) {
      if (event.kind !== "workflow_status") return;
      // The stream starts with past events: only the last state of a series counts.
      window.clearTimeout(timer);
      timer = window.setTimeout(() => {
        const known = latest.current.rows.find((row) => row.execution_id === id);
        if (known && known.status !== event.data.status) void read();
      }, SETTLE_MS);
    },
    end: () => void read(),
  });
  return () => {
    isStopped = true;
    window.clearTimeout(timer);
    stop();
  };
}
