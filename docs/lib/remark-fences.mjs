import { visit } from 'unist-util-visit';

const WORD = /([^\s=]+)(?:=(?:"([^"]*)"|'([^']*)'|(\S*)))?/g;

/**
 * Take the words behind a fence's language that are meant for tests/docs (`project`, `wrong`, `norun=...`) out. What remains is the
 * title. A fence without a language is text.
 */
export function remarkFences() {
  return (tree) => {
    visit(tree, 'code', (node) => {
      node.lang ??= 'text';
      const title = titleOf(node.meta ?? '');
      node.meta = title ? `title="${title}"` : undefined;
    });
  };
}

function titleOf(meta) {
  for (const [, name, double, single, bare] of meta.matchAll(WORD)) {
    if (name === 'title') return double ?? single ?? bare;
  }
  return undefined;
}
