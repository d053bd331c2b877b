import { useEffect } from "preact/hooks";

/** What each key does, for the overlay and for whoever reads the code. */
export const KEYS: [string, [string, string][]][] = [
  [
    "Everywhere",
    [
      ["?", "show or close this help"],
      ["/", "ask, or find a query"],
      ["r q l c w", "results, queries, losses, compare, trend (watch)"],
      ["s", "settings"],
      ["t", "light, dark, or as the system says"],
      ["Esc", "close what is open"],
    ],
  ],
  [
    "Results",
    [
      ["j k or \u2193 \u2191", "next, previous result"],
      ["\u2192 \u2190", "the same document in the other list"],
      ["Enter", "unfold, fold"],
      ["0 1 2 3", "grade the document"],
      ["x", "remove its grade"],
      ["n p", "next, previous query"],
      ["d", "where did a document go?"],
    ],
  ],
  ["Tables", [["\u2193 \u2191 PgDn PgUp Home End", "move"], ["Enter", "open the query"]]],
];

const NAME = "runoff-explorer-keys";

/** Whether single keys act; who speaks to the computer may want to switch them off. */
export function keysOn(): boolean {
  try {
    return localStorage.getItem(NAME) !== "off";
  } catch {
    return true;
  }
}

export function switchKeys(on: boolean): void {
  off = !on;
  try {
    localStorage.setItem(NAME, on ? "on" : "off");
  } catch {
    // then it lasts as long as the page
  }
}

let off = !keysOn();

type Handlers = Record<string, (event: KeyboardEvent) => void>;

const typing = (target: EventTarget | null) =>
  target instanceof HTMLElement &&
  (target.isContentEditable ||
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement ||
    (target instanceof HTMLInputElement && !["checkbox", "radio", "range", "button"].includes(target.type)));

/** Runs a handler for a single key, except where the reader types or holds a modifier. */
export function press(handlers: Handlers, event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const handler = handlers[event.key];
  if (!handler || (off && event.key.length === 1)) return;
  event.preventDefault();
  handler(event);
}

/** Listens on an element for as long as the component lives. */
export function useKeys(root: EventTarget | null, handlers: Handlers, on = true): void {
  useEffect(() => {
    if (!root || !on) return;
    const listen = (event: Event) => press(handlers, event as KeyboardEvent);
    root.addEventListener("keydown", listen);
    return () => root.removeEventListener("keydown", listen);
  });
}
