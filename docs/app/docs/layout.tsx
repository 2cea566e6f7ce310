import { DocsLayout } from 'fumadocs-ui/layouts/docs';
import type { ReactNode } from 'react';
import { baseOptions } from '@/lib/layout';
import { readRelease } from '@/lib/release';
import { source } from '@/lib/source';

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <>
      <a
        href="#nd-page"
        className="sr-only z-50 rounded-md bg-fd-primary px-4 py-2 text-fd-primary-foreground focus:not-sr-only focus:fixed focus:top-2 focus:left-2"
      >
        Skip to the text
      </a>
      <DocsLayout
        tree={source.getPageTree()}
        sidebar={{ footer: <p className="px-2 pt-2 text-xs text-fd-muted-foreground">{readRelease()}</p> }}
        {...baseOptions()}
      >
        {children}
      </DocsLayout>
    </>
  );
}
