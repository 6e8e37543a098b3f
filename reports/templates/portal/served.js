(() => {
  "use strict";
  // Where the pages are served, Dagster and MLflow are beside them: `make ui` has three ports, server
  // mode three paths of one host. From the folder the words stay words.
  const { protocol, hostname, port, origin, pathname } = location;
  if (!protocol.startsWith("http")) return;
  const beside = (ports) => `${protocol}//${hostname}:${port - ports}/`;
  const places = ["127.0.0.1", "localhost", "[::1]"].includes(hostname) && port
    ? { dagster: beside(2), mlflow: beside(1) }
    : pathname.startsWith("/reports/") ? { dagster: `${origin}/`, mlflow: `${origin}/mlflow/` } : {};
  for (const [name, place] of Object.entries(places)) {
    for (const words of document.querySelectorAll(`[data-${name}]`)) {
      const link = document.createElement("a");
      link.href = place + words.dataset[name];
      link.append(...words.childNodes);
      words.append(link);
    }
  }
})();
