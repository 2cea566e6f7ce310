// How code is shown, in pages and on the start page.

const WORD = /([^\s=]+)(?:=(?:"([^"]*)"|'([^']*)'|(\S*)))?/g;

/** Colours of code. Both have enough contrast for small text. */
export const CODE_THEMES = { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' };

/**
 * Return what of the words behind a fence's language is shown: the title, and that the file is a faulty one. The others (`project`,
 * `norun=...`) are meant for tests/docs.
 */
export function parseFenceWords(meta) {
  /** @type {Record<string, unknown>} */
  const shown = {};
  for (const [, name, double, single, bare] of meta.matchAll(WORD)) {
    if (name === 'title') shown.title = double ?? single ?? bare;
    if (name === 'wrong') shown['data-faulty'] = '';
  }
  return shown;
}

/**
 * Separate the lines of a console: those after `$ ` and `> ` were typed, the others are output. The prompt becomes an attribute, so
 * that it is visible and not copied.
 */
export const consoleLines = {
  name: 'console-lines',
  line(node, number) {
    if (this.options.lang !== 'console') return;
    const line = this.source.split('\n')[number - 1] ?? '';
    const typed = /^([$>]) (.*)$/.exec(line);
    if (typed) node.properties['data-prompt'] = typed[1];
    this.addClassToHast(node, typed ? 'console-input' : 'console-output');
    node.children = [{ type: 'element', tagName: 'span', properties: {}, children: [{ type: 'text', value: typed?.[2] ?? line }] }];
  },
};
