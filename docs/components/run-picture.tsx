const SIZE = { width: 1280, height: 800, loading: 'lazy' } as const;
const LOOK = 'my-6 h-auto w-full rounded-xl border';

function Picture({ name, alt }: { name: string; alt: string }) {
  return (
    <>
      <img {...SIZE} src={`/ui/${name}-light.png`} alt={alt} className={`${LOOK} dark:hidden`} />
      <img {...SIZE} src={`/ui/${name}-dark.png`} alt={alt} className={`${LOOK} hidden dark:block`} />
    </>
  );
}

/** The web page of a run, in the theme of the reader. `make screenshots` takes the pictures. */
export function RunPicture() {
  return (
    <Picture
      name="run"
      alt="The web page of a run: a question for a person, a graph of the tasks with their states, and the selected task"
    />
  );
}

/** A conversation on the web page, in the theme of the reader. */
export function ChatPicture() {
  return <Picture name="chat" alt="The chat of the web page: messages with their answers, and a tool call that waits for an approval" />;
}
