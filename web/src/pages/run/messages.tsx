// Conversations with models: requests, answers and tool calls.
import type { Message } from "../../api/runs";
import { Value } from "../../ui/value";

const ROLES: Record<string, string> = { system: "Instructions", user: "Prompt", assistant: "Model", tool: "Tool" };

export function Messages({ messages, withPath = false }: { messages: Message[]; withPath?: boolean }) {
  if (messages.length === 0) return <p className="text-sm text-faint">No model requests.</p>;
  return (
    <ol className="space-y-3">
      {messages.map((message, index) => (
        <li key={index} className={message.role === "assistant" ? "border-l-2 border-accent pl-3" : "border-l-2 border-line pl-3"}>
          <OneMessage message={message} withPath={withPath} />
        </li>
      ))}
    </ol>
  );
}

function OneMessage({ message, withPath }: { message: Message; withPath: boolean }) {
  const { role, content, model, provider, tool, outcome, tool_calls: calls, error } = message;
  return (
    <div className="space-y-1.5">
      <p className="flex flex-wrap gap-x-2 text-xs text-faint">
        <strong className="text-soft">{ROLES[role] ?? role}</strong>
        {tool && <code>{tool}</code>}
        {outcome && outcome !== "ok" && <span className="text-bad">{outcome}</span>}
        {model && (
          <span>
            {model}
            {provider && ` · ${provider}`}
          </span>
        )}
        {withPath && <code>{message.path}</code>}
        <span>request {message.request}</span>
      </p>
      {content !== null && content !== undefined && content !== "" && <Value value={content} name={`${message.path}-${message.request}`} />}
      {calls.map((call, index) => (
        <div key={index} className="text-sm">
          calls <code className="font-semibold">{String(call.tool)}</code>
          <Value value={call.arguments} />
        </div>
      ))}
      {error && <p className="text-sm text-bad">{String(error.message ?? error.code)}</p>}
    </div>
  );
}
