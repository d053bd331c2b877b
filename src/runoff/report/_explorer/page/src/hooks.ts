import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { useExplorer } from "./context";

const SLOW = 1500; // milliseconds after which a reader wonders

export interface Answer<T> {
  value: T | null;
  error: Error | null;
  pending: boolean;
  slow: boolean;
  retry(): void;
}

/**
 * Asks for a path and keeps the last value while a new one is on its way.
 *
 * A later path cancels an earlier one, so that the last answer wins. None is asked for when `path` is null.
 */
export function useAnswer<T>(path: string | null, stamp = 0): Answer<T> {
  const { data } = useExplorer();
  const [found, setFound] = useState<{ value: T | null; error: Error | null; path: string | null }>({
    value: null,
    error: null,
    path: null,
  });
  const [tries, setTries] = useState(0);
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    setSlow(false);
    if (path === null) return setFound({ value: null, error: null, path: null });
    const stop = new AbortController();
    const timer = setTimeout(() => setSlow(true), SLOW);
    setFound((before) => ({ ...before, error: null, path: null }));
    data
      .ask<T>("GET", path, undefined, stop.signal)
      .then((value) => !stop.signal.aborted && setFound({ value, error: null, path }))
      .catch((error: Error) => !stop.signal.aborted && setFound({ value: null, error, path }))
      .finally(() => {
        clearTimeout(timer);
        if (!stop.signal.aborted) setSlow(false);
      });
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [data, path, tries, stamp]);
  const retry = useCallback(() => setTries((before) => before + 1), []);
  return { value: found.value, error: found.error, pending: path !== null && found.path !== path, slow, retry };
}

/** The value after it has rested for `rest` milliseconds. */
export function useRested<T>(value: T, rest: number): T {
  const [rested, setRested] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setRested(value), rest);
    return () => clearTimeout(timer);
  }, [value, rest]);
  return rested;
}

/** Whether an element is at least so wide; the page may be a cell of a notebook, so the window does not count. */
export function useWidth(): [(element: HTMLElement | null) => void, number] {
  const [width, setWidth] = useState(1024);
  const watcher = useRef<ResizeObserver | null>(null);
  const watch = useCallback((element: HTMLElement | null) => {
    watcher.current?.disconnect();
    if (!element) return;
    setWidth(element.clientWidth);
    watcher.current = new ResizeObserver(() => setWidth(element.clientWidth));
    watcher.current.observe(element);
  }, []);
  return [watch, width];
}
