import { direction, measure, milliseconds, NONE, percent, signed } from "./format";
import type { Stage } from "./types";

/** A difference with its sign and colour. */
export function Change({ value }: { value: number | null | undefined }) {
  return <span class={`change ${direction(value)}`}>{signed(value)}</span>;
}

/** A bar from the middle: to the right what was gained, to the left what was lost. */
export function Diverging({ value, most }: { value: number | null; most: number }) {
  const share = value === null ? 0 : Math.min(1, Math.abs(value) / (most || 1));
  return (
    <span class={`diverging ${direction(value)}`} aria-hidden="true">
      <i style={{ width: `${50 * share}%` }} />
    </span>
  );
}

/** Whether an interval leaves zero out: only then a difference gets a colour. */
export function sure(low: number | null, high: number | null): boolean {
  return low !== null && high !== null && (low > 0 || high < 0);
}

/** The interval of a gain on a scale with zero marked. */
export function Interval({ value, low, high }: { value: number; low: number | null; high: number | null }) {
  const ends = [value, low ?? value, high ?? value, 0];
  const reach = Math.max(0.01, ...ends.map(Math.abs)) * 1.15;
  const at = (one: number) => `${50 + (50 * one) / reach}%`;
  return (
    <div class={`interval ${sure(low, high) ? direction(value) : "same"}`} aria-hidden="true">
      <i class="zero" />
      {low !== null && high !== null && (
        <i class="range" style={{ left: at(low), width: `${(50 * (high - low)) / reach}%` }} />
      )}
      <i class="point" style={{ left: at(value) }} />
    </div>
  );
}

/** Where the time of one query went. */
export function Latency({ stages }: { stages: Stage[] }) {
  const total = stages.reduce((sum, one) => sum + one.ms, 0);
  if (!stages.length) return null;
  return (
    <dl class="spent">
      {stages.map((one, index) => (
        <div key={one.stage} class={`tone${index % 6}`} style={{ flexGrow: total ? one.ms / total : 1 }}>
          <dt dir="auto">{one.stage}</dt>
          <dd>{milliseconds(one.ms)}</dd>
        </div>
      ))}
    </dl>
  );
}

export function FromTo({ before, after }: { before: number | null | undefined; after: number | null | undefined }) {
  return (
    <span class="fromto">
      {measure(before)} <span aria-hidden="true">→</span>
      <span class="sr">to</span> <b>{measure(after)}</b>
    </span>
  );
}

/** How much of what is shown nobody has judged. */
export function Unjudged({ share }: { share: number | null | undefined }) {
  return <>{share === null || share === undefined ? NONE : percent(share)}</>;
}
