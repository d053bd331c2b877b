import { useExplorer, type View } from "./context";
import type { useTheme } from "./theme";

const NAMES: Record<View, string> = {
  results: "Results",
  queries: "Queries",
  losses: "Losses",
  compare: "Compare",
  trend: "Trend",
};

export function Header({
  views,
  theme,
  help,
}: {
  views: View[];
  theme: ReturnType<typeof useTheme>;
  help: () => void;
}) {
  const { state, route, go } = useExplorer();
  return (
    <header class="top">
      <h1>
        <span class="name">runoff</span> <span dir="auto">{state.title}</span>
      </h1>
      <nav aria-label="Views">
        {views.map((view) => (
          <button
            key={view}
            type="button"
            aria-current={route.view === view ? "page" : undefined}
            onClick={() => go({ view })}
          >
            {NAMES[view]}
          </button>
        ))}
      </nav>
      <div class="tools">
        <button type="button" class="icon" onClick={theme.next} aria-label={`Theme: ${theme.chosen}. Change it`} title={`Theme: ${theme.chosen} (t)`}>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" stroke-width="1.4" />
            {theme.chosen === "auto" && <path d="M8 1.8a6.2 6.2 0 0 1 0 12.4z" fill="currentColor" />}
            {theme.chosen === "dark" && <circle cx="8" cy="8" r="6" fill="currentColor" />}
            {theme.chosen === "light" && <circle cx="8" cy="8" r="2.6" fill="currentColor" />}
          </svg>
        </button>
        <button type="button" class="icon" onClick={help} aria-label="Keyboard help" title="Keyboard help (?)">
          ?
        </button>
      </div>
    </header>
  );
}
