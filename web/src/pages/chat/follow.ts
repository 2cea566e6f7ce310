import { useEffect, useRef } from "react";

const NEAR_PX = 100;

/** Keep the end of a conversation in view while its list grows, unless the reader has scrolled up. */
export function useFollowedEnd() {
  const list = useRef<HTMLDivElement>(null);
  const end = useRef<HTMLDivElement>(null);
  const isFollowed = useRef(true);
  useEffect(() => {
    const look = () => {
      const top = end.current?.getBoundingClientRect().top ?? 0;
      isFollowed.current = top < window.innerHeight + NEAR_PX;
    };
    const follow = new ResizeObserver(() => {
      if (isFollowed.current) void end.current?.scrollIntoView({ block: "end" });
    });
    if (list.current) follow.observe(list.current);
    // Scrolling does not bubble, and on small screens the window scrolls.
    window.addEventListener("scroll", look, { capture: true, passive: true });
    return () => {
      follow.disconnect();
      window.removeEventListener("scroll", look, { capture: true });
    };
  }, []);
  return { list, end, isFollowed };
}
