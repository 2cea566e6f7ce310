import { DocsBody, DocsDescription, DocsPage, DocsTitle } from 'fumadocs-ui/layouts/docs/page';
import type { Metadata } from 'next';
import { notFound } from 'next/navigation';
import { mdxComponents } from '@/components/mdx';
import { source } from '@/lib/source';

type Props = { params: Promise<{ slug: string[] }> };

export const dynamicParams = false;

export function generateStaticParams() {
  return source.generateParams();
}

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  const { title, description } = await readPage(params);
  return { title, description };
}

export default async function Page({ params }: Props) {
  const { title, description, toc, body: Body } = await readPage(params);
  return (
    <DocsPage toc={toc}>
      <DocsTitle>{title}</DocsTitle>
      <DocsDescription className="mb-4">{description}</DocsDescription>
      <DocsBody>
        <Body components={mdxComponents} />
      </DocsBody>
    </DocsPage>
  );
}

async function readPage(params: Props['params']) {
  const page = source.getPage((await params).slug);
  if (!page) notFound();
  return page.data;
}
