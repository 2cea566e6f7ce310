import { createFromSource } from 'fumadocs-core/search/server';
import { source } from '@/lib/source';
import { tokenizer } from '@/lib/words';

// The index of the search is a file of the export; the browser searches in it.
export const dynamic = 'force-static';
// Results are ranked, never sorted by a field: what that would need is a fifth of the file.
export const { staticGET: GET } = createFromSource(source, { tokenizer, sort: { enabled: false } });
