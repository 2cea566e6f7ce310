import { highlight } from 'fumadocs-core/highlight';
import { CodeBlock, Pre } from 'fumadocs-ui/components/codeblock';
import { CODE_THEMES } from '@/lib/themes.mjs';

/** A block of code as the pages have them, for places that are not Markdown. */
export async function Code({ title, lang, text }: { title?: string; lang: string; text: string }) {
  return highlight(text, {
    lang,
    themes: CODE_THEMES,
    components: {
      pre: (props) => (
        <CodeBlock {...props} title={title} className="my-0">
          <Pre>{props.children}</Pre>
        </CodeBlock>
      ),
    },
  });
}
