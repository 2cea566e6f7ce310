import { useQuery } from "@tanstack/react-query";
import { getWholeRun } from "../../api/runs";

/** A run with all values of it and of its tasks, which can be large. */
export function useWholeRun(id: string, version = "", enabled = true) {
  return useQuery({
    queryKey: ["whole", id, version],
    queryFn: () => getWholeRun(id),
    placeholderData: (known) => (known?.execution_id === id ? known : undefined),
    enabled,
    gcTime: 60_000,
  });
}
