import type { MetadataRoute } from 'next';
import { source } from '@/lib/source';

export const dynamic = 'force-static';

/** List all pages for search engines. Addresses are absolute, so the list is empty unless SITE_URL is set for the build. */
export default function sitemap(): MetadataRoute.Sitemap {
  const site = process.env.SITE_URL?.replace(/\/$/, '');
  return site ? ['/', '/docs/', ...source.getPages().map(({ url }) => `${url}/`)].map((path) => ({ url: `${site}${path}` })) : [];
}
