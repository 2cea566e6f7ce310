'use client';

import { RootProvider } from 'fumadocs-ui/provider/next';
import { lazy, type ReactNode } from 'react';

// The search is loaded when it is first opened, not with each page.
const SearchDialog = lazy(() => import('./search'));

/** The context of every page: the theme, which follows the system until the reader chooses, and the search. */
export function Provider({ children }: { children: ReactNode }) {
  return <RootProvider search={{ SearchDialog, preload: false }}>{children}</RootProvider>;
}
