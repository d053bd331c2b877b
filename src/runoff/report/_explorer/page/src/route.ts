import { useCallback, useEffect, useState } from "preact/hooks";
import type { Route, View } from "./context";

const VIEWS: View[] = ["results", "queries", "losses", "compare", "trend"];

function read(first: View): Route {
  const [name = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parameters = new URLSearchParams(query);
  return {
    view: VIEWS.find((view) => view === name) ?? first,
    query: parameters.get("query"),
    doc: parameters.get("doc"),
  };
}

function written(route: Route): string {
  const parameters = new URLSearchParams();
  if (route.query !== null) parameters.set("query", route.query);
  if (route.doc !== null) parameters.set("doc", route.doc);
  const query = parameters.toString();
  return `#/${route.view}${query ? `?${query}` : ""}`;
}

/** The view and the query in sight; a page keeps them in its address, so that Back works. */
export function useRoute(paged: boolean, first: View): [Route, (to: Partial<Route>) => void] {
  const [route, setRoute] = useState<Route>(() =>
    paged ? read(first) : { view: first, query: null, doc: null },
  );
  useEffect(() => {
    if (!paged) return;
    const listen = () => setRoute(read(first));
    addEventListener("hashchange", listen);
    return () => removeEventListener("hashchange", listen);
  }, [paged, first]);
  const go = useCallback(
    (to: Partial<Route>) =>
      setRoute((before) => {
        const after = { ...before, ...to };
        if (to.query !== undefined && to.query !== before.query && to.doc === undefined) after.doc = null;
        if (paged && written(after) !== location.hash) history.pushState(null, "", written(after));
        return after;
      }),
    [paged],
  );
  useEffect(() => {
    if (!paged) return;
    const listen = () => setRoute(read(first));
    addEventListener("popstate", listen);
    return () => removeEventListener("popstate", listen);
  }, [paged, first]);
  return [route, go];
}
