import { readFileSync } from 'node:fs';
import path from 'node:path';

const FENCE = /^```(?<info>.+)\n(?<text>[^]*?)^```$/gm;

/** Return the first fence of README.md whose words begin with these. README.md's fences are tested by tests/docs. */
export function readFence(info: string): string {
  const readme = readFileSync(path.resolve(process.cwd(), '../README.md'), 'utf8');
  for (const { groups } of readme.matchAll(FENCE)) {
    if (groups?.info?.startsWith(info) && groups.text) return groups.text.trimEnd();
  }
  throw new Error(`README.md has no fence \`${info}\`, which the start page shows`);
}
