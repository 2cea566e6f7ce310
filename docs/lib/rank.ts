import type { SortedResult } from 'fumadocs-core/search';

const MAX_PAGES = 12;
// Scores of a match by its location.
const TITLE = 8;
const PART_OF_TITLE = 5;
const ADDRESS = 3;
const HEADING = 2;
const TEXT = 0.25;
const ANSWER = 40;
// Letters of the shortest word that is taken for a misspelled one.
const MISSPELLED = 6;

/** Everyday words that a page answers although other pages use them more, or in their title. */
const ANSWERS: Record<string, string[]> = {
  'agents/providers': ['api key', 'claude', 'gemini', 'gpt', 'ollama', 'openai'],
  'agents/tools': ['function', 'tool', 'tool call'],
  'api/overview': ['api', 'rest'],
  'concepts/durability': ['crash', 'durable', 'resume'],
  'getting-started/installation': ['install', 'pip', 'pipx', 'uv'],
  'guides/back-up': ['backup', 'restore'],
  'guides/branches-and-loops': ['for', 'if', 'if else', 'loop', 'switch'],
  'guides/ci-tests': ['ci', 'github actions', 'test', 'tests'],
  'guides/docker': ['container', 'docker', 'helm', 'image', 'kubernetes'],
  'guides/documents': ['chat', 'documents', 'rag'],
  'guides/http-and-python': ['curl', 'python client'],
  'guides/human-approval': ['approval', 'approve', 'human'],
  'guides/monitor': ['cost', 'logs', 'metrics', 'monitoring', 'prometheus', 'tokens'],
  'guides/schedule': ['cron', 'schedule', 'scheduler', 'timer'],
  'guides/structured-output': ['json', 'structured output'],
  'guides/systemd': ['service', 'systemd'],
  'knowledge-bases/overview': ['pdf'],
  'project/comparison': ['dagu', 'dify', 'kestra', 'langgraph', 'n8n', 'prefect', 'temporal'],
  'project/limitations': ['roadmap', 'webhook', 'webhooks'],
  'troubleshooting/overview': ['error', 'errors', 'failed'],
  'workflows/tasks': ['retries', 'retry', 'timeout'],
};

/** Order what was found by page: those first that have the words in their title, then in their address, their headings, their text. */
export function rankResults(results: SortedResult[], query: string): SortedResult[] {
  const wanted = query.trim().toLowerCase();
  const seen = new Set<string>();
  const pages = pagesOf(results).filter(([page]) => page && !seen.has(page.url) && seen.add(page.url));
  const scored = pages.map((page) => ({ page, score: scoreOf(page, wanted) }));
  scored.sort((one, other) => other.score - one.score);
  return scored.slice(0, MAX_PAGES).flatMap(({ page }) => page);
}

/** Return the words without their last letter, which finds `postgresql` for `postgress`; undefined for short words. */
export function withoutLastLetter(query: string): string | undefined {
  const words = query.trim();
  return words.length < MISSPELLED ? undefined : words.slice(0, -1);
}

/** Return whether a page has the words in its title, its address or a heading, or answers them. */
export function hasAnswer(results: SortedResult[], query: string): boolean {
  const wanted = query.trim().toLowerCase();
  return pagesOf(results).some((page) => scoreOf(page, wanted) >= HEADING);
}

function pagesOf(results: SortedResult[]): SortedResult[][] {
  const pages: SortedResult[][] = [];
  for (const result of results) {
    if (result.type === 'page') pages.push([result]);
    else pages.at(-1)?.push(result);
  }
  return pages;
}

function scoreOf([page, ...parts]: SortedResult[], wanted: string): number {
  if (!page) return 0;
  const title = plain(page);
  const isInTitle = title.includes(wanted) || isMisspelled(title, wanted);
  const isWholeTitle = title === wanted || (isInTitle && !/\W/.test(title));
  let score = isWholeTitle ? TITLE : isInTitle ? PART_OF_TITLE : 0;
  if (page.url.includes(wanted)) score += ADDRESS;
  if (ANSWERS[nameOf(page.url)]?.includes(wanted)) score += ANSWER;
  for (const part of parts) {
    if (plain(part).includes(wanted)) score += part.type === 'heading' ? HEADING : TEXT;
  }
  return score;
}

/** Return `guides/docker` of `/docs/guides/docker/#image`. */
function nameOf(url: string): string {
  return url.replace(/#.*/, '').replace(/^\/docs\/|\/$/g, '');
}

/** Return whether a word of the title begins as `wanted` does, but for one letter: `paralel`, `postgress`. */
function isMisspelled(title: string, wanted: string): boolean {
  if (wanted.length < MISSPELLED) return false;
  const lengths = [wanted.length - 1, wanted.length, wanted.length + 1];
  return title.split(/\W+/).some((word) => lengths.some((length) => differsByOne(word.slice(0, length), wanted)));
}

function differsByOne(one: string, other: string): boolean {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at += 1;
  const rests = [
    [at + 1, at + 1],
    [at, at + 1],
    [at + 1, at],
  ];
  return rests.some(([left, right]) => one.slice(left) === other.slice(right));
}

function plain({ content }: SortedResult): string {
  return String(content)
    .replace(/<\/?mark>|[`*]/g, '')
    .toLowerCase();
}
