import type { BaseLayoutProps } from 'fumadocs-ui/layouts/shared';
import { Wordmark } from '@/components/wordmark';
import { REPOSITORY } from '@/lib/repository.mjs';

/** What the head of the start page and of the pages have in common. */
export function baseOptions(): BaseLayoutProps {
  return { nav: { title: <Wordmark /> }, githubUrl: REPOSITORY, themeSwitch: { mode: 'light-dark-system' } };
}
