// The user of the page, and what they may do.
import { useQuery } from "@tanstack/react-query";
import { createContext, useContext } from "react";
import { getProject, listWorkflows, type Me } from "../api/project";

export const MeContext = createContext<Me | null>(null);

export const useMe = () => useContext(MeContext);

/** Whether the role of the user permits something: `read`, `run` or `manage`. */
export function useMay(permission: "run" | "manage"): boolean {
  return useMe()?.permissions.includes(permission) ?? false;
}

export const useProject = () => useQuery({ queryKey: ["project"], queryFn: getProject, refetchInterval: 30_000 });
export const useWorkflows = () => useQuery({ queryKey: ["workflows"], queryFn: listWorkflows, staleTime: 30_000 });
