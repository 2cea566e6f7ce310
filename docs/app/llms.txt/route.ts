import { readSections } from '@/lib/sections';

export const dynamic = 'force-static';

/** List all pages with their descriptions for language models (llmstxt.org). */
export function GET(): Response {
  const sections = readSections().map(({ title, pages }) => {
    const lines = pages.map((page) => `- [${page.title}](${page.url}/): ${page.description ?? ''}`);
    return `## ${title}\n\n${lines.join('\n')}\n`;
  });
  const head = '# Compozy\n\n> Compozy runs AI workflows that are written in YAML. Every step is durable in SQLite or PostgreSQL.\n';
  return new Response([head, ...sections].join('\n'), { headers: { 'Content-Type': 'text/plain; charset=utf-8' } });
}
