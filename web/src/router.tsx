import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { parseSearch, stringifySearch } from "./lib/search";
import { Shell } from "./pages/shell";
import RunsPage from "./pages/runs/page";
import { Empty } from "./ui/layout";

const root = createRootRoute({
  component: Shell,
  validateSearch: (search: Record<string, unknown>) => search,
  notFoundComponent: () => <Empty title="This page does not exist">Use the navigation to continue.</Empty>,
});

const page = <Path extends string>(path: Path, load: () => Promise<{ default: React.ComponentType }>) =>
  createRoute({ getParentRoute: () => root, path, component: lazyRouteComponent(load) });

const routes = [
  createRoute({
    getParentRoute: () => root,
    path: "/",
    beforeLoad: () => {
      throw redirect({ to: "/runs", replace: true });
    },
  }),
  createRoute({ getParentRoute: () => root, path: "/runs", component: RunsPage }),
  page("/runs/$runId", () => import("./pages/run/page")),
  page("/schedules", () => import("./pages/schedules")),
  page("/webhooks", () => import("./pages/webhooks")),
  page("/costs", () => import("./pages/costs")),
  page("/workers", () => import("./pages/workers")),
  page("/chat", () => import("./pages/chat/page")),
  page("/tests", () => import("./pages/tests")),
  page("/memory", () => import("./pages/memory")),
  page("/knowledge", () => import("./pages/knowledge")),
  page("/access", () => import("./pages/access")),
  page("/compare", () => import("./pages/compare")),
  page("/workflows", () => import("./pages/workflows/list")),
  page("/workflows/$workflowId", () => import("./pages/workflows/page")),
];

export const router = createRouter({
  routeTree: root.addChildren(routes),
  basepath: "/ui",
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
