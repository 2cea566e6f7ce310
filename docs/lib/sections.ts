import type { Node } from 'fumadocs-core/page-tree';
import { source } from '@/lib/source';

type Listed = { url: string; title: string; description?: string };
export type Section = { title: string; pages: Listed[] };

/** Return the navigation with the pages' own titles. An empty section is left out. */
export function readSections(): Section[] {
  return source.getPageTree().children.flatMap((node) => {
    const pages = pagesOf(node);
    return pages.length > 0 ? [{ title: String(node.name), pages }] : [];
  });
}

function pagesOf(node: Node): Listed[] {
  if (node.type === 'folder') return node.children.flatMap(pagesOf);
  if (node.type !== 'page') return [];
  const page = source.getNodePage(node);
  return page ? [{ url: page.url, title: page.data.title, description: page.data.description }] : [];
}
