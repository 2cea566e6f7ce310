import { GO } from "../lib/keys";
import { Dialog } from "../ui/dialog";
import { Keys } from "../ui/layout";

const KEYS: [string[], string][] = [
  [["/"], "Search or filter"],
  [["j", "k"], "Next and previous row"],
  [["Enter"], "Open the row"],
  [["x"], "Select the row, for operations on many runs"],
  [["p"], "Pause or resume a run, or the selected runs"],
  [["c"], "Cancel a run, or the selected runs"],
  [["s"], "Send a signal to a run"],
  [["r"], "Run a run again, or the selected runs"],
  [["Esc"], "Close a dialog"],
  ...Object.entries(GO).map(([key, page]): [string[], string] => [["g", key], `Go to ${page.label.toLowerCase()}`]),
  [["?"], "This list"],
];

export function KeyHelp({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <dl className="grid grid-cols-[auto_1fr] items-center gap-x-6 gap-y-2.5">
        {KEYS.map(([keys, text]) => (
          <div key={text} className="contents">
            <dt className="flex gap-1">
              {keys.map((key) => (
                <Keys key={key} keys={key} />
              ))}
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
