// Inputs of earlier runs of a workflow, to start from.
import { useQuery } from "@tanstack/react-query";
import { getWholeRun, listRuns } from "../../api/runs";

const RUNS = 8;

export const useLastRuns = (workflow: string) =>
  useQuery({ queryKey: ["last-runs", workflow], queryFn: async () => (await listRuns({ workflow }, null, RUNS)).executions, refetchInterval: 5000 });

export const inputOf = async (id: string): Promise<unknown> => (await getWholeRun(id)).input;
