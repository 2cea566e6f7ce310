// The assortment of this shop. The tools are the exported functions.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

interface Item {
  name: string;
  price: number;
}

function readItems(): Item[] {
  return JSON.parse(readFileSync(new URL("./items.json", import.meta.url), "utf8"));
}

/** Find an item by its name. */
export function findItem({ name }: { name: string }, config: { currency: string }) {
  const found = readItems().find((item) => item.name === name.toLowerCase().trim());
  if (!found) throw new RangeError(`we do not sell ${name}`);
  return { ...found, currency: config.currency };
}

/** Write a price tag, once for each idempotency key. */
export function printTag({ name, price }: Item, _: unknown, context: { idempotencyKey: string }) {
  mkdirSync("data/tags", { recursive: true });
  const file = `data/tags/${context.idempotencyKey}.txt`;
  writeFileSync(file, `${name}: ${price}\n`);
  return { file };
}
