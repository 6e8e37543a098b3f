// Browsers start no worker from a file. On pages opened from a folder, the script of the search
// runs in a hidden frame instead, with the two calls of a worker that the theme makes.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = frame.contentWindow;
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = frame.contentDocument.createElement("script");
      this.inside = new Promise((started) => { script.onload = () => started(inside); });
      script.src = address;
      frame.contentDocument.body.append(script);
    }

    async postMessage(data) {
      (await this.inside).dispatchEvent(new MessageEvent("message", { data }));
    }
  };
}
