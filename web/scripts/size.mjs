// Fails if the built page is larger than its budget, compressed as a server sends it.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const FOLDER = new URL("../../src/compozy/server/pages/ui/", import.meta.url).pathname;
const BUDGET_KB = 200;

function filesOf(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesOf(path) : [path];
  });
}

const sizes = filesOf(FOLDER).map((path) => {
  const content = readFileSync(path);
  return { path: path.slice(FOLDER.length), bytes: path.endsWith(".woff2") ? content.length : gzipSync(content).length };
});
const total = sizes.reduce((sum, file) => sum + file.bytes, 0) / 1000;
if (process.argv.includes("--all")) {
  for (const { path, bytes } of sizes.sort((one, other) => other.bytes - one.bytes)) {
    console.log(`${(bytes / 1000).toFixed(1).padStart(7)} kB  ${path}`);
  }
}
console.log(`The web page has ${total.toFixed(1)} kB of ${BUDGET_KB} kB (gzip).`);
process.exit(total > BUDGET_KB ? 1 : 0);
