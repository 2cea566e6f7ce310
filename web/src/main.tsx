import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError } from "./api/client";
import { applyTheme, readTheme } from "./lib/theme";
import { router } from "./router";
import "./styles.css";

applyTheme(readTheme());

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // Errors of the server are final. Requests are repeated while it does not answer.
      retry: (count, error) => !(error instanceof ApiError) && count < 2,
      staleTime: 2000,
      networkMode: "always",
    },
    mutations: { networkMode: "always" },
  },
});

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  );
}
