import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Empty, Fault, Loading, PageHead } from "./layout";

/** A page with a list of everything of one kind, which says how to get the first one while there is none. */
export function ListPage<T>({ title, about, query, empty, children }: {
  title: string;
  about: string;
  query: UseQueryResult<T[]>;
  empty: ReactNode;
  children: (found: T[]) => ReactNode;
}) {
  const { data, error, isPending } = query;
  return (
    <>
      <PageHead title={title} tab={title} about={about} />
      {error && <Fault error={error} />}
      {isPending && <Loading />}
      {data?.length === 0 && empty}
      {data && data.length > 0 && <div className="space-y-4 px-4 pb-10 sm:px-6">{children(data)}</div>}
    </>
  );
}

/** An empty list with the YAML that changes that. */
export function Teach({ title, example, children }: { title: string; example: string; children: ReactNode }) {
  return (
    <Empty title={title}>
      <div>{children}</div>
      <pre tabIndex={0} className="mx-auto mt-4 w-fit max-w-full overflow-x-auto rounded-lg border border-line bg-panel p-4 text-left font-mono text-sm">
        {example}
      </pre>
    </Empty>
  );
}
