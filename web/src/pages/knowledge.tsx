// Knowledge bases: documents with their states and errors, ingestion, questions.
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import { ask, ingest, listBases, listDocuments, retryDocuments, type KnowledgeBase } from "../api/admin";
import { explain, type Schemas } from "../api/client";
import { bytes, number, plural } from "../lib/format";
import { useMay } from "../lib/me";
import { Button } from "../ui/button";
import { Fault } from "../ui/layout";
import { ListPage, Teach } from "../ui/list-page";
import { Table, Tag } from "../ui/table";
import { done, failed } from "../ui/toast";

const TONES: Record<string, string> = { READY: "good", PENDING: "run", FAILED: "bad" };

const EXAMPLE = `knowledge:
  vector_dbs:
    - id: main
      provider: filesystem
      path: ./data/knowledge`;

export default function KnowledgePage() {
  const bases = useQuery({ queryKey: ["bases"], queryFn: listBases, refetchInterval: 4000 });
  return (
    <ListPage
      title="Knowledge"
      about="Documents that agents answer from."
      query={bases}
      empty={
        <Teach title="No knowledge bases yet" example={EXAMPLE}>
          Add a knowledge base to compozy.yaml, and restart the server:
        </Teach>
      }
    >
      {(found) => found.map((base) => <Base key={base.id} base={base} />)}
    </ListPage>
  );
}

function Base({ base }: { base: KnowledgeBase }) {
  const [isOpen, setOpen] = useState(false);
  const mayRun = useMay("run");
  const queries = useQueryClient();
  const act = async (call: () => Promise<Schemas["Ingestion"]>) => {
    try {
      const started = await call();
      done(`The ingestion ${started.execution_id} was started.`);
      await queries.invalidateQueries({ queryKey: ["bases"] });
    } catch (error) {
      failed(error);
    }
  };
  const failures = base.documents.FAILED ?? base.documents.failed ?? 0;
  return (
    <article className="card p-4 sm:p-5" aria-label={base.id}>
      <div className="flex flex-wrap items-start justify-between gap-3">
        <div>
          <h2 className="text-base">{base.id}</h2>
          {base.description && <p className="text-sm text-soft">{base.description}</p>}
          <p className="mt-1 text-sm text-soft">
            {Object.entries(base.documents).map(([state, count]) => `${number(count)} ${state.toLowerCase()}`).join(", ") || "No documents"} · {plural(base.chunks, "chunk")} · {base.vector_db} ({base.provider}) · {base.embedder}
          </p>
          {base.ingestion && (
            <p className="text-sm">
              Ingesting:{" "}
              <Link to="/runs/$runId" params={{ runId: base.ingestion }} className="font-mono text-accent hover:underline">
                {base.ingestion}
              </Link>
            </p>
          )}
          {base.last_error && <p className="text-sm text-bad">{String(base.last_error.message ?? "")}</p>}
        </div>
        {mayRun && (
          <div className="no-print flex flex-wrap gap-2">
            {failures > 0 && <Button onClick={() => void act(() => retryDocuments(base.id))}>Retry failed documents</Button>}
            <Button onClick={() => void act(() => ingest(base.id))}>Ingest sources</Button>
          </div>
        )}
      </div>
      {mayRun && <Ask id={base.id} />}
      <details className="mt-4" onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary className="text-sm font-medium">Documents</summary>
        {isOpen && <Documents id={base.id} />}
      </details>
    </article>
  );
}

function Ask({ id }: { id: string }) {
  const [found, setFound] = useState<Schemas["MatchList"] | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const query = String(new FormData(event.currentTarget).get("query")).trim();
    if (!query) return;
    setBusy(true);
    setError(null);
    try {
      setFound(await ask(id, query));
    } catch (problem) {
      setError(explain(problem));
    } finally {
      setBusy(false);
    }
  };
  return (
    <div className="no-print mt-4">
      <form className="flex gap-2" onSubmit={(event) => void submit(event)}>
        <input name="query" type="search" aria-label={`Query ${id}`} placeholder="Find passages…" className="field" />
        <Button type="submit" busy={busy}>
          Query
        </Button>
      </form>
      {error && (
        <p role="alert" className="mt-2 text-sm text-bad">
          {error}
        </p>
      )}
      {found?.matches.length === 0 && <p className="mt-3 text-sm text-soft">No passage matches.</p>}
      <ol className="mt-3 space-y-3">
        {found?.matches.map((match) => (
          <li key={`${match.document} ${match.chunk}`} className="border-l-2 border-line pl-3 text-sm">
            <p className="text-xs text-faint">
              {match.title || match.document}
              {match.page !== null && `, page ${match.page}`} · score {match.score.toFixed(2)}
            </p>
            <p className="whitespace-pre-wrap">{match.text}</p>
          </li>
        ))}
      </ol>
    </div>
  );
}

function Documents({ id }: { id: string }) {
  const pages = useInfiniteQuery({
    queryKey: ["documents", id],
    queryFn: ({ pageParam }) => listDocuments(id, pageParam),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: 8000,
  });
  if (pages.error) return <Fault error={pages.error} />;
  const documents = pages.data?.pages.flatMap((page) => page.documents) ?? [];
  return (
    <div className="mt-3 space-y-3">
      <Table label="Documents" heads={["State", "Document", "Size", "Chunks", "Error"]}>
        {documents.map((each) => (
          <tr key={each.document}>
            <td>
              <Tag tone={TONES[each.status] ?? "idle"}>{each.status.toLowerCase()}</Tag>
            </td>
            <td className="long">{each.document}</td>
            <td className="whitespace-nowrap text-soft">{bytes(each.size)}</td>
            <td className="text-soft tabular-nums">{number(each.chunks)}</td>
            <td className="long text-bad">{each.error ? String(each.error.message ?? each.error.code) : ""}</td>
          </tr>
        ))}
      </Table>
      {pages.hasNextPage && (
        <Button size="sm" busy={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
          More documents
        </Button>
      )}
    </div>
  );
}
