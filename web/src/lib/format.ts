// Times, sizes and numbers for people.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const whole = new Intl.NumberFormat("en");

/** Milliseconds as a short duration: `350 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 0) return "0 ms";
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < 10 * SECOND) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return pair(ms, MINUTE, "min", SECOND, "s");
  if (ms < DAY) return pair(ms, HOUR, "h", MINUTE, "min");
  return pair(ms, DAY, "d", HOUR, "h");
}

function pair(ms: number, large: number, one: string, small: number, other: string): string {
  const rest = Math.floor((ms % large) / small);
  return `${Math.floor(ms / large)} ${one}${rest ? ` ${rest} ${other}` : ""}`;
}

/** A time in relation to now: `just now`, `5 min ago`, `in 2 h`, or the date. */
export function relative(iso: string, now: number): string {
  const ms = Date.parse(iso) - now;
  const size = Math.abs(ms);
  if (size < 10 * SECOND) return ms > SECOND ? "in a moment" : "just now";
  if (size >= 7 * DAY) return day.format(new Date(iso));
  const text = size < MINUTE ? `${Math.floor(size / SECOND)} s` : size < HOUR ? `${Math.floor(size / MINUTE)} min` : size < DAY ? `${Math.floor(size / HOUR)} h` : `${Math.floor(size / DAY)} d`;
  return ms > 0 ? `in ${text}` : `${text} ago`;
}

const minute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A planned time: seconds are shown if it has some. */
export const planned = (iso: string) => (Date.parse(iso) % MINUTE ? moment : minute).format(new Date(iso));

/** The time of day of `local`, an ISO time of another zone than the browser's; with the date if it is another day than at `iso`. */
export function localTime(iso: string, local: string): string {
  const at = new Date(iso);
  const isSameDay = Number(local.slice(8, 10)) === at.getDate();
  const time = local.slice(11, Date.parse(iso) % MINUTE ? 19 : 16);
  return isSameDay ? time : `${local.slice(0, 10)} ${time}`;
}

export const dateTime = (iso: string) => moment.format(new Date(iso));

/** The time that a run or task took, or has taken so far; null before its start. */
export function elapsed(times: { started_at?: string | null; finished_at?: string | null }, now: number): number | null {
  if (!times.started_at) return null;
  const end = times.finished_at ? Date.parse(times.finished_at) : now;
  return Math.max(0, end - Date.parse(times.started_at));
}

export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  if (count < 1_000_000) return `${(count / 1000).toFixed(1)} kB`;
  return `${(count / 1_000_000).toFixed(1)} MB`;
}

export const number = (value: number) => whole.format(value);

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** Dollars: amounts below $1 with up to four digits. */
export function money(dollars: number): string {
  if (dollars > 0 && dollars < 0.00005) return "<$0.0001";
  const maximumFractionDigits = Math.abs(dollars) < 1 ? 4 : 2;
  return `$${dollars.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits })}`;
}

/** The first of the last `days` days, in UTC as the server counts; undefined for all days. */
export function firstDay(days: number | null, now: number): string | undefined {
  return days === null ? undefined : new Date(now - (days - 1) * DAY).toISOString().slice(0, 10);
}
