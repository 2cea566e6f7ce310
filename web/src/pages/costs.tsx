// Costs: tokens and money of model requests by workflow, model, agent, day or run.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { listCosts, type CostGroup, type CostSum } from "../api/admin";
import type { Schemas } from "../api/client";
import { firstDay, money, number, plural } from "../lib/format";
import { useWorkflows } from "../lib/me";
import { one, type Search } from "../lib/search";
import { Tabs } from "../ui/button";
import { Money } from "../ui/cost";
import { Code, Empty, Fault, Loading, PageHead } from "../ui/layout";
import { Table } from "../ui/table";

const GROUPS = [
  { value: "workflow", label: "Workflow" },
  { value: "model", label: "Model" },
  { value: "agent", label: "Agent" },
  { value: "day", label: "Day" },
  { value: "execution", label: "Run" },
] as const;
const PERIODS = [
  { value: "1", label: "Today" },
  { value: "7", label: "7 days" },
  { value: "30", label: "30 days" },
  { value: "all", label: "All" },
] as const;
const MAX_BARS = 60;


export default function CostsPage() {
  const search = useSearch({ strict: false }) as Search;
  const navigate = useNavigate();
  const group = GROUPS.find((each) => each.value === search.by)?.value ?? "workflow";
  const period = PERIODS.find((each) => each.value === search.days)?.value ?? "30";
  const workflow = one(search.workflow);
  const since = firstDay(period === "all" ? null : Number(period), Date.now());
  const workflows = useWorkflows().data ?? [];
  const ask = (by: CostGroup) => ({ queryKey: ["costs", by, workflow, since], queryFn: () => listCosts({ group: by, workflow, since }), refetchInterval: 10_000, placeholderData: keepPreviousData });
  const costs = useQuery(ask(group));
  const days = useQuery(ask("day"));
  const go = (next: Record<string, string | undefined>) =>
    void navigate({ to: "/costs", search: { by: group, days: period, workflow, ...next }, replace: true });
  return (
    <>
      <PageHead title="Costs" tab="Costs" about="Tokens and money of model requests. Days are those of UTC." />
      <div className="space-y-4 px-4 pb-10 sm:px-6">
        <div className="no-print flex flex-wrap items-center gap-2">
          <Tabs label="Period" value={period} options={PERIODS} onChange={(days) => go({ days })} />
          <select aria-label="Workflow" className="field w-auto! max-w-full" value={workflow ?? ""} onChange={(event) => go({ workflow: event.target.value || undefined })}>
            <option value="">All workflows</option>
            {workflows.map((each) => (
              <option key={each.id}>{each.id}</option>
            ))}
            {workflow && !workflows.some((each) => each.id === workflow) && <option>{workflow}</option>}
          </select>
        </div>
        {costs.error && <Fault error={costs.error} />}
        {costs.isPending && <Loading />}
        {costs.data && (costs.data.total.requests === 0 ? <NoCosts /> : <Costs list={costs.data} days={days.data?.costs ?? []} group={group} onGroup={(by) => go({ by })} />)}
      </div>
    </>
  );
}

function NoCosts() {
  return (
    <Empty title="No model requests in this period">
      <p>
        Prices of well-known models are part of Compozy. Set your own with <Code>price</Code> of a provider.
      </p>
    </Empty>
  );
}

interface CostsProps {
  list: Schemas["CostList"];
  days: CostSum[];
  group: CostGroup;
  onGroup: (group: CostGroup) => void;
}

function Costs({ list, days, group, onGroup }: CostsProps) {
  const { total } = list;
  return (
    <>
      <dl className="grid grid-cols-2 gap-3 lg:grid-cols-4">
        <Figure name="Cost">
          <Money of={total} />
        </Figure>
        <Figure name="Model requests">{number(total.requests)}</Figure>
        <Figure name="Input tokens" more={total.cache_read_tokens > 0 ? `${number(total.cache_read_tokens)} from the cache` : undefined}>
          {number(total.input_tokens)}
        </Figure>
        <Figure name="Output tokens">{number(total.output_tokens)}</Figure>
      </dl>
      {total.unpriced_requests > 0 && (
        <p data-tone="wait" className="note text-sm">
          The price of {plural(total.unpriced_requests, "request")} is not known: set <Code>price</Code> of the provider. Costs that lack requests end with +.
        </p>
      )}
      {days.length > 1 && <Days days={days} />}
      <div className="no-print">
        <Tabs label="Group by" value={group} options={GROUPS} onChange={onGroup} />
      </div>
      <Sums list={list} group={group} />
    </>
  );
}

function Figure({ name, more, children }: { name: string; more?: string; children: React.ReactNode }) {
  return (
    <div className="card px-4 py-3">
      <dt className="text-xs text-faint">{name}</dt>
      <dd className="text-xl font-semibold tabular-nums">{children}</dd>
      {more && <dd className="text-xs text-faint">{more}</dd>}
    </div>
  );
}

/** A bar for each day with requests: its cost, or its tokens while nothing has a price. */
function Days({ days }: { days: CostSum[] }) {
  const shown = days.slice(0, MAX_BARS).reverse();
  const isMoney = shown.some((day) => (day.cost ?? 0) > 0);
  const valueOf = (day: CostSum) => (isMoney ? (day.cost ?? 0) : day.input_tokens + day.output_tokens);
  const textOf = (day: CostSum) => (isMoney ? money(day.cost ?? 0) : `${number(valueOf(day))} tokens`);
  const most = Math.max(...shown.map(valueOf), Number.MIN_VALUE);
  return (
    <section className="card p-4" aria-label="Days">
      <h2 className="mb-3 text-sm font-medium">{isMoney ? "Cost per day" : "Tokens per day"}</h2>
      <ol className="flex h-28 items-end gap-1">
        {shown.map((day) => (
          <li key={day.day} className="flex h-full max-w-10 min-w-0 flex-1 flex-col justify-end" title={`${day.day}: ${textOf(day)}`}>
            <span className="sr-only">{`${day.day}: ${textOf(day)}`}</span>
            <span aria-hidden className="block min-h-0.5 rounded-t bg-accent" style={{ height: `${(valueOf(day) / most) * 100}%` }} />
          </li>
        ))}
      </ol>
      <p aria-hidden className="mt-1.5 flex justify-between text-xs text-faint">
        <span>{shown[0]?.day}</span>
        <span>{shown.at(-1)?.day}</span>
      </p>
    </section>
  );
}

function Sums({ list, group }: { list: Schemas["CostList"]; group: CostGroup }) {
  const label = GROUPS.find((each) => each.value === group)?.label ?? "";
  const whole = list.total.cost ?? 0;
  return (
    <Table label={`Costs by ${label.toLowerCase()}`} heads={[label, "Cost", "Share", "Requests", "Input tokens", "Output tokens"]}>
      {list.costs.map((sum, index) => (
        <tr key={index}>
          <td className="long max-w-80">
            <Name sum={sum} group={group} />
          </td>
          <td>
            <Money of={sum} />
          </td>
          <td>
            {whole > 0 && sum.cost !== null && (
              <span className="flex items-center gap-2 tabular-nums">
                <span aria-hidden className="h-1.5 w-20 overflow-hidden rounded bg-raised">
                  <span className="block h-full rounded bg-accent" style={{ width: `${(sum.cost / whole) * 100}%` }} />
                </span>
                {Math.round((sum.cost / whole) * 100)} %
              </span>
            )}
          </td>
          <td className="tabular-nums">{number(sum.requests)}</td>
          <td className="tabular-nums">{number(sum.input_tokens)}</td>
          <td className="tabular-nums">{number(sum.output_tokens)}</td>
        </tr>
      ))}
    </Table>
  );
}

function Name({ sum, group }: { sum: CostSum; group: CostGroup }) {
  switch (group) {
    case "workflow":
      return (
        <Link to="/runs" search={{ workflow: sum.workflow_id ?? "" }} className="font-medium text-accent hover:underline">
          {sum.workflow_id}
        </Link>
      );
    case "execution":
      return sum.execution_id ? (
        <Link to="/runs/$runId" params={{ runId: sum.execution_id }} className="font-mono text-xs text-accent hover:underline">
          {sum.execution_id}
        </Link>
      ) : (
        <span className="text-soft">Deleted runs</span>
      );
    case "model":
      return (
        <>
          <span className="font-medium">{sum.model}</span> <span className="text-faint">{sum.provider}</span>
        </>
      );
    case "agent":
      return sum.agent || <span className="text-soft">No agent</span>;
    default:
      return sum.day;
  }
}
