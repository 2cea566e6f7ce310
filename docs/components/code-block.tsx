'use client';

import { Check, Copy } from 'lucide-react';
import { CodeBlock as Block, type CodeBlockProps, Pre } from 'fumadocs-ui/components/codeblock';
import { type RefObject, useEffect, useRef, useState } from 'react';

const SHOWN_MS = 1500;

/** A block of code with its title. Of a console only the commands are copied, without their prompts. */
export function CodeBlock({ children, ...props }: CodeBlockProps) {
  const block = useRef<HTMLElement>(null);
  return (
    <Block {...props} ref={block} allowCopy={false} Actions={({ className }) => <CopyButton className={className} block={block} />}>
      <Pre>{children}</Pre>
    </Block>
  );
}

function CopyButton({ className, block }: { className?: string; block: RefObject<HTMLElement | null> }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);

  async function copy() {
    await navigator.clipboard.writeText(textToCopy(block.current));
    setCopied(true);
  }

  return (
    <div className={className}>
      <button
        type="button"
        aria-label={copied ? 'Copied' : 'Copy'}
        onClick={copy}
        className="rounded-md p-1.5 text-fd-muted-foreground transition-colors hover:bg-fd-accent hover:text-fd-foreground"
      >
        {copied ? <Check className="size-4" /> : <Copy className="size-4" />}
      </button>
    </div>
  );
}

function textToCopy(block: HTMLElement | null): string {
  const typed = [...(block?.querySelectorAll('.console-input') ?? [])];
  if (typed.length > 0) return typed.map((line) => line.textContent).join('\n');
  return block?.querySelector('pre')?.textContent ?? '';
}
