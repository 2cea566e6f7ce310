// Makes the meta.json files of content/docs, or of another folder of pages, from the navigation list in source.config.ts, after checking
// that the list has every page: `npm run navigation -- [FOLDER]`.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const DOCS = path.resolve(import.meta.dirname, '..');

/** Return what is wrong with a list of sections, given the pages that there are. */
export function findFaults(sections, pages) {
  const faults = [];
  const listed = new Map();
  const folders = new Map();
  for (const { title, pages: names } of sections) {
    for (const name of names) {
      if (listed.has(name)) faults.push(`${name} is in "${listed.get(name)}" and in "${title}"`);
      listed.set(name, title);
      if (!pages.includes(name)) faults.push(`${name} in "${title}": content/docs/${name}.mdx does not exist`);
      const folder = path.dirname(name);
      if (folders.has(folder) && folders.get(folder) !== title) {
        faults.push(`${name}: the pages of ${folder}/ are in "${folders.get(folder)}" and in "${title}"`);
      }
      folders.set(folder, title);
    }
    if (new Set(names.map((name) => path.dirname(name))).size > 1) faults.push(`"${title}" has pages of several folders`);
  }
  for (const page of pages) if (!listed.has(page)) faults.push(`${page} is in no section of source.config.ts`);
  return faults;
}

/** Return path and contents of each meta.json: groups and folders in the order of the sections, and the pages in each folder. */
export function makeMeta(sections) {
  const shown = sections.filter(({ pages }) => pages.length > 0);
  const files = new Map();
  const entries = shown.flatMap(({ group, pages }) => [...(group ? [`---${group}---`] : []), path.dirname(pages[0])]);
  files.set('meta.json', { pages: entries });
  for (const { title, pages } of shown) {
    files.set(`${path.dirname(pages[0])}/meta.json`, { title, pages: pages.map((name) => path.basename(name)) });
  }
  return files;
}

async function readSections() {
  const outfile = path.join(DOCS, '.source/navigation.mjs');
  await build({
    entryPoints: [path.join(DOCS, 'source.config.ts')],
    outfile,
    bundle: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    logLevel: 'error',
  });
  return (await import(pathToFileURL(outfile).href)).default.navigation;
}

async function writeMeta(content, files) {
  for (const name of await readdir(content, { recursive: true })) {
    if (path.basename(name) === 'meta.json' && !files.has(name)) await rm(path.join(content, name));
  }
  for (const [name, meta] of files) {
    const file = path.join(content, name);
    const text = `${JSON.stringify(meta, null, 2)}\n`;
    await mkdir(path.dirname(file), { recursive: true });
    // An unchanged file keeps its time: the development server watches them.
    if ((await readFile(file, 'utf8').catch(() => '')) !== text) await writeFile(file, text);
  }
}

async function main() {
  const content = path.resolve(process.argv[2] ?? path.join(DOCS, 'content/docs'));
  const names = await readdir(content, { recursive: true });
  const pages = names.filter((name) => name.endsWith('.mdx')).map((name) => name.slice(0, -'.mdx'.length));
  const sections = await readSections();
  const faults = findFaults(sections, pages.sort());
  if (faults.length > 0) {
    for (const fault of faults) console.error(`navigation: ${fault}`);
    process.exit(1);
  }
  await writeMeta(content, makeMeta(sections));
}

if (import.meta.filename === process.argv[1]) await main();
