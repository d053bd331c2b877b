import { useCallback, useState } from "preact/hooks";

const NAME = "runoff-explorer-theme";
const ORDER = ["auto", "light", "dark"] as const;
export type Theme = (typeof ORDER)[number];

function kept(): Theme {
  try {
    return ORDER.find((one) => one === localStorage.getItem(NAME)) ?? "auto";
  } catch {
    return "auto"; // storage is refused to files and in private windows of some browsers
  }
}

/** The theme that the reader chose, kept for the next visit where that is allowed. */
export function useTheme(): { chosen: Theme; next(): void } {
  const [chosen, setChosen] = useState<Theme>(kept);
  const next = useCallback(
    () =>
      setChosen((before) => {
        const after = ORDER[(ORDER.indexOf(before) + 1) % ORDER.length]!;
        try {
          localStorage.setItem(NAME, after);
        } catch {
          // then it lasts as long as the page
        }
        return after;
      }),
    [],
  );
  return { chosen, next };
}
