import type { ButtonHTMLAttributes, ReactNode } from "react";

type Look = "primary" | "plain" | "quiet" | "danger";

const LOOKS: Record<Look, string> = {
  primary: "bg-accent text-on-accent border-transparent hover:opacity-90",
  plain: "bg-panel text-ink border-strong hover:bg-raised",
  quiet: "bg-transparent text-soft border-transparent hover:bg-raised hover:text-ink",
  danger: "bg-panel text-bad border-strong hover:bg-raised",
};

export const buttonClass = (look: Look = "plain", size: "md" | "sm" = "md") =>
  `inline-flex items-center justify-center gap-1.5 rounded-[7px] border font-medium whitespace-nowrap select-none ` +
  `disabled:opacity-50 disabled:cursor-not-allowed ${size === "sm" ? "px-2 py-0.5 text-sm min-h-7" : "px-3 py-1 text-base min-h-8.5"} ${LOOKS[look]}`;

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: Look;
  size?: "md" | "sm";
  busy?: boolean;
}

export function Button({ look, size, busy, className = "", disabled, type = "button", ...rest }: Props) {
  return (
    <button
      type={type}
      className={`${buttonClass(look, size)} ${className}`}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      {...rest}
    />
  );
}

/** A switch between a few views. */
export function Tabs<T extends string>({ label, value, options, onChange }: {
  label: string;
  value: T;
  options: readonly { value: T; label: ReactNode }[];
  onChange: (value: T) => void;
}) {
  return (
    <div role="group" aria-label={label} className="flex w-fit max-w-full gap-0.5 overflow-x-auto rounded-lg bg-raised p-0.5">
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          aria-pressed={option.value === value}
          onClick={() => onChange(option.value)}
          className="rounded-md px-2.5 py-1 text-sm font-medium whitespace-nowrap text-soft hover:text-ink aria-pressed:bg-tab aria-pressed:text-ink aria-pressed:shadow-sm"
        >
          {option.label}
        </button>
      ))}
    </div>
  );
}
