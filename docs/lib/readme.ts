import { readFileSync } from 'node:fs';
import path from 'node:path';

const FENCE = /^```(?<info>.+)\n(?<text>[^]*?)^```$/gm;

/** Return the fences of README.md whose words begin with these. They are true: tests/docs runs them. */
export function readFences(info: string): string[] {
  const readme = readFileSync(path.resolve(process.cwd(), '../README.md'), 'utf8');
  const found = [...readme.matchAll(FENCE)].flatMap(({ groups }) => (groups?.info?.startsWith(info) ? [groups.text?.trimEnd() ?? ''] : []));
  if (found.length === 0) throw new Error(`README.md has no fence \`${info}\`, which the start page shows`);
  return found;
}
