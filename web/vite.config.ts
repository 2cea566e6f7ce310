import { defineConfig } from "vite";
import react from "@vitejs/plugin-react";
import tailwindcss from "@tailwindcss/vite";

// The server that `make serve-web` shows.
const server = process.env.COMPOZY_SERVER ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "/ui/",
  plugins: [react(), tailwindcss()],
  build: {
    outDir: "../src/compozy/server/pages/ui",
    emptyOutDir: true,
    // Nothing is inlined: the policy of the server permits only its own files.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        // Small pages compress better together, and take fewer requests.
        codeSplitting: {
          includeDependenciesRecursively: false,
          groups: [
            { name: "run", test: /src\/(pages\/(run|chat|workflows)|ui\/(bubble|value|input-editor|schema-form))\// },
            { name: "pages", test: /src\/pages\/(access|compare|costs|knowledge|memory|schedules|tests|webhooks|workers)/ },
          ],
        },
      },
    },
    // Browsers with light-dark(), popovers and <dialog>.
    target: ["chrome125", "edge125", "firefox128", "safari17.5"],
  },
  server: {
    proxy: {
      "/api": {
        target: server,
        changeOrigin: true,
        // The server refuses requests of other origins.
        configure: (proxy) => proxy.on("proxyReq", (request) => request.removeHeader("origin")),
      },
    },
  },
  test: { include: ["src/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
