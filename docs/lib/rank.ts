import type { SortedResult } from 'fumadocs-core/search';

const MAX_PAGES = 12;
// What it is worth to have the words in this place.
const TITLE = 8;
const PART_OF_TITLE = 5;
const ADDRESS = 3;
const HEADING = 2;
const TEXT = 0.25;

/** Order what was found by page: those first that have the words in their title, then in their address, their headings, their text. */
export function rankResults(results: SortedResult[], query: string): SortedResult[] {
  const pages: SortedResult[][] = [];
  for (const result of results) {
    if (result.type === 'page') pages.push([result]);
    else pages.at(-1)?.push(result);
  }
  const wanted = query.trim().toLowerCase();
  const scored = pages.map((page) => ({ page, score: scoreOf(page, wanted) }));
  scored.sort((one, other) => other.score - one.score);
  return scored.slice(0, MAX_PAGES).flatMap(({ page }) => page);
}

function scoreOf([page, ...parts]: SortedResult[], wanted: string): number {
  if (!page) return 0;
  const title = plain(page);
  let score = title === wanted ? TITLE : title.includes(wanted) ? PART_OF_TITLE : 0;
  if (page.url.includes(wanted)) score += ADDRESS;
  for (const part of parts) {
    if (plain(part).includes(wanted)) score += part.type === 'heading' ? HEADING : TEXT;
  }
  return score;
}

function plain({ content }: SortedResult): string {
  return String(content)
    .replace(/<\/?mark>|[`*]/g, '')
    .toLowerCase();
}
