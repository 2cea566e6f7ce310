'use client';

import { useDocsSearch } from 'fumadocs-core/search/client';
import { oramaStaticClient } from 'fumadocs-core/search/client/orama-static';
import {
  SearchDialog,
  SearchDialogClose,
  SearchDialogContent,
  SearchDialogHeader,
  SearchDialogIcon,
  SearchDialogInput,
  SearchDialogList,
  SearchDialogListItem,
  SearchDialogOverlay,
} from 'fumadocs-ui/components/dialog/search';
import type { SharedProps } from 'fumadocs-ui/contexts/search';
import type { ComponentProps } from 'react';
import { hasAnswer, rankResults, withoutLastLetter } from '@/lib/rank';
import { withoutDashes } from '@/lib/words';

const options = { limit: 300, groupBy: { properties: ['page_id'], maxResult: 4 } };
const exact = oramaStaticClient({ from: '/search.json', search: options });
// One letter may be missing, added or wrong. Only for words that no title and no heading has, since `cron` is one letter from others.
const tolerant = oramaStaticClient({ from: '/search.json', search: { ...options, limit: 3000, tolerance: 1 } });
const client = { ...exact, search: (query: string) => searchWords(withoutDashes(query)) };

async function searchWords(query: string) {
  const found = await exact.search(query);
  if (hasAnswer(found, query)) return rankResults(found, query);
  const shorter = withoutLastLetter(query);
  return rankResults([...(shorter ? await exact.search(shorter) : []), ...(await tolerant.search(query))], query);
}

/** The search: the browser fetches the index once and searches in it. */
export default function Search(props: SharedProps) {
  const { search, setSearch, query } = useDocsSearch({ client });
  return (
    <SearchDialog search={search} onSearchChange={setSearch} isLoading={query.isLoading} {...props}>
      <SearchDialogOverlay />
      <SearchDialogContent>
        <SearchDialogHeader>
          <SearchDialogIcon />
          <SearchDialogInput />
          <SearchDialogClose />
        </SearchDialogHeader>
        <SearchDialogList
          items={query.data === 'empty' ? null : query.data}
          Item={Result}
        />
      </SearchDialogContent>
    </SearchDialog>
  );
}

function Result(props: ComponentProps<typeof SearchDialogListItem>) {
  const { item } = props;
  // A button is not selected, to those who hear the page.
  return <SearchDialogListItem {...props} aria-selected={undefined} data-url={item.type === 'action' ? undefined : item.url} />;
}
