'use client';

import { RootProvider } from 'fumadocs-ui/provider/next';
import { lazy, type ReactNode } from 'react';

// The search is loaded when it is first opened, not with each page.
const SearchDialog = lazy(() => import('./search'));

/** What every page stands in: light or dark as the system says or the reader chose, and the search. */
export function Provider({ children }: { children: ReactNode }) {
  return <RootProvider search={{ SearchDialog, preload: false }}>{children}</RootProvider>;
}
