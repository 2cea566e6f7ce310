import type { BaseLayoutProps } from 'fumadocs-ui/layouts/shared';
import { RepositoryIcon, Wordmark } from '@/components/wordmark';
import { REPOSITORY } from '@/lib/repository.mjs';

/** Options that the headers of the start page and of the other pages share. */
export function baseOptions(): BaseLayoutProps {
  return {
    nav: { title: <Wordmark /> },
    links: [
      { text: 'Documentation', url: '/docs', active: 'nested-url', on: 'nav' },
      { type: 'icon', text: 'Repository', label: 'Repository', url: REPOSITORY, external: true, icon: <RepositoryIcon /> },
    ],
    themeSwitch: { mode: 'light-dark-system' },
  };
}
