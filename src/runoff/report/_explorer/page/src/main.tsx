import { render } from "preact";
import { App } from "./app";
import { embedded } from "./data/embedded";
import { remote } from "./data/remote";
import { widget, type Model } from "./data/widget";
import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/shell.css";
import "./style/settings.css";
import "./style/results.css";
import "./style/item.css";
import "./style/tables.css";
import "./style/charts.css";

const place = document.getElementById("runoff-explorer");
if (place) {
  const held = document.getElementById("runoff-data")?.textContent;
  render(<App data={held ? embedded(held) : remote()} paged />, place);
}

/** What anywidget calls for each view of the model. */
function show({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const data = widget(model);
  render(<App data={data} paged={false} />, el);
  return () => {
    render(null, el);
    data.close();
  };
}

export default { render: show };
