import { useEffect, useRef } from "preact/hooks";
import { useExplorer } from "./context";
import { KEYS, keysOn, switchKeys } from "./keys";

/** The overlay with the keys; the browser keeps the focus in it and gives it back. */
export function Help({ close }: { close: () => void }) {
  const { state } = useExplorer();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      class="help"
      ref={dialog}
      onClose={close}
      onClick={(event) => event.target === dialog.current && close()}
      onKeyDown={(event) => {
        if (event.key === "?") close();
        event.stopPropagation();
      }}
      aria-label="Keyboard help"
    >
      <div>
        <h2>Keys</h2>
        {KEYS.map(([where, keys]) => (
          <section key={where}>
            <h3>{where}</h3>
            <dl>
              {keys.map(([key, what]) => (
                <div key={key}>
                  <dt>
                    {key.split(" ").map((one) => (one === "or" ? " or " : <kbd key={one}>{one}</kbd>))}
                  </dt>
                  <dd>{what}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
        <label class="switch">
          <input type="checkbox" defaultChecked={keysOn()} onChange={(event) => switchKeys(event.currentTarget.checked)} />
          Keys of one letter act at once
        </label>
        <p class="note">runoff {state.version}. Nothing on this page leaves this computer.</p>
        <button type="button" onClick={close}>
          Close
        </button>
      </div>
    </dialog>
  );
}
