import { HomeLayout } from 'fumadocs-ui/layouts/home';
import type { Metadata } from 'next';
import Link from 'next/link';
import { baseOptions } from '@/lib/layout';

export const metadata: Metadata = { title: 'No such page' };

export default function NotFound() {
  return (
    <HomeLayout {...baseOptions()}>
      <main className="mx-auto flex w-full max-w-2xl flex-1 flex-col justify-center gap-4 px-6 py-24">
        <p className="font-mono text-sm text-fd-muted-foreground">404</p>
        <h1 className="text-3xl font-semibold tracking-tight">There is no such page</h1>
        <p className="text-fd-muted-foreground">
          It may have moved. Search with <kbd className="rounded border px-1.5 py-0.5 font-mono text-xs">Ctrl K</kbd>, or look at{' '}
          <Link href="/docs" className="font-medium text-fd-primary underline underline-offset-4">
            all pages
          </Link>
          .
        </p>
      </main>
    </HomeLayout>
  );
}
