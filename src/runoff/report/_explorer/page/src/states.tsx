import type { ComponentChildren } from "preact";
import type { Answer } from "./hooks";

/** Shows an answer, or that it is on its way, late, or refused. */
export function Answered<T>({
  answer,
  what,
  outdated = false,
  children,
}: {
  answer: Answer<T>;
  what: string;
  /** It is of settings that are no longer those asked for. */
  outdated?: boolean;
  children: (value: T) => ComponentChildren;
}) {
  if (answer.error) return <Failed error={answer.error} retry={answer.retry} />;
  if (answer.value === null) return <Waiting what={what} slow={answer.slow} />;
  return (
    <div class={answer.pending || outdated ? "stale" : undefined} aria-busy={answer.pending || outdated}>
      {answer.slow && <p class="note">Still working on {what}.</p>}
      {children(answer.value)}
    </div>
  );
}

export function Waiting({ what, slow, stop }: { what: string; slow: boolean; stop?: () => void }) {
  return (
    <div class="waiting" role="status">
      <div class="bones" aria-hidden="true">
        <i />
        <i />
        <i />
        <i />
      </div>
      <p class={slow ? "note" : "sr"}>
        {slow ? `Still working on ${what}.` : `Loading ${what}.`}{" "}
        {slow && stop && (
          <button type="button" onClick={stop}>
            Stop waiting
          </button>
        )}
      </p>
    </div>
  );
}

export function Failed({ error, retry }: { error: Error; retry?: () => void }) {
  return (
    <div class="failed" role="alert">
      <p dir="auto">{error.message}</p>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="empty">{children}</div>;
}
