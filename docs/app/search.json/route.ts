import { createFromSource } from 'fumadocs-core/search/server';
import { source } from '@/lib/source';

// The index of the search is a file of the export; the browser searches in it.
export const dynamic = 'force-static';
export const { staticGET: GET } = createFromSource(source);
