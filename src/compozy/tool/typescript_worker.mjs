// The process of a TypeScript tool: loads one function and calls it. Runs under Deno, Node.js and Bun.
//
// The first line of standard input is the request. The answer is a line of standard output that begins with the mark of
// the request. Everything else that is printed goes to the log.
import process from "node:process";

/** The function cannot be loaded. */
class ToolFault extends Error {}

async function readRequest() {
  let text = "";
  process.stdin.setEncoding("utf8");
  for await (const block of process.stdin) {
    text += block;
    if (block.includes("\n")) break;
  }
  return JSON.parse(text);
}

function functionOf(owner, name) {
  const isOwner = owner !== null && typeof owner === "object" && Object.hasOwn(owner, name);
  return isOwner && typeof owner[name] === "function" ? owner[name] : undefined;
}

/** Return the export `name`. A default export can be the function itself, or an object of functions by tool ID. */
function findFunction(module, { file_name: file, function: name, tool_id: id }) {
  const main = functionOf(module, "default");
  const wanted = name === "default" ? id : name;
  const found = (name === "default" && main) || functionOf(module.default, wanted) || functionOf(module, wanted);
  if (found) return found;
  const known = [module, module.default ?? {}].flatMap((owner) =>
    Object.keys(owner).filter((key) => functionOf(owner, key))
  );
  throw new ToolFault(`${file} exports no function '${wanted}'; it exports ${known.join(", ") || "none"}`);
}

/** Say which key of the tool allows what Deno refused; its own hint names a flag. */
function explain(message) {
  return message.replace(
    /, run again with the --allow-(\w+) flag/,
    (_, kind) =>
      ["read", "write", "net", "env"].includes(kind)
        ? `; \`permissions.${kind}\` of the tool does not allow it`
        : "; tools cannot do this",
  );
}

function describeError(error, request) {
  const isError = error instanceof Error;
  return {
    name: isError && !(error instanceof ToolFault) ? error.name : null,
    message: explain(isError ? error.message : String(error)),
    stack: isError ? error.stack ?? null : null,
    tool_id: request.tool_id,
    tool_exec_id: request.tool_exec_id,
    timestamp: new Date().toISOString(),
  };
}

function contextOf(request, signal) {
  return Object.freeze({
    toolId: request.tool_id,
    idempotencyKey: request.tool_exec_id,
    executionId: request.execution_id,
    task: request.task,
    timeoutMs: request.timeout_ms,
    signal,
  });
}

async function call(request) {
  const stop = new AbortController();
  process.on("SIGTERM", () => stop.abort());
  const tool = findFunction(await import(request.file), request);
  const value = await tool(request.input, request.config, contextOf(request, stop.signal));
  return request.wraps && (value === null || typeof value !== "object") ? { value } : value;
}

let isAnswered = false;

/** Print the answer and end the process, however much of the tool is still running. */
function answer(request, began, result, error) {
  if (isAnswered) return;
  const metadata = {
    tool_id: request.tool_id,
    tool_exec_id: request.tool_exec_id,
    execution_time: Math.round(performance.now() - began),
  };
  const text = JSON.stringify({ result: result ?? null, error, metadata });
  isAnswered = true;
  process.stdout.write(`\n${request.mark} ${text}\n`, () => process.exit(0));
}

async function main() {
  const request = await readRequest();
  const began = performance.now();
  const fail = (error) => {
    if (error instanceof Error && !(error instanceof ToolFault)) console.error(error.stack);
    answer(request, began, null, describeError(error, request));
  };
  // What a tool starts and does not wait for fails the call, too.
  process.on("unhandledRejection", fail);
  process.on("uncaughtException", fail);
  try {
    answer(request, began, await call(request), null);
  } catch (error) {
    fail(error);
  }
}

await main();
