import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { useExplorer } from "./context";
import { address } from "./data";
import type { QueryRow, QueryRows } from "./types";

const PAGE = 100;
const SLOW = 1500; // milliseconds after which a reader wonders

/** One order of the queries. */
export interface Order {
  stamp: string;
  total: number;
  /** Where the query that the reader holds stands in it: null if none is, undefined to start at the top. */
  place: number | null | undefined;
}

interface Held extends Order {
  filter: string;
  pages: Map<number, QueryRow[] | "asked">;
  ask(part: { offset?: number; around?: string }): Promise<QueryRows>;
}

type Parameters = Record<string, string | number | null | undefined>;

/**
 * The rows of one order by their place, fetched in pages as they come into sight.
 *
 * The order shown stays until the next one is here, with the place of the query that the reader holds by then. Another
 * filter starts at the top; the same one with other figures stays where the reader is.
 *
 * @param filter names the filter and the order wanted.
 * @param figures names the figures: the settings, and the grades.
 * @param holds returns the query that the reader holds, given the rows shown.
 */
export function usePages(
  filter: string,
  figures: string,
  parameters: Parameters,
  holds: (row: (index: number) => QueryRow | null) => string | null,
) {
  const stamp = `${filter} ${figures}`;
  const { data } = useExplorer();
  const [order, setOrder] = useState<Held | null>(null);
  const shown = useRef<Held | null>(null);
  shown.current = order;
  const sight = useRef(0); // the first row in sight
  const [error, setError] = useState<Error | null>(null);
  const [slow, setSlow] = useState(false);
  const [, setTick] = useState(0);
  const [tries, setTries] = useState(0);
  const row = useCallback((index: number): QueryRow | null => {
    const page = shown.current?.pages.get(Math.floor(index / PAGE));
    return page && page !== "asked" ? (page[index % PAGE] ?? null) : null;
  }, []);
  useEffect(() => {
    const stop = new AbortController();
    const ask = (part: { offset?: number; around?: string }, signal?: AbortSignal) =>
      data.ask<QueryRows>("GET", address("api/queries", { ...parameters, ...part, limit: PAGE }), undefined, signal);
    const first = async () => {
      for (;;) {
        const asked = holds(row);
        const stays = shown.current?.filter === filter;
        const offset = stays ? sight.current - (sight.current % PAGE) : 0;
        const found = await ask(asked === null ? { offset } : { offset, around: asked }, stop.signal);
        const held = holds(row);
        const at = held === null ? -1 : found.rows.findIndex((one) => one.query_id === held);
        if (stop.signal.aborted) return;
        if (held !== null && held !== asked && at < 0) continue; // the reader has moved on meanwhile
        const place = at >= 0 ? found.offset + at : held === null && !stays ? undefined : null;
        const pages = new Map([[Math.floor(found.offset / PAGE), found.rows]]);
        return setOrder({ stamp, filter, total: found.total, place, pages, ask });
      }
    };
    setError(null);
    setSlow(false);
    const timer = setTimeout(() => setSlow(true), SLOW);
    first()
      .catch((failure: Error) => !stop.signal.aborted && setError(failure))
      .finally(() => clearTimeout(timer));
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [data, stamp, tries]);
  const need = useCallback(
    (from: number, to: number) => {
      sight.current = from;
      if (order === null) return;
      for (let page = Math.floor(from / PAGE); page * PAGE < Math.min(to, order.total); page++) {
        if (order.pages.has(page)) continue;
        order.pages.set(page, "asked");
        order.ask({ offset: page * PAGE }).then(
          (found) => {
            order.pages.set(page, found.rows);
            setTick((before) => before + 1);
          },
          (failure: Error) => shown.current === order && setError(failure),
        );
      }
    },
    [order],
  );
  return {
    order: order as Order | null,
    pending: order?.stamp !== stamp,
    error,
    slow,
    need,
    row,
    retry: () => setTries((before) => before + 1),
  };
}
