import { useNow } from "../lib/clock";
import { dateTime, duration, elapsed, relative } from "../lib/format";

export function Ago({ at }: { at: string | null | undefined }) {
  const now = useNow();
  if (!at) return <span className="text-faint">–</span>;
  return (
    <time dateTime={at} title={dateTime(at)} className="whitespace-nowrap">
      {relative(at, now)}
    </time>
  );
}

type Times = { started_at?: string | null; finished_at?: string | null };

/** The time that something took; it counts while it runs. */
export function Took({ times }: { times: Times }) {
  return times.finished_at || !times.started_at ? <Fixed times={times} /> : <Counting times={times} />;
}

function Fixed({ times }: { times: Times }) {
  const ms = elapsed(times, 0);
  return <span className="whitespace-nowrap tabular-nums">{ms === null ? "–" : duration(ms)}</span>;
}

function Counting({ times }: { times: Times }) {
  const ms = elapsed(times, useNow());
  return <span className="whitespace-nowrap tabular-nums">{ms === null ? "–" : duration(Math.floor(ms / 1000) * 1000)}</span>;
}
