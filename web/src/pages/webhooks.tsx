// Webhooks: their deliveries, one delivery with its headers and body, and replays.
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { getDelivery, listDeliveries, listWebhooks, replayDelivery, type Delivery, type Webhook } from "../api/admin";
import { bytes, dateTime } from "../lib/format";
import { useMay } from "../lib/me";
import { one, type Search } from "../lib/search";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Code, Empty, Fact, Fault, Loading, Part } from "../ui/layout";
import { ListPage, Teach } from "../ui/list-page";
import { Table, Tag } from "../ui/table";
import { Ago } from "../ui/time";
import { copy, Value } from "../ui/value";
import { done, failed } from "../ui/toast";

const TONES: Record<string, string> = { accepted: "good", signaled: "good", duplicate: "gone", no_matching_event: "wait", refused: "bad" };
const LABELS: Record<string, string> = { no_matching_event: "no matching event" };
const EXAMPLE = `triggers:
  - type: webhook
    webhook:
      slug: orders
      verify: {strategy: hmac, header: X-Signature, secret: "\${SECRET}"}
      events:
        - name: order.paid
          filter: payload.status == "paid"`;

export default function WebhooksPage() {
  const hooks = useQuery({ queryKey: ["webhooks"], queryFn: listWebhooks, staleTime: 30_000 });
  const search = useSearch({ strict: false }) as Search;
  return (
    <ListPage
      title="Webhooks"
      about="Requests of other services that start runs. Each verified request is stored with its outcome."
      query={hooks}
      empty={
        <Teach title="No webhooks yet" example={EXAMPLE}>
          Add a webhook to a workflow, and restart the server:
        </Teach>
      }
    >
      {(found) => {
        const slug = one(search.slug) ?? found[0]?.slug;
        const hook = found.find((each) => each.slug === slug);
        if (!hook) return <Empty title={`No webhook ${slug}`}>Choose one of this project in the navigation of this page.</Empty>;
        return (
          <>
            <Hooks hooks={found} chosen={hook} outcome={one(search.outcome)} />
            <Deliveries key={hook.slug} hook={hook} outcome={one(search.outcome)} chosen={one(search.delivery)} />
          </>
        );
      }}
    </ListPage>
  );
}

function Hooks({ hooks, chosen, outcome }: { hooks: Webhook[]; chosen: Webhook; outcome: string | undefined }) {
  const navigate = useNavigate();
  const go = (search: Record<string, string | undefined>) => void navigate({ to: "/webhooks", search, replace: true });
  const address = `${window.location.origin}${chosen.path}`;
  return (
    <div className="card space-y-3 p-4">
      <div className="flex flex-wrap items-center gap-2">
        <select aria-label="Webhook" className="field w-auto! max-w-full" value={chosen.slug} onChange={(event) => go({ slug: event.target.value })}>
          {hooks.map((hook) => (
            <option key={hook.slug}>{hook.slug}</option>
          ))}
        </select>
        <select aria-label="Outcome" className="field w-auto! max-w-full" value={outcome ?? ""} onChange={(event) => go({ slug: chosen.slug, outcome: event.target.value || undefined })}>
          <option value="">All outcomes</option>
          {Object.keys(TONES).map((each) => (
            <option key={each} value={each}>
              {LABELS[each] ?? each}
            </option>
          ))}
        </select>
      </div>
      <dl className="flex flex-wrap gap-x-8 gap-y-2 text-sm">
        <Fact name="Address">
          <button type="button" className="text-left font-mono text-xs hover:underline" title="Copy the address" onClick={() => void copy(address)}>
            {address}
          </button>
        </Fact>
        <Fact name="Workflow">
          <Link to="/workflows/$workflowId" params={{ workflowId: chosen.workflow_id }} className="text-accent hover:underline">
            {chosen.workflow_id}
          </Link>
        </Fact>
        <Fact name="Verification">{chosen.strategy}</Fact>
        <Fact name="Events">{chosen.events.join(", ")}</Fact>
        <Fact name="File">
          <span className="font-mono text-xs">{chosen.location}</span>
        </Fact>
      </dl>
    </div>
  );
}

function Deliveries({ hook, outcome, chosen }: { hook: Webhook; outcome: string | undefined; chosen: string | undefined }) {
  const navigate = useNavigate();
  const pages = useInfiniteQuery({
    queryKey: ["deliveries", hook.slug, outcome],
    queryFn: ({ pageParam }) => listDeliveries(hook.slug, outcome, pageParam),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) > 1 ? false : 3000),
  });
  const open = (delivery: string | undefined) => void navigate({ to: "/webhooks", search: { slug: hook.slug, outcome, delivery }, replace: true });
  if (pages.error) return <Fault error={pages.error} />;
  if (pages.isPending) return <Loading />;
  const found = pages.data.pages.flatMap((page) => page.deliveries);
  return (
    <>
      {found.length === 0 ? (
        <Empty title={outcome ? "No delivery has this outcome" : "No deliveries yet"}>
          <p>Send a signed request to try it:</p>
          <p className="mt-3">
            <Code>{`compozy webhook sign ${hook.slug} --payload '{}' --send`}</Code>
          </p>
        </Empty>
      ) : (
        <Table label="Deliveries" heads={["Received", "Outcome", "Event", "Run", "Size", "Delivery"]}>
          {found.map((delivery) => (
            <Row key={delivery.delivery_id} delivery={delivery} onOpen={() => open(delivery.delivery_id)} />
          ))}
        </Table>
      )}
      {pages.hasNextPage && (
        <Button busy={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
          Older deliveries
        </Button>
      )}
      {chosen && <DeliveryDialog key={chosen} hook={hook} id={chosen} onClose={() => open(undefined)} />}
    </>
  );
}

function Outcome({ of }: { of: string }) {
  return <Tag tone={TONES[of] ?? "idle"}>{LABELS[of] ?? of}</Tag>;
}

function Row({ delivery, onOpen }: { delivery: Delivery; onOpen: () => void }) {
  return (
    <tr>
      <td className="whitespace-nowrap">
        <Ago at={delivery.received_at} />
      </td>
      <td>
        <Outcome of={delivery.outcome} />
        {delivery.reason && <p className="mt-1 max-w-96 text-xs text-bad">{delivery.reason}</p>}
      </td>
      <td className="long">{delivery.event ?? "–"}</td>
      <td>
        <RunOf id={delivery.execution_id} />
      </td>
      <td className="whitespace-nowrap text-soft">{bytes(delivery.body_size)}</td>
      <td>
        <button type="button" data-row={delivery.delivery_id} className="font-mono text-xs text-accent hover:underline" onClick={onOpen}>
          {delivery.delivery_id}
        </button>
        {delivery.replay_of && <p className="text-xs text-faint">replay</p>}
      </td>
    </tr>
  );
}

function RunOf({ id }: { id: string | null }) {
  if (!id) return "–";
  return (
    <Link to="/runs/$runId" params={{ runId: id }} className="font-mono text-xs text-accent hover:underline">
      {id}
    </Link>
  );
}

function DeliveryDialog({ hook, id, onClose }: { hook: Webhook; id: string; onClose: () => void }) {
  const delivery = useQuery({ queryKey: ["delivery", hook.slug, id], queryFn: () => getDelivery(hook.slug, id) });
  const queries = useQueryClient();
  const mayRun = useMay("run");
  const [busy, setBusy] = useState(false);
  const known = delivery.data;
  const replay = async () => {
    setBusy(true);
    try {
      const replayed = await replayDelivery(hook.slug, id, known?.execution_id != null);
      done(`The delivery was replayed: ${LABELS[replayed.status] ?? replayed.status}.`);
      await queries.invalidateQueries({ queryKey: ["deliveries", hook.slug] });
      onClose();
    } catch (error) {
      failed(error);
      setBusy(false);
    }
  };
  return (
    <Dialog
      title="Delivery"
      wide
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>Close</Button>
          {mayRun && known && (
            <Button look="primary" busy={busy} onClick={() => void replay()}>
              {known.execution_id ? "Start another run" : "Replay"}
            </Button>
          )}
        </>
      }
    >
      {delivery.error && <Fault error={delivery.error} />}
      {delivery.isPending && <Loading />}
      {known && (
        <div className="space-y-4">
          <dl className="flex flex-wrap gap-x-8 gap-y-2 text-sm">
            <Fact name="Outcome">
              <Outcome of={known.outcome} />
            </Fact>
            <Fact name="Received">{dateTime(known.received_at)}</Fact>
            <Fact name="Event">{known.event ?? "–"}</Fact>
            <Fact name="Run">
              <RunOf id={known.execution_id} />
            </Fact>
            <Fact name="Answer">{known.status}</Fact>
            <Fact name="Delivery">
              <span className="font-mono text-xs">{known.delivery_id}</span>
            </Fact>
            {known.replay_of && (
              <Fact name="Replay of">
                <span className="font-mono text-xs">{known.replay_of}</span>
              </Fact>
            )}
          </dl>
          {known.reason && (
            <p data-tone="bad" className="note text-sm">
              {known.reason}
            </p>
          )}
          <p className="text-sm text-soft">
            {known.execution_id
              ? "This delivery reached a run. A replay starts another one with the current files of the workflow."
              : "A replay takes the stored request again, with the current files of the workflow."}
          </p>
          <Part title="Body">
            <Value value={parsed(known.body)} name={known.delivery_id} />
          </Part>
          <Part title="Headers">
            <Value value={known.headers} />
          </Part>
          {Object.keys(known.query).length > 0 && (
            <Part title="Query">
              <Value value={known.query} />
            </Part>
          )}
        </div>
      )}
    </Dialog>
  );
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return body;
  }
}
