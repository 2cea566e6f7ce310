import { DocsBody, DocsDescription, DocsPage, DocsTitle } from 'fumadocs-ui/layouts/docs/page';
import type { Metadata } from 'next';
import Link from 'next/link';
import { readSections } from '@/lib/sections';

const description = 'All pages, in the order of the navigation.';

export const metadata: Metadata = { title: 'Documentation', description };

export default function Page() {
  return (
    <DocsPage footer={{ enabled: false }}>
      <DocsTitle>Documentation</DocsTitle>
      <DocsDescription>{description}</DocsDescription>
      <DocsBody className="not-prose grid gap-10">
        {readSections().map(({ title, pages }) => (
          <section key={title}>
            <h2 className="mb-3 text-lg font-semibold tracking-tight">{title}</h2>
            <ul className="grid gap-3 sm:grid-cols-2">
              {pages.map((page) => (
                <li key={page.url}>
                  <Link
                    href={page.url}
                    className="block h-full rounded-xl border bg-fd-card px-4 py-3 transition-colors hover:border-fd-primary"
                  >
                    <span className="font-medium">{page.title}</span>
                    <span className="mt-1 block text-sm text-fd-muted-foreground">{page.description}</span>
                  </Link>
                </li>
              ))}
            </ul>
          </section>
        ))}
      </DocsBody>
    </DocsPage>
  );
}
