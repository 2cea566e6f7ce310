import { highlight } from 'fumadocs-core/highlight';
import { CodeBlock } from '@/components/code-block';
import { CODE_THEMES, consoleLines } from '@/lib/code.mjs';

/** A block of code as the pages have them, for places that are not Markdown. */
export async function Code({ title, lang, text }: { title?: string; lang: string; text: string }) {
  return highlight(text, {
    lang,
    themes: CODE_THEMES,
    defaultColor: false,
    transformers: [consoleLines],
    components: {
      pre: ({ children, className }) => (
        <CodeBlock title={title} className={`my-0 ${className ?? ''}`}>
          {children}
        </CodeBlock>
      ),
    },
  });
}
