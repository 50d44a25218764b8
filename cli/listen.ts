/**
 * Listens, and tells the operator where.
 * @throws {Error} naming the address, where it is taken or not this machine's.
 */
export function listen({ host, port, handler, what }: {
  readonly host: string;
  readonly port: number;
  readonly handler: Deno.ServeHandler;
  /** For the operator, beside the address. */
  readonly what: string;
}): Deno.HttpServer {
  try {
    return Deno.serve({
      hostname: host,
      port,
      onListen: ({ hostname, port }) => {
        const name = hostname.includes(":") ? `[${hostname}]` : hostname;
        console.error(`Listening on http://${name}:${port} (${what})`);
      },
    }, handler);
  } catch (error) {
    throw new Error(`Cannot listen: ${(error as Error).message}, received ${host}:${port}`);
  }
}
