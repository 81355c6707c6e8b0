// The address bar says which page is shown; back, forward and reload work.

import { useCallback, useSyncExternalStore } from "react";

export interface Route {
  page: string;
  /** What is selected on the page. */
  id: string | undefined;
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("popstate", listener);
  return () => window.removeEventListener("popstate", listener);
}

export function useRoute(): Route {
  const path = useSyncExternalStore(subscribe, () => location.pathname);
  const [page = "", ...rest] = path.split("/").filter((part) => part !== "");
  return { page, id: rest.length === 0 ? undefined : decodeURIComponent(rest.join("/")) };
}

export function go(path: string, replace = false): void {
  if (path === location.pathname) return;
  if (replace) history.replaceState(null, "", path);
  else history.pushState(null, "", path);
  window.dispatchEvent(new PopStateEvent("popstate"));
}

/** For a link that stays on this page: a plain click moves within, everything else is the browser's. */
export function useLink(path: string): { href: string; onClick: (event: React.MouseEvent) => void } {
  const onClick = useCallback(
    (event: React.MouseEvent) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      go(path);
    },
    [path],
  );
  return { href: path, onClick };
}
