import { money } from "../lib/format";

interface Cost {
  cost: number | null;
  unpriced_requests: number;
}

/** Dollars of model requests; "+" if the price of some of them is not known. */
export function Money({ of }: { of: Cost }) {
  if (of.cost === null) return <span className="text-faint">{of.unpriced_requests > 0 ? "no price" : "–"}</span>;
  const isPart = of.unpriced_requests > 0;
  const title = isPart ? `Without ${of.unpriced_requests} model requests whose price is not known` : undefined;
  return (
    <span className="whitespace-nowrap tabular-nums" title={title}>
      {money(of.cost)}
      {isPart && "+"}
    </span>
  );
}
