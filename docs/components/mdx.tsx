import defaultComponents from 'fumadocs-ui/mdx';
import type { MDXComponents } from 'mdx/types';
import type { ComponentProps } from 'react';
import { CodeBlock } from './code-block';
import * as diagrams from './diagrams';
import { ChatPicture, RunPicture } from './run-picture';

/** Scrolls inside itself, by keyboard too. */
function Table(props: ComponentProps<'table'>) {
  return (
    <div className="prose-no-margin relative my-6 overflow-x-auto" role="group" aria-label="Table" tabIndex={0}>
      <table {...props} />
    </div>
  );
}

/** The box of a list of things to do: there is nothing to be entered. */
function Box() {
  return <span aria-hidden="true" className="me-2 inline-block size-3.5 translate-y-0.5 rounded-sm border border-fd-muted-foreground" />;
}

/** Components that pages may use in addition to Markdown; tests/docs/test_links.py has the same names. */
export const mdxComponents: MDXComponents = { ...defaultComponents, ...diagrams, ChatPicture, RunPicture, input: Box, pre: CodeBlock, table: Table };
