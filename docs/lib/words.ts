/** A run of letters, digits, dashes and underscores: `--db-path` is found as `db-path`, `db` and `path`. */
const RUN = /[\p{L}\p{N}_'-]+/gu;

/** Cuts the texts of the index into words. */
export const tokenizer = {
  language: 'english',
  normalizationCache: new Map<string, string>(),
  tokenize(text: string): string[] {
    const runs = typeof text === 'string' ? (text.toLowerCase().match(RUN) ?? []) : [text];
    return [...new Set(runs.flatMap(wordsOf))];
  },
};

/** Return what is looked for as the index knows it: the browser keeps the dashes before an option. */
export function withoutDashes(query: string): string {
  return query.replace(/(^|\s)-+(?=\w)/g, '$1');
}

function wordsOf(run: string): string[] {
  const whole = run.replace(/^[-']+|[-']+$/g, '');
  return [whole, ...whole.split('-')].filter(Boolean);
}
