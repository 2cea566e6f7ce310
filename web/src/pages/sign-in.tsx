import { useQuery } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { apiKey, explain } from "../api/client";
import { signIn, signInMethods } from "../api/project";
import { useTitle } from "../lib/clock";
import { Button, buttonClass } from "../ui/button";
import { Field } from "../ui/layout";
import { Logo } from "./shell";

/** Asks for an email address and a password, or for an API key, or leads to the OpenID Connect provider. */
export function SignIn({ onDone, wasRefused }: { onDone: () => void; wasRefused: boolean }) {
  useTitle("Sign in");
  const [isKey, setKey] = useState(wasRefused);
  const [error, setError] = useState<string | null>(wasRefused ? "This API key is not valid." : null);
  const [isBusy, setBusy] = useState(false);
  const methods = useQuery({ queryKey: ["sign-in-methods"], queryFn: signInMethods, retry: false, staleTime: Infinity });
  const oidc = methods.data?.oidc;

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const values = new FormData(event.currentTarget);
    setBusy(true);
    setError(null);
    try {
      if (isKey) apiKey.set(String(values.get("key")).trim());
      else {
        apiKey.clear();
        await signIn({ email: String(values.get("email")), password: String(values.get("password")) });
      }
      onDone();
    } catch (problem) {
      setError(explain(problem));
    } finally {
      setBusy(false);
    }
  };

  return (
    <main className="flex min-h-dvh items-center justify-center p-4">
      <form onSubmit={(event) => void submit(event)} className="card w-full max-w-sm space-y-4 p-6">
        <div className="flex items-center gap-3">
          <Logo />
          <h1 className="text-xl">Sign in</h1>
        </div>
        {oidc && (
          <a href={`${oidc}?next=${encodeURIComponent(window.location.pathname)}`} className={`${buttonClass()} w-full`}>
            Continue with single sign-on
          </a>
        )}
        {isKey ? (
          <Field label="API key" hint="Kept until this tab is closed.">
            <input key="key" name="key" type="password" required autoComplete="off" className="field font-mono" autoFocus />
          </Field>
        ) : (
          <>
            <Field label="Email address">
              <input name="email" type="email" required autoComplete="username" className="field" autoFocus />
            </Field>
            <Field label="Password">
              <input name="password" type="password" required autoComplete="current-password" className="field" />
            </Field>
          </>
        )}
        {error && (
          <p role="alert" data-tone="bad" className="note text-sm">
            {error}
          </p>
        )}
        <Button type="submit" look="primary" busy={isBusy} className="w-full">
          Sign in
        </Button>
        <button type="button" className="w-full text-sm text-soft hover:underline" onClick={() => setKey(!isKey)}>
          {isKey ? "Use email address and password" : "Use an API key"}
        </button>
      </form>
    </main>
  );
}
