// One clock for all times that a page shows.
import { useEffect, useSyncExternalStore } from "react";

let now = Date.now();
let timer: number | undefined;
const listeners = new Set<() => void>();

function subscribe(listener: () => void) {
  listeners.add(listener);
  timer ??= window.setInterval(() => {
    now = Date.now();
    listeners.forEach((each) => each());
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      window.clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The time in milliseconds, each second; a component that shows it is drawn again each second. */
export const useNow = () => useSyncExternalStore(subscribe, () => now);

/** Set the title of the tab. */
export function useTitle(title: string) {
  useEffect(() => {
    document.title = `${title} · Compozy`;
  }, [title]);
}
