import type { Express } from 'express';

/** As Express keeps what it was given: what is no route has none. */
interface Layer {
  readonly route?: { readonly methods: Readonly<Record<string, boolean>> };
  match(path: string): boolean;
}

/**
 * The methods that the routes of a path take, such as `['GET', 'HEAD']`; empty: there is no such route.
 *
 * @throws URIError for a path with broken percent-encoding
 */
export function methodsOf(app: Express, path: string): string[] {
  const layers = (app.router as unknown as { stack: readonly Layer[] }).stack;
  const methods = new Set<string>();
  for (const layer of layers) {
    if (layer.route === undefined || !layer.match(path)) continue;
    for (const method of Object.keys(layer.route.methods)) methods.add(method.toUpperCase());
  }
  // Express answers it by the route of GET.
  if (methods.has('GET')) methods.add('HEAD');
  return [...methods].sort();
}
