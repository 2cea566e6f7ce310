"""A project with TypeScript functions, and calls of them."""

from __future__ import annotations

from typing import Any

from compozy.tool.config import ToolConfig
from compozy.tool.kind import ToolCall, ToolHome, ToolResult
from compozy.tool.registry import new_tool

FUNCTIONS = """
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { TAX } from "./prices";

interface Order { price: number }

export async function total({ price }: Order): Promise<number> {
  console.log("this is not the result");
  await Promise.resolve();
  return price * TAX;
}

export function look(_: unknown, config: object, context: { signal: AbortSignal }) {
  return { ...context, signal: context.signal.aborted, config, variable: process.env.COMPOZY_IDEMPOTENCY_KEY };
}

export const read = ({ path }: { path: string }) => readFileSync(path, "utf8");
export const write = ({ path }: { path: string }) => writeFileSync(path, "written");
export const link = ({ path }: { path: string }) => symlinkSync("/etc/passwd", path);
export const variable = ({ name }: { name: string }) => process.env[name] ?? null;
export const load = async ({ name }: { name: string }) => Object.keys(await import(name));
export const secret = () => "the token is " + process.env.TOKEN;
export const fetched = async ({ url }: { url: string }) => (await fetch(url)).status;
export const connected = ({ port }: { port: number }) => new Promise((resolve, reject) => {
  connect(port, "127.0.0.1", () => resolve("connected")).on("error", reject);
});
export const run = () => new Deno.Command("id").outputSync().code;
export const ask = async () => (await Deno.permissions.request({ name: "read" })).state;

export function fail({ text }: { text: string }) { throw new RangeError(text); }
export function text() { throw "only a text"; }
export async function lost() {
  Promise.reject(new Error("lost"));
  await new Promise((done) => setTimeout(done, 60_000));
}
export const odd = () => 10n;
export const nothing = () => undefined;
export const exit = () => process.exit(3);
export const endless = () => "x".repeat(30_000_000);
export function burn() { for (;;); }
export async function chatter() {
  for (let line = 0; line < 20_000; line++) console.log("line", line);
  return "quiet";
}
export function hog() {
  const kept = [];
  for (;;) kept.push(new Array(10_000).fill(Math.random()));
}
export function buffers() {
  const kept = [];
  for (;;) kept.push(new Uint8Array(50_000_000).fill(1));
}
export async function inWorker() {
  const code = "console.log('from a thread'); self.postMessage('done')";
  const worker = new Worker("data:application/javascript," + encodeURIComponent(code), { type: "module" });
  return await new Promise((done) => worker.onmessage = (event) => done(event.data));
}
"""


def config(name: str, **more: Any) -> ToolConfig:
    """Return a tool of the functions."""
    return ToolConfig.model_validate(
        {"id": "shop", "run": f"tools/shop.ts:{name}", "input": {"type": "object"}, **more}
    )


async def call(home: ToolHome, tool: ToolConfig, timeout_s: float = 60, **given: Any) -> ToolResult:
    """Call a tool."""
    made = ToolCall(key="k" * 24, input=given, execution_id="run", task="a/b", timeout_s=timeout_s)
    return await new_tool(tool, home).call(made)
