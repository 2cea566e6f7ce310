// Checks the built site: `npm run check-links -- [FOLDER]`. Every link inside it, with its anchor, and everything that a page loads has to
// be there. Links that lead out are not followed, but have to be https. Nothing may be loaded from elsewhere.
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { parse } from 'parse5';
import { findFile } from './serve.mjs';

const SITE = 'https://site.invalid';
// Which attribute of an element names what: something to go to, or something that is loaded with the page.
const LINKS = { a: 'href', area: 'href' };
const LOADED = { audio: 'src', iframe: 'src', img: 'src', link: 'href', script: 'src', source: 'src', video: 'src' };

/** Read a page: its ids, where it links to, what it loads. */
export function readPage(html) {
  const page = { ids: new Set(), links: [], loaded: [] };
  const open = [parse(html)];
  for (let node = open.pop(); node; node = open.pop()) {
    const attributes = Object.fromEntries((node.attrs ?? []).map(({ name, value }) => [name, value]));
    if (attributes.id) page.ids.add(attributes.id);
    const link = attributes[LINKS[node.tagName]];
    if (link !== undefined) page.links.push(link);
    const loaded = attributes[LOADED[node.tagName]];
    if (loaded !== undefined) page.loaded.push(loaded);
    open.push(...(node.content?.childNodes ?? node.childNodes ?? []));
  }
  return page;
}

/** Return the errors of the export in `folder`, one line each, and the numbers of checked pages and links. */
export async function checkSite(folder) {
  const names = (await readdir(folder, { recursive: true })).sort();
  const pages = new Map();
  const faults = [];
  for (const name of names.filter((each) => each.endsWith('.html'))) {
    pages.set(name, readPage(await readFile(path.join(folder, name), 'utf8')));
  }
  let links = 0;
  for (const [name, page] of pages) {
    links += page.links.length + page.loaded.length;
    for (const target of page.links) report(faults, name, target, faultOfLink(folder, pages, name, target));
    for (const target of page.loaded) report(faults, name, target, faultOfLoaded(folder, name, target));
  }
  for (const name of names.filter((each) => each.endsWith('.css'))) {
    for (const [, target] of (await readFile(path.join(folder, name), 'utf8')).matchAll(/(?:url\(|@import)\s*["']?([^"')]+)/g)) {
      report(faults, name, target, target.startsWith('data:') ? '' : faultOfLoaded(folder, name, target));
    }
  }
  return { faults, pages: pages.size, links };
}

function report(faults, name, target, fault) {
  if (fault) faults.push(`${name}: ${target}: ${fault}`);
}

function faultOfLink(folder, pages, name, target) {
  const url = resolve(name, target);
  if (!url) return 'is not an address';
  if (url.origin !== SITE) return url.protocol === 'https:' ? '' : 'is not https';
  const file = fileOf(folder, url);
  if (!file) return 'page not found';
  if (url.hash.length < 2) return '';
  const found = pages.get(path.relative(folder, file));
  return found?.ids.has(decodeURIComponent(url.hash.slice(1))) ? '' : 'anchor not found';
}

function faultOfLoaded(folder, name, target) {
  const url = resolve(name, target);
  if (url?.protocol === 'data:') return '';
  if (url?.origin !== SITE) return 'is loaded from elsewhere';
  return fileOf(folder, url) ? '' : 'file not found';
}

function fileOf(folder, url) {
  return findFile(folder, url.pathname) ?? findFile(folder, `${url.pathname}/`);
}

function resolve(name, target) {
  return URL.canParse(target, `${SITE}/${name}`) ? new URL(target, `${SITE}/${name}`) : undefined;
}

async function main() {
  const folder = path.resolve(process.argv[2] ?? path.join(import.meta.dirname, '../out'));
  const { faults, pages, links } = await checkSite(folder);
  for (const fault of faults) console.error(`check-links: ${fault}`);
  if (pages === 0) console.error(`check-links: there are no pages in ${folder}, run \`npm run build\` first`);
  if (faults.length > 0 || pages === 0) process.exit(1);
  console.log(`${pages} pages, ${links} links: none is broken`);
}

if (import.meta.filename === process.argv[1]) await main();
