import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Return version, status and license of the release that these pages describe. */
export function readRelease(): string {
  const text = readFileSync(path.resolve(process.cwd(), '../src/compozy/__init__.py'), 'utf8');
  const version = /^__version__ = "(.+)"$/m.exec(text)?.[1];
  if (!version) throw new Error('src/compozy/__init__.py has no __version__');
  return `Compozy ${version} · alpha · Apache-2.0`;
}
